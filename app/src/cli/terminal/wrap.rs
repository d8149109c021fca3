//! Breaks text into lines between words.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::style::{Span, Style};

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The start of `text` that fits `columns`, at least one character, and the rest.
pub(super) fn split_at_width(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns && at > 0 {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// Breaks the lines of a plain text that are longer than `columns`. Shorter ones keep their spaces.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if width(line) <= columns {
            lines.push(line.to_owned());
            continue;
        }
        let broken = wrap(&[Span::new(line, Style::default())], columns);
        lines.extend(broken.iter().map(|line| line.iter().map(|span| span.text.as_str()).collect::<String>()));
    }
    lines.join("\n")
}

/// Breaks spans into lines of at most `columns`. A newline in a span breaks the line. Only words longer than a line are
/// broken inside.
pub(super) fn wrap(spans: &[Span], columns: usize) -> Vec<Vec<Span>> {
    let columns = columns.max(1);
    let mut lines = Lines { done: Vec::new(), line: Vec::new(), used: 0, columns };
    // A word may have several styles, so it is a list of spans.
    let mut word: Vec<Span> = Vec::new();
    let mut space = false;
    for span in spans {
        for (index, part) in span.text.split('\n').enumerate() {
            if index > 0 {
                lines.put_word(&mut word, space);
                lines.end();
                space = false;
            }
            let mut rest = part;
            while let Some(at) = rest.find([' ', '\t']) {
                push(&mut word, &rest[..at], span.style);
                if !word.is_empty() {
                    lines.put_word(&mut word, space);
                }
                space = true;
                rest = &rest[at + 1..];
            }
            push(&mut word, rest, span.style);
        }
    }
    lines.put_word(&mut word, space);
    if !lines.line.is_empty() || lines.done.is_empty() {
        lines.end();
    }
    lines.done
}

struct Lines {
    done: Vec<Vec<Span>>,
    line: Vec<Span>,
    used: usize,
    columns: usize,
}

impl Lines {
    /// Adds a word, after a space if there is one and the line has text.
    fn put_word(&mut self, word: &mut Vec<Span>, space: bool) {
        if word.is_empty() {
            return;
        }
        let length: usize = word.iter().map(|span| width(&span.text)).sum();
        let gap = usize::from(space && self.used > 0);
        if self.used > 0 && self.used + gap + length > self.columns {
            self.end();
        } else if gap > 0 {
            // A space between two pieces of one style, such as of a link, has that style.
            let before = self.line.last().map(|span| span.style);
            let style = before.filter(|style| word.first().is_some_and(|first| first.style == *style));
            push(&mut self.line, " ", style.unwrap_or_default());
            self.used += 1;
        }
        for span in word.drain(..) {
            let mut rest = span.text.as_str();
            while self.used + width(rest) > self.columns {
                let room = self.columns.saturating_sub(self.used);
                if room == 0 {
                    self.end();
                    continue;
                }
                let (start, left) = split_at_width(rest, room);
                push(&mut self.line, start, span.style);
                rest = left;
                self.end();
            }
            push(&mut self.line, rest, span.style);
            self.used += width(rest);
        }
    }

    fn end(&mut self) {
        self.done.push(std::mem::take(&mut self.line));
        self.used = 0;
    }
}

/// Appends text to spans, joining it with the last one of the same style.
pub(super) fn push(spans: &mut Vec<Span>, text: &str, style: Style) {
    if text.is_empty() {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.style == style => last.text.push_str(text),
        _ => spans.push(Span::new(text, style)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, columns: usize) -> Vec<String> {
        let spans = [Span::new(text, Style::default())];
        let text = |line: &Vec<Span>| line.iter().map(|span| span.text.as_str()).collect::<String>();
        wrap(&spans, columns).iter().map(text).collect()
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(lines("the quick  brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(lines("a\nb  ", 10), ["a", "b"]);
        assert_eq!(lines("", 10), [""]);
        assert_eq!(lines("exactly ten", 7), ["exactly", "ten"]);
    }

    #[test]
    fn short_lines_of_a_plain_text_keep_their_spaces() {
        assert_eq!(wrapped("/help    lists\na long line of text\n", 14), "/help    lists\na long line of\ntext\n");
    }

    #[test]
    fn only_words_longer_than_a_line_are_broken() {
        assert_eq!(lines("an incomprehensible word", 8), ["an", "incompre", "hensible", "word"]);
        assert_eq!(lines("ab", 0), ["a", "b"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(lines("日本 日本語", 6), ["日本", "日本語"]);
        assert_eq!(split_at_width("日本", 1), ("日", "本"));
        assert_eq!(split_at_width("日本", 3), ("日", "本"));
    }

    #[test]
    fn a_word_in_two_styles_stays_whole() {
        let bold = Style { bold: true, ..Style::default() };
        let spans =
            [Span::new("see ", Style::default()), Span::new("bold", bold), Span::new(", then", Style::default())];
        let found = wrap(&spans, 8);
        assert_eq!(found[0], [Span::new("see", Style::default())]);
        assert_eq!(found[1][..2], [Span::new("bold", bold), Span::new(",", Style::default())]);
    }
}
