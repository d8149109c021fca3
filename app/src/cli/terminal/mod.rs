//! What a terminal can show: its size, colours, and Markdown that fits it.

mod blocks;
mod live;
mod markdown;
mod progress;
mod style;
mod table;
mod wrap;

use std::env;
use std::io::{self, IsTerminal};

pub(crate) use blocks::block_starts;
pub(crate) use live::LiveRegion;
pub(crate) use markdown::render;
pub(crate) use progress::ProgressBar;
pub(crate) use wrap::wrapped;

/// Columns where the size is unknown.
const DEFAULT_COLUMNS: usize = 80;
/// Lines of prose longer than this are hard to read.
const MAX_TEXT_COLUMNS: usize = 100;

/// The terminal that standard output is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Columns of a line.
    pub(crate) columns: usize,
    /// Lines on the screen.
    pub(crate) rows: usize,
    /// Whether to set colours and weights.
    pub(crate) styled: bool,
}

impl Terminal {
    /// The terminal of standard output; `None` if it is a file, a pipe, or a terminal that cannot move its cursor.
    pub(crate) fn of_output() -> Option<Self> {
        if !io::stdout().is_terminal() || is_dumb() {
            return None;
        }
        let size = terminal_size::terminal_size_of(io::stdout());
        let (columns, rows) = size.map_or((0, 0), |(width, height)| (usize::from(width.0), usize::from(height.0)));
        let or = |value: usize, default| if value == 0 { default } else { value };
        Some(Self { columns: or(columns, DEFAULT_COLUMNS), rows: or(rows, 24), styled: wants_style() })
    }

    /// Columns of a line of text.
    pub(crate) fn text_columns(&self) -> usize {
        self.columns.clamp(8, MAX_TEXT_COLUMNS)
    }
}

/// Columns of the terminal that standard error is on; `None` if it is on none.
pub(crate) fn error_columns() -> Option<usize> {
    if !io::stderr().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0)
}

/// Whether the terminal understands no escape sequences.
fn is_dumb() -> bool {
    #[cfg(windows)]
    if !lapidary_app::console::takes_escape_sequences() {
        return true;
    }
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether the user has not turned colours off; see <https://no-color.org> and <https://bixense.com/clicolors>.
pub(crate) fn wants_style() -> bool {
    style_of(env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()), env::var_os("CLICOLOR").as_deref())
}

fn style_of(no_color: bool, clicolor: Option<&std::ffi::OsStr>) -> bool {
    !no_color && clicolor.is_none_or(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_turned_off_by_either_variable() {
        assert!(style_of(false, None) && style_of(false, Some("1".as_ref())));
        assert!(!style_of(true, None) && !style_of(true, Some("1".as_ref())) && !style_of(false, Some("0".as_ref())));
    }
}
