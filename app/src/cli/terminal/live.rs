//! The lines at the end of a terminal's output that may still change.

use unicode_width::UnicodeWidthStr;

use super::Terminal;

/// Lines that are shown and may change, as a block of Markdown does while it grows. The cursor is at the end of the last
/// one.
#[derive(Debug, Default)]
pub(crate) struct LiveRegion {
    shown: Vec<String>,
    terminal: Option<Terminal>,
}

impl LiveRegion {
    /// What to print so that the terminal shows `lines` in place of those shown so far. Lines that have left the screen at
    /// the top stay as they are.
    pub(crate) fn update(&mut self, lines: Vec<String>, terminal: Terminal) -> String {
        // The terminal has broken the old lines anew, nobody knows where. The new ones are printed below.
        let resized = self.terminal.replace(terminal).is_some_and(|before| before.columns != terminal.columns);
        if resized && !self.shown.is_empty() {
            self.shown = lines;
            return format!("\r\n{}", self.shown.join("\r\n"));
        }
        let same = self.shown.iter().zip(&lines).take_while(|(old, new)| old == new).count();
        let rows = |lines: &[String]| lines.iter().map(|line| rows_of(line, terminal.columns)).sum::<usize>();
        // The first line to print again: the first that differs, if it is still on the screen.
        let mut from = same;
        if from == lines.len() && from < self.shown.len() {
            // Only lines at the end go away. The cursor has to come to the end of the last that stays.
            from = from.saturating_sub(1);
        }
        while from < self.shown.len() && rows(&self.shown[from..]) > terminal.rows {
            from += 1;
        }
        let mut out = String::new();
        if from < self.shown.len() {
            match lines.get(from).and_then(|new| new.strip_prefix(self.shown[from].as_str())) {
                // Text that only grows needs no erasing, and does not flicker.
                Some(added) if from + 1 == self.shown.len() => {
                    out.push_str(added);
                    from += 1;
                }
                _ => {
                    let up = rows(&self.shown[from..]) - 1;
                    out.push('\r');
                    if up > 0 {
                        out.push_str(&format!("\x1b[{up}A"));
                    }
                    out.push_str("\x1b[J");
                    out.push_str(lines.get(from).map_or("", String::as_str));
                    from += 1;
                }
            }
        }
        for (index, line) in lines.iter().enumerate().skip(from) {
            if index > 0 {
                out.push_str("\r\n");
            }
            out.push_str(line);
        }
        self.shown = lines;
        out
    }

    /// Leaves the shown lines as they are and begins below them. Returns what to print.
    pub(crate) fn finish(&mut self) -> &'static str {
        let shown = !std::mem::take(&mut self.shown).is_empty();
        if shown { "\r\n" } else { "" }
    }
}

/// Rows of the screen that a line takes.
fn rows_of(line: &str, columns: usize) -> usize {
    without_escapes(line).width().div_ceil(columns.max(1)).max(1)
}

/// A line without the sequences of [`Style`](super::style::Style).
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut parts = line.split('\x1b');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        text.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Terminal = Terminal { columns: 10, rows: 4, styled: true };

    fn lines(text: &str) -> Vec<String> {
        text.split('/').map(str::to_owned).collect()
    }

    /// A screen of unlimited height that obeys the sequences of a live region.
    #[derive(Default)]
    struct Screen {
        lines: Vec<String>,
        row: usize,
    }

    impl Screen {
        fn print(&mut self, out: &str) {
            let mut rest = out;
            while !rest.is_empty() {
                if self.lines.len() <= self.row {
                    self.lines.resize(self.row + 1, String::new());
                }
                if let Some(after) = rest.strip_prefix("\r\n") {
                    self.row += 1;
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("\x1b[J") {
                    self.lines.truncate(self.row);
                    rest = after;
                } else if let Some(after) = rest.strip_prefix("\x1b[") {
                    let (count, after) = after.split_once('A').unwrap();
                    self.row -= count.parse::<usize>().unwrap();
                    rest = after;
                } else if let Some(after) = rest.strip_prefix('\r') {
                    rest = after;
                } else {
                    let end = rest.find(['\r', '\x1b']).unwrap_or(rest.len());
                    self.lines[self.row].push_str(&rest[..end]);
                    rest = &rest[end..];
                }
            }
        }
    }

    #[test]
    fn the_screen_shows_the_latest_lines() {
        let (mut screen, mut live) = (Screen::default(), LiveRegion::default());
        for text in ["a", "ab", "ab/c", "ax/c", "ax", "q/r/s", "q/r/s/t"] {
            screen.print(&live.update(lines(text), TERMINAL));
            assert_eq!(screen.lines, lines(text));
        }
        screen.print(live.finish());
        screen.print(&live.update(lines("new"), TERMINAL));
        assert_eq!(screen.lines, lines("q/r/s/t/new"));
        assert_eq!(LiveRegion::default().finish(), "");
    }

    #[test]
    fn growing_text_is_only_appended() {
        let mut live = LiveRegion::default();
        live.update(lines("a/b"), TERMINAL);
        assert_eq!(live.update(lines("a/bc"), TERMINAL), "c");
        assert_eq!(live.update(lines("a/bc/d"), TERMINAL), "\r\nd");
    }

    #[test]
    fn lines_above_the_screen_are_not_touched() {
        let (mut screen, mut live) = (Screen::default(), LiveRegion::default());
        screen.print(&live.update(lines("1/2/3/4/5/6"), TERMINAL));
        screen.print(&live.update(lines("x/x/x/x/x/x"), TERMINAL));
        assert_eq!(screen.lines, lines("1/2/x/x/x/x"));
    }

    #[test]
    fn long_and_styled_lines_take_the_rows_that_are_seen() {
        assert_eq!(rows_of("", 10), 1);
        assert_eq!(rows_of(&"x".repeat(10), 10), 1);
        assert_eq!(rows_of(&"x".repeat(11), 10), 2);
        assert_eq!(rows_of("\x1b[1;36mabc\x1b[0m", 3), 1);
    }

    #[test]
    fn after_a_resize_everything_is_printed_below() {
        let mut live = LiveRegion::default();
        live.update(lines("a/b"), TERMINAL);
        assert_eq!(live.update(lines("a/b/c"), Terminal { columns: 20, ..TERMINAL }), "\r\na\r\nb\r\nc");
    }
}
