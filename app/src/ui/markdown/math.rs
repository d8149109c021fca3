//! Rewrites the other ways to write formulas, `\( \)` and `\[ \]`, to the dollar signs that the parser knows.

use std::borrow::Cow;

/// The longest formula, in bytes.
const MAX_FORMULA: usize = 4000;

/// Rewrites formulas outside code, without changing the length of the text. Line breaks in formulas on their own line
/// become spaces, because a line that begins with `-` or `+` would be a list.
///
/// Returns the text, and where its formulas begin that stand in a line although they have two dollar signs now.
pub(super) fn rewrite(source: &str) -> (Cow<'_, str>, Vec<usize>) {
    let mut inline = Vec::new();
    if !["\\(", "\\[", "$$"].iter().any(|sign| source.contains(sign)) {
        return (source.into(), inline);
    }
    let mut bytes = source.as_bytes().to_vec();
    let mut ends = [Finder::new("\\)"), Finder::new("\\]"), Finder::new("$$")];
    let mut paragraphs = Finder::new("\n\n");
    let mut fence: Option<(u8, usize)> = None;
    let (mut at, mut line_start) = (0, true);
    while at < bytes.len() {
        if line_start {
            line_start = false;
            let line_end = source[at..].find('\n').map_or(source.len(), |newline| at + newline);
            if let Some(sign) = fence_at(&source[at..line_end]) {
                match fence {
                    Some((open, length)) if open == sign.0 && sign.1 >= length => fence = None,
                    None => fence = Some(sign),
                    _ => {}
                }
                at = line_end;
                continue;
            }
            if fence.is_some() {
                at = line_end;
                if at < bytes.len() {
                    (at, line_start) = (at + 1, true);
                }
                continue;
            }
        }
        let kind = match (bytes[at], bytes.get(at + 1)) {
            (b'\n', _) => {
                (at, line_start) = (at + 1, true);
                continue;
            }
            (b'`', _) => {
                at = after_code(source, at);
                continue;
            }
            (b'\\', Some(b'(')) => 0,
            (b'\\', Some(b'[')) => 1,
            (b'\\', Some(_)) => {
                at += 2;
                continue;
            }
            (b'$', Some(b'$')) => 2,
            _ => {
                at += 1;
                continue;
            }
        };
        let end = ends[kind].from(source, at + 2);
        if end == source.len() || end - at > MAX_FORMULA || end == at + 2 || end > paragraphs.from(source, at) {
            at += 2;
            continue;
        }
        for place in [at, end] {
            bytes[place..place + 2].copy_from_slice(b"$$");
        }
        if kind == 0 {
            inline.push(at);
        } else {
            join_lines(&mut bytes[at..end]);
        }
        at = end + 2;
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text.into(), inline),
        Err(_) => (source.into(), Vec::new()),
    }
}

/// Replaces line breaks with spaces, except before the sign of a quote.
fn join_lines(formula: &mut [u8]) {
    for at in 0..formula.len() {
        if formula[at] == b'\n' {
            let next = formula[at + 1..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
            if next != Some(&b'>') {
                formula[at] = b' ';
            }
        }
    }
}

/// The fence of a code block in a line: its character and length.
fn fence_at(line: &str) -> Option<(u8, usize)> {
    let line = line.trim_start_matches([' ', '\t', '>', '-', '*', '+', '.', ')']).trim_start_matches(char::is_numeric);
    let line = line.trim_start_matches(['.', ')', ' ']);
    let sign = *line.as_bytes().first().filter(|sign| matches!(sign, b'`' | b'~'))?;
    let length = line.bytes().take_while(|byte| *byte == sign).count();
    // "```x```" is code within a line.
    (length >= 3 && !(sign == b'`' && line[length..].contains('`'))).then_some((sign, length))
}

/// The byte after the code that begins at a backtick, or after the backticks if none end it.
fn after_code(source: &str, at: usize) -> usize {
    let ticks = source[at..].bytes().take_while(|byte| *byte == b'`').count();
    let after = at + ticks;
    let mut rest = after;
    let limit = (after + MAX_FORMULA).min(source.len());
    while rest < limit {
        let Some(found) = source.as_bytes()[rest..limit].iter().position(|byte| *byte == b'`') else { break };
        let start = rest + found;
        let length = source[start..].bytes().take_while(|byte| *byte == b'`').count();
        if length == ticks {
            return start + length;
        }
        rest = start + length;
    }
    after
}

/// Finds a text repeatedly from growing places in linear time.
struct Finder {
    sought: &'static str,
    found: Option<usize>,
}

impl Finder {
    fn new(sought: &'static str) -> Self {
        Self { sought, found: None }
    }

    /// The first place at or after a byte, or the length of the source.
    fn from(&mut self, source: &str, at: usize) -> usize {
        match self.found {
            Some(found) if found >= at => found,
            _ => {
                let found = source.get(at..).and_then(|rest| rest.find(self.sought)).map_or(source.len(), |to| at + to);
                self.found = Some(found);
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_become_dollars_of_equal_length() {
        let (text, inline) = rewrite(r"Let \(x\) be \[y\] and \\(z\\).");
        assert_eq!(text, r"Let $$x$$ be $$y$$ and \\(z\\).");
        assert_eq!(inline, [4]);
    }

    #[test]
    fn code_is_left_alone() {
        for source in [
            "`\\(x\\)` and ``a ` \\(b\\)``",
            "```\n\\(x\\)\n\\[y\\]\n```\n",
            "- a\n  ~~~tex\n  \\[y\\]\n  ~~~\n",
            "> ```\n> \\(a\\)\n> ```",
        ] {
            assert_eq!(rewrite(source), (source.into(), vec![]), "{source}");
        }
        assert_eq!(rewrite("```x``` \\(y\\)").0, "```x``` $$y$$");
        assert_eq!(rewrite("```\na\n```\n\\(y\\)").0, "```\na\n```\n$$y$$");
    }

    #[test]
    fn lines_of_a_formula_are_joined_and_paragraphs_are_not() {
        assert_eq!(rewrite("\\[\na\n+ b\n\\]").0, "$$ a + b $$");
        assert_eq!(rewrite("$$\na\n- b\n$$").0, "$$ a - b $$");
        assert_eq!(rewrite("> \\[\n> a\n> \\]").0, "> $$\n> a\n> $$");
        for open in ["\\( a\n\nb \\)", "\\(a", "\\[\n\nx\\]", "$$ a\n\nb $$", "\\(\\)", "\\(é"] {
            assert_eq!(rewrite(open).0, open);
        }
    }
}
