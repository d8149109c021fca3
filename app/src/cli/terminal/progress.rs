//! A line on standard error that shows the progress of long work.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::wrap::{split_at_width, width};
use super::{DEFAULT_COLUMNS, error_columns, is_dumb};

/// Columns of the bar.
const BAR: usize = 24;
/// How often the line is drawn at most.
const INTERVAL: Duration = Duration::from_millis(50);

/// A bar that is drawn only on a terminal, and erased when it is dropped.
#[derive(Debug)]
pub(crate) struct ProgressBar {
    label: String,
    drawn: Option<(Instant, u64)>,
    visible: bool,
}

impl ProgressBar {
    /// A bar for work with this name, which must hold no control characters. It is drawn if standard error is a terminal.
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self::shown_if(label, true)
    }

    /// The same, which is not drawn unless `wanted`.
    pub(crate) fn shown_if(label: impl Into<String>, wanted: bool) -> Self {
        let visible = wanted && io::stderr().is_terminal() && !is_dumb();
        Self { label: label.into(), drawn: None, visible }
    }

    /// Whether it is drawn at all: on a terminal that can move its cursor.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// Shows that `done` of `total` is done. Errors of the terminal are ignored.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        let percent = done.min(total).saturating_mul(100) / total.max(1);
        if self.drawn.is_some_and(|(at, known)| known == percent || (at.elapsed() < INTERVAL && percent < 100)) {
            return;
        }
        self.drawn = Some((Instant::now(), percent));
        self.draw(&format!("{} {percent:3} %", bar(percent)));
    }

    /// Shows what is done now, where nothing tells how far it is.
    pub(crate) fn say(&mut self, what: &str) {
        self.drawn = Some((Instant::now(), u64::MAX));
        self.draw(what);
    }

    fn draw(&self, state: &str) {
        if !self.visible {
            return;
        }
        let columns = error_columns().unwrap_or(DEFAULT_COLUMNS);
        let mut out = io::stderr().lock();
        let line = line(&self.label, state, columns);
        let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
    }
}

impl ProgressBar {
    /// Erases the line, so that other output can take its place. The next progress draws it again.
    pub(crate) fn erase(&mut self) {
        if self.drawn.take().is_some() && self.visible {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.erase();
    }
}

fn bar(percent: u64) -> String {
    let full = (percent as usize * BAR) / 100;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// A label and a state in fewer columns than the terminal has: in its last column, the cursor may go to the next line.
fn line(label: &str, state: &str, columns: usize) -> String {
    let room = columns.saturating_sub(width(state) + 3);
    let label = if width(label) > room && room > 0 {
        format!("{}…", split_at_width(label, room.saturating_sub(1)).0)
    } else if room == 0 {
        String::new()
    } else {
        label.to_owned()
    };
    let line = format!("{label}  {state}");
    split_at_width(line.trim_start(), columns.saturating_sub(1)).0.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        assert_eq!(bar(0), "░".repeat(BAR));
        assert_eq!(bar(50).chars().filter(|c| *c == '█').count(), BAR / 2);
        assert_eq!(bar(100), "█".repeat(BAR));
    }

    #[test]
    fn a_line_fits_its_terminal() {
        for columns in [4, 10, 20, 40, 200] {
            let line = line("Loading a model with a long name", &format!("{}  50 %", bar(50)), columns);
            assert!(width(&line) < columns, "{columns}: {line}");
        }
        assert_eq!(line("Loading x", "50 %", 80), "Loading x  50 %");
    }
}
