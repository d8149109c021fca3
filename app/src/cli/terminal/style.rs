//! Styles of text as escape sequences.

/// The style of a piece of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) bold: bool,
    pub(super) italic: bool,
    pub(super) underlined: bool,
    pub(super) struck: bool,
    pub(super) dim: bool,
    pub(super) code: bool,
}

impl Style {
    /// The sequence that turns it on; empty for plain text.
    fn start(self) -> String {
        let codes = [
            (self.bold, "1"),
            (self.dim, "2"),
            (self.italic, "3"),
            (self.underlined, "4"),
            (self.struck, "9"),
            // Cyan is readable on light and dark backgrounds.
            (self.code, "36"),
        ];
        let codes: Vec<&str> = codes.into_iter().filter_map(|(on, code)| on.then_some(code)).collect();
        if codes.is_empty() { String::new() } else { format!("\x1b[{}m", codes.join(";")) }
    }

    /// `text` in this style, or as it is unless `styled`.
    pub(super) fn paint(self, text: &str, styled: bool) -> String {
        let start = if styled { self.start() } else { String::new() };
        if start.is_empty() || text.is_empty() { text.to_owned() } else { format!("{start}{text}\x1b[0m") }
    }
}

/// A piece of text in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Span {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_styled_text_has_escape_sequences() {
        let bold = Style { bold: true, code: true, ..Style::default() };
        assert_eq!(bold.paint("a", true), "\x1b[1;36ma\x1b[0m");
        assert_eq!(bold.paint("a", false), "a");
        assert_eq!(Style::default().paint("a", true), "a");
    }
}
