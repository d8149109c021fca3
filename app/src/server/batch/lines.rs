//! The lines of a batch's input, one at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};

use sha2::{Digest, Sha256};

use crate::server::bounds::MAX_BODY;

/// The mark with which some editors begin a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line that is not blank.
pub(super) struct Line {
    /// Counted from 1, blank lines included.
    pub(super) number: u64,
    /// Without the line's end. Empty if it is too long.
    pub(super) bytes: Vec<u8>,
    /// Whether it has more bytes than a request may have.
    pub(super) is_too_long: bool,
    /// What tells it from other lines: 53 bits of its SHA-256, which JSON's numbers hold exactly.
    pub(super) hash: u64,
    /// Whether the file is plain text. Else each line is a JSON object.
    pub(super) is_plain: bool,
}

/// Reads lines in bounded memory.
pub(super) struct Lines<R = BufReader<File>> {
    input: R,
    number: u64,
    is_plain: Option<bool>,
}

impl Lines {
    /// The lines of a file, from its beginning.
    ///
    /// # Errors
    /// That of the file.
    pub(super) fn of_file(mut file: &File) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self::new(BufReader::new(file.try_clone()?)))
    }
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, number: 0, is_plain: None }
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// That of the input.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let Some(line) = self.any()? else { return Ok(None) };
            if line.is_too_long || !line.bytes.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn any(&mut self) -> io::Result<Option<Line>> {
        let (mut bytes, mut length, mut hash) = (Vec::new(), 0_usize, Sha256::new());
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                available => available?,
            };
            if available.is_empty() && length == 0 {
                return Ok(None);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            hash.update(part);
            length = length.saturating_add(part.len());
            if length <= MAX_BODY {
                bytes.extend_from_slice(part);
            } else if self.is_plain.is_some() {
                bytes = Vec::new();
            }
            let (is_last, used) = (available.is_empty(), part.len() + usize::from(end.is_some()));
            self.input.consume(used);
            if end.is_some() || is_last {
                break;
            }
        }
        self.number += 1;
        if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if self.is_plain.is_none() {
            self.is_plain = bytes.trim_ascii_start().first().map(|first| *first != b'{');
        }
        let is_plain = self.is_plain.unwrap_or_default();
        let is_too_long = length > MAX_BODY;
        if is_too_long {
            bytes = Vec::new();
        } else if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        let hash = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11;
        Ok(Some(Line { number: self.number, bytes, is_too_long, hash, is_plain }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        // A small buffer, so that lines lie across its ends.
        let mut lines = Lines::new(BufReader::with_capacity(7, input));
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_are_numbered_with_the_blank_ones() {
        let lines = lines(b"\xef\xbb\xbf\n  \none line that is long\r\n\n{two}");
        let texts: Vec<_> = lines.iter().map(|line| (line.number, line.bytes.as_slice())).collect();
        assert_eq!(texts, [(3, &b"one line that is long"[..]), (5, b"{two}")]);
        assert!(lines.iter().all(|line| line.is_plain));
    }

    #[test]
    fn a_file_that_begins_with_a_brace_is_json() {
        assert!(lines(b"\xef\xbb\xbf\n {}\nx").iter().all(|line| !line.is_plain));
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_told_from_others() {
        let mut input = vec![b'x'; MAX_BODY + 1];
        input.extend_from_slice(b"\nnext\n");
        let first = lines(&input);
        assert!(first[0].is_too_long && first[0].bytes.is_empty() && first[0].is_plain);
        assert_eq!(first[1].bytes, b"next");
        input[MAX_BODY] = b'y';
        assert_ne!(lines(&input)[0].hash, first[0].hash);
        assert_eq!(lines(&input)[1].hash, first[1].hash);
        let longest = vec![b'x'; MAX_BODY];
        assert_eq!(lines(&longest)[0].bytes, longest);
    }
}
