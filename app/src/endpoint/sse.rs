//! Reads server-sent events as they arrive, in pieces that may end anywhere.

use std::collections::VecDeque;

/// The longest line and the longest event, in bytes. Most events of a chat hold a token with its alternatives, which are some
/// kilobytes. A server that sends a long reply in one event has those of all tokens in it.
pub(super) const MAX_EVENT: usize = 8 << 20;

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A line or an event is longer than [`MAX_EVENT`].
    TooLong,
    /// An event's data is not UTF-8.
    NotUtf8,
}

/// An incremental reader of the data of events. Names, ids and comments are passed over.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The data of the event that has not ended yet.
    data: Option<Vec<u8>>,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
    /// Whether a line has ended. Only the first may begin with a byte-order mark.
    begun: bool,
    events: VecDeque<String>,
}

impl Parser {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`Malformed`]. Nothing more can be read then; events that were complete before are still there.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + piece.len() > MAX_EVENT {
                return Err(Malformed::TooLong);
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { return Ok(()) };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line()?;
        }
        Ok(())
    }

    /// Takes the end of the stream, where some servers leave out the last empty line.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        self.end_event()
    }

    /// The data of the next complete event.
    pub(super) fn event(&mut self) -> Option<String> {
        self.events.pop_front()
    }

    fn end_line(&mut self) -> Result<(), Malformed> {
        let line = std::mem::take(&mut self.line);
        let begun = std::mem::replace(&mut self.begun, true);
        let line = if begun { &line[..] } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) };
        if line.is_empty() {
            return self.end_event();
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        if name != b"data" {
            return Ok(());
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let data = match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data
            }
            None => self.data.insert(Vec::new()),
        };
        if data.len() + value.len() > MAX_EVENT {
            return Err(Malformed::TooLong);
        }
        data.extend_from_slice(value);
        Ok(())
    }

    fn end_event(&mut self) -> Result<(), Malformed> {
        if let Some(data) = self.data.take() {
            self.events.push_back(String::from_utf8(data).map_err(|_| Malformed::NotUtf8)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.push(piece).unwrap();
        }
        parser.end().unwrap();
        std::iter::from_fn(|| parser.event()).collect()
    }

    const STREAM: &str = "\u{feff}data: {\"a\": 1}\n\n: a comment\n\n:\r\nevent: delta\r\nid: 7\r\ndata:no space\r\n\r\n\
        data: zwei\rdata: Zeilen – ä𝄞\r\rretry: 5\n\ndata\n\ndata:  one space stays\n\n\n\ndata: [DONE]\n";

    #[test]
    fn every_split_of_a_stream_gives_the_same_events() {
        let expected = ["{\"a\": 1}", "no space", "zwei\nZeilen – ä𝄞", "", " one space stays", "[DONE]"];
        let bytes = STREAM.as_bytes();
        assert_eq!(events(&[bytes]), expected);
        for first in 0..=bytes.len() {
            assert_eq!(events(&[&bytes[..first], &bytes[first..]]), expected, "split at {first}");
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(events(&pieces), expected, "split at {first} and {second}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(events(&single), expected);
    }

    #[test]
    fn long_lines_and_events_are_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 4096];
        let refused = (0..).find_map(|count| parser.push(&piece).err().map(|error| (count, error)));
        assert_eq!(refused, Some((MAX_EVENT / 4096, Malformed::TooLong)));
        let mut parser = Parser::default();
        let line = [b"data: ", &piece[..], b"\n"].concat();
        let refused = (0..).find_map(|count| parser.push(&line).err().map(|error| (count, error)));
        let (count, error) = refused.unwrap();
        assert!(count <= MAX_EVENT / 4096 && error == Malformed::TooLong, "{count}");
    }

    #[test]
    fn invalid_utf8_is_refused_in_data_only() {
        assert_eq!(events(&[b": \xff\n\ndata: ok\n\n"]), ["ok"]);
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"data: good\n\ndata: \xff\n\n"), Err(Malformed::NotUtf8));
        assert_eq!(parser.event().as_deref(), Some("good"));
    }
}
