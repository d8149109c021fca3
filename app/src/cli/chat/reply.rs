//! Prints a reply while it is generated: as Markdown on a terminal, else as it is.

use std::io::{self, IsTerminal, Write};

use crate::cli::failure::sanitized;
use crate::cli::terminal::{LiveRegion, Terminal, block_starts, render};

/// Where the text of a reply goes.
pub(super) struct Printer {
    /// Whether to lay Markdown out.
    markdown: bool,
    text: String,
    /// Bytes of the text whose blocks cannot change any more.
    settled: usize,
    live: LiveRegion,
}

impl Printer {
    /// A printer to standard output, which lays Markdown out on a terminal if `markdown` is set.
    pub(super) fn new(markdown: bool) -> Self {
        Self { markdown, text: String::new(), settled: 0, live: LiveRegion::default() }
    }

    /// Prints a piece of a reply.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn push(&mut self, piece: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match Terminal::of_output().filter(|_| self.markdown) {
            Some(terminal) => {
                self.text.push_str(&sanitized(piece));
                let update = self.update(terminal);
                out.write_all(update.as_bytes())?;
            }
            None if out.is_terminal() => out.write_all(sanitized(piece).as_bytes())?,
            None => out.write_all(piece.as_bytes())?,
        }
        out.flush()
    }

    /// What to print so that the terminal shows the whole text.
    fn update(&mut self, terminal: Terminal) -> String {
        let mut out = String::new();
        let pending = &self.text[self.settled..];
        if let [_, .., last] = block_starts(pending)[..] {
            let lines = render(&pending[..last], terminal.text_columns(), terminal.styled);
            out.push_str(&self.live.update(lines, terminal));
            out.push_str(self.live.finish());
            out.push_str("\r\n");
            self.settled += last;
        }
        let lines = render(&self.text[self.settled..], terminal.text_columns(), terminal.styled);
        out.push_str(&self.live.update(lines, terminal));
        out
    }

    /// Ends the line after the reply.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.live.finish();
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Terminal = Terminal { columns: 12, rows: 24, styled: false };

    /// What a terminal shows after a text is printed letter by letter, if nothing had to be erased.
    #[test]
    fn settled_blocks_are_printed_once() {
        let mut printer = Printer::new(true);
        let mut printed = String::new();
        for c in "one\n\ntwo\n\nthree".chars() {
            printer.text.push(c);
            printed.push_str(&printer.update(TERMINAL));
        }
        assert_eq!(printed, "one\r\n\r\ntwo\r\n\r\nthree");
    }

    #[test]
    fn words_are_moved_to_the_next_line_whole() {
        let mut printer = Printer::new(true);
        printer.text.push_str("a sentence with words");
        assert_eq!(printer.update(TERMINAL), "a sentence\r\nwith words");
    }
}
