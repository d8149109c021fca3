//! The text of a paragraph and its styles.

use std::ops::Range;
use std::rc::Rc;

/// A set of text styles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style(u16);

impl Style {
    pub(super) const PLAIN: Self = Self(0);
    pub(super) const STRONG: Self = Self(1);
    pub(super) const EMPHASIS: Self = Self(1 << 1);
    pub(super) const STRIKE: Self = Self(1 << 2);
    pub(super) const CODE: Self = Self(1 << 3);
    /// Lowered and small.
    pub(super) const SUB: Self = Self(1 << 4);
    /// Raised and small.
    pub(super) const SUP: Self = Self(1 << 5);
    pub(super) const UNDERLINE: Self = Self(1 << 6);
    /// A key of the keyboard.
    pub(super) const KEY: Self = Self(1 << 7);
    /// Marked, as with a pen.
    pub(super) const MARK: Self = Self(1 << 8);
    pub(super) const WEAK: Self = Self(1 << 9);
    /// The source of a TeX formula.
    pub(super) const FORMULA: Self = Self(1 << 10);
    /// A formula on a line of its own.
    pub(super) const DISPLAY: Self = Self(1 << 11);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A run of text in one style.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The byte after its last.
    end: usize,
    pub(super) style: Style,
    /// The address that it links to.
    pub(super) link: Option<Rc<str>>,
}

/// The text of a paragraph, a heading or a table's cell. A line break is `\n`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inline {
    text: String,
    runs: Vec<Run>,
}

impl Inline {
    /// A text in one style.
    pub(super) fn styled(text: &str, style: Style) -> Self {
        let mut inline = Self::default();
        inline.push(text, style, None);
        inline
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn has_links(&self) -> bool {
        self.runs.iter().any(|run| run.link.is_some())
    }

    /// Appends text. Neighbours of equal style become one run, except formulas.
    pub(super) fn push(&mut self, text: &str, style: Style, link: Option<&Rc<str>>) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let end = self.text.len();
        match self.runs.last_mut() {
            Some(run) if run.style == style && run.link.as_ref() == link && !style.has(Style::FORMULA) => run.end = end,
            _ => self.runs.push(Run { end, style, link: link.cloned() }),
        }
    }

    /// The runs in order, each with its text.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&str, &Run)> {
        let mut start = 0;
        self.runs.iter().map(move |run| {
            let text = &self.text[start..run.end];
            start = run.end;
            (text, run)
        })
    }

    /// Appends all of another text.
    pub(super) fn append(&mut self, other: &Self) {
        for (text, run) in other.runs() {
            self.push(text, run.style, run.link.as_ref());
        }
    }

    /// Removes whitespace from the end.
    pub(super) fn trim_end(&mut self) {
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        while self.runs.len() > 1 && self.runs[self.runs.len() - 2].end >= end {
            self.runs.pop();
        }
        match self.runs.last_mut() {
            Some(run) if end > 0 => run.end = run.end.min(end),
            _ => self.runs.clear(),
        }
    }

    fn slice(&self, range: Range<usize>) -> Self {
        let mut part = Self::default();
        let mut start = 0;
        for run in &self.runs {
            let (from, to) = (start.max(range.start), run.end.min(range.end));
            if from < to {
                part.push(&self.text[from..to], run.style, run.link.as_ref());
            }
            start = run.end;
        }
        part
    }

    /// Cuts into parts of at most `most` bytes, at spaces where there are any. Formulas stay whole.
    pub(super) fn split(self, most: usize) -> Vec<Self> {
        if self.text.len() <= most {
            return vec![self];
        }
        let mut parts = Vec::new();
        let (mut start, mut run) = (0, 0);
        while self.text.len() - start > most {
            let mut end = self.text.floor_char_boundary(start + most);
            if let Some(space) = self.text[start..end].rfind([' ', '\n']).filter(|space| *space > most / 2) {
                end = start + space + 1;
            }
            while run + 1 < self.runs.len() && self.runs[run].end < end {
                run += 1;
            }
            if self.runs[run].style.has(Style::FORMULA) {
                end = self.runs[run].end;
            }
            parts.push(self.slice(start..end));
            start = end;
        }
        parts.push(self.slice(start..self.text.len()));
        parts
    }

    /// Makes links of the web addresses that are written without Markdown's brackets.
    pub(super) fn link_addresses(&mut self) {
        if !self.text.contains("://") {
            return;
        }
        let mut linked = Self::default();
        for (text, run) in self.runs() {
            if run.link.is_some() || run.style.has(Style::CODE.with(Style::FORMULA)) {
                linked.push(text, run.style, run.link.as_ref());
                continue;
            }
            let mut rest = text;
            while let Some(address) = find_address(rest) {
                linked.push(&rest[..address.start], run.style, None);
                let address_text = &rest[address.clone()];
                linked.push(address_text, run.style, Some(&address_text.into()));
                rest = &rest[address.end..];
            }
            linked.push(rest, run.style, None);
        }
        *self = linked;
    }
}

/// The first web address in a text.
fn find_address(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(found) = text[from..].find("http") {
        let start = from + found;
        let rest = &text[start..];
        let scheme = ["https://", "http://"].into_iter().find(|scheme| rest.starts_with(scheme));
        let Some(scheme) = scheme.filter(|_| !text[..start].ends_with(char::is_alphanumeric)) else {
            from = start + 4;
            continue;
        };
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`')).unwrap_or(rest.len());
        let mut address = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
        // A bracket belongs to the sentence unless the address opened it.
        let mut unopened = address.matches(')').count().saturating_sub(address.matches('(').count());
        while unopened > 0 && address.ends_with(')') {
            address = address[..address.len() - 1].trim_end_matches(['.', ',', ';', ':', '!', '?']);
            unopened -= 1;
        }
        if address.len() > scheme.len() {
            return Some(start..start + address.len());
        }
        from = start + 4;
    }
    None
}

/// Whether a click may open an address: pages and mail, and nothing that runs or reads a file here.
pub(super) fn may_open(address: &str) -> bool {
    let lower = address.get(..8).unwrap_or(address).to_ascii_lowercase();
    lower.starts_with("https://") || lower.starts_with("http://") || lower.starts_with("mailto:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_spaces_and_loses_nothing() {
        let mut long = Inline::default();
        for index in 0..1000 {
            let style = if index % 3 == 0 { Style::STRONG } else { Style::PLAIN };
            long.push(&format!("wörd{index} "), style, None);
        }
        let whole = long.text().to_owned();
        let parts = long.split(256);
        assert!(parts.len() > 20 && parts.iter().all(|part| part.text().len() <= 256));
        assert_eq!(parts.iter().map(Inline::text).collect::<String>(), whole);
        let unbroken = Inline::styled(&"é".repeat(1000), Style::PLAIN).split(255);
        assert_eq!(unbroken.iter().map(Inline::text).collect::<String>(), "é".repeat(1000));
    }

    #[test]
    fn bare_addresses_become_links_without_the_sentence_around_them() {
        let mut text =
            Inline::styled("See (https://a.org/x_(y)), http://b.org. Not xhttp://c or http://", Style::PLAIN);
        text.link_addresses();
        let links: Vec<_> = text.runs().filter(|(_, run)| run.link.is_some()).map(|(text, _)| text).collect();
        assert_eq!(links, ["https://a.org/x_(y)", "http://b.org"]);
    }

    #[test]
    fn only_pages_and_mail_open() {
        for address in ["https://a.org", "HTTP://A.ORG", "mailto:a@b.c"] {
            assert!(may_open(address), "{address}");
        }
        for address in ["javascript:alert(1)", "file:///etc/passwd", "a.md", "#x", "", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"]
        {
            assert!(!may_open(address), "{address}");
        }
    }

    #[test]
    fn trimming_keeps_the_runs_that_have_text() {
        let mut text = Inline::styled("a ", Style::STRONG);
        text.push("  ", Style::PLAIN, None);
        text.trim_end();
        assert_eq!((text.text(), text.runs().count()), ("a", 1));
        let mut blank = Inline::styled("  ", Style::PLAIN);
        blank.trim_end();
        assert_eq!(blank, Inline::default());
    }
}
