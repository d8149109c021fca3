//! Decodes ids to text, one piece at a time.

use std::sync::Arc;

use super::{SPACE_MARK, Tokenizer};
use crate::error::Result;

/// Decodes the ids of a reply while it is generated.
///
/// Each [`push`](Self::push) returns complete characters only, even if several byte pieces spell one character. A
/// control piece gives no text. All pieces joined equal [`Tokenizer::decode`] of the ids without the control pieces.
pub struct TextStream {
    tokenizer: Arc<Tokenizer>,
    detokenizer: Detokenizer,
}

impl TextStream {
    /// An empty stream.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        let detokenizer = Detokenizer::new(tokenizer.space_prefix);
        Self { tokenizer, detokenizer }
    }

    /// Takes the next id and returns the text that it completes, if any.
    ///
    /// # Errors
    ///
    /// [`Error::TokenOutOfRange`](crate::error::Error::TokenOutOfRange) if the id is beyond the embedding.
    pub fn push(&mut self, id: u32) -> Result<Option<String>> {
        let mut text = String::new();
        if let Some(piece) = self.tokenizer.checked_piece(id)?
            && !self.tokenizer.is_control(id)
        {
            self.detokenizer.push(&piece, &mut text);
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The bytes of an incomplete character at the end, each as one U+FFFD. After that the stream is empty again.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        self.detokenizer.finish(&mut text);
        self.detokenizer = Detokenizer::new(self.tokenizer.space_prefix);
        text
    }
}

/// Joins pieces. Marks become spaces. Byte pieces become characters, or one U+FFFD per byte that is not UTF-8.
pub(super) struct Detokenizer {
    /// The bytes of an incomplete character; at most three between calls.
    pending: Vec<u8>,
    /// Whether the tokenizer put a space at the beginning of the text.
    strip_space: bool,
}

impl Detokenizer {
    pub(super) fn new(strip_space: bool) -> Self {
        Self { pending: Vec::new(), strip_space }
    }

    pub(super) fn push(&mut self, piece: &str, out: &mut String) {
        let start = out.len();
        if let Some(byte) = byte_of(piece) {
            self.pending.push(byte);
            self.drain(out);
        } else {
            self.finish(out);
            out.push_str(&piece.replace(SPACE_MARK, " "));
        }
        if self.strip_space && out.len() > start {
            self.strip_space = false;
            if out[start..].starts_with(' ') {
                out.remove(start);
            }
        }
    }

    /// Replaces the pending bytes, which are not a character, by one U+FFFD each.
    pub(super) fn finish(&mut self, out: &mut String) {
        out.extend(self.pending.drain(..).map(|_| char::REPLACEMENT_CHARACTER));
    }

    /// Writes the complete characters and the invalid bytes of the pending bytes.
    fn drain(&mut self, out: &mut String) {
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(text) => {
                    out.push_str(text);
                    self.pending.clear();
                    return;
                }
                Err(error) => match error.error_len() {
                    // All valid bytes were written, so the error is at the first byte.
                    Some(_) => {
                        self.pending.remove(0);
                        out.push(char::REPLACEMENT_CHARACTER);
                    }
                    None => return,
                },
            }
        }
    }
}

/// The byte of a byte piece such as `<0xE2>`; `None` for other pieces.
pub fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hex { u8::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ROWS, both, gguf, load_gguf};
    use super::*;
    use crate::random::random;

    #[test]
    fn byte_pieces_are_recognized() {
        assert_eq!((byte_of("<0xE2>"), byte_of("<0x0A>")), (Some(0xE2), Some(10)));
        for piece in ["<0x>", "<0xE>", "<0xGG>", "<0x+1>", "<div>", "0xE2", ""] {
            assert_eq!(byte_of(piece), None, "{piece}");
        }
    }

    fn ids(tokenizer: &Tokenizer, pieces: &[&str]) -> Vec<u32> {
        pieces.iter().map(|piece| tokenizer.id(piece).unwrap()).collect()
    }

    /// The text of each push, and the rest.
    fn streamed(tokenizer: Tokenizer, pieces: &[&str]) -> (Vec<Option<String>>, String) {
        let ids = ids(&tokenizer, pieces);
        let mut stream = TextStream::new(Arc::new(tokenizer));
        let pushed = ids.iter().map(|id| stream.push(*id).unwrap()).collect();
        (pushed, stream.finish())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn characters_come_whole() {
        for tokenizer in both() {
            let (pushed, rest) =
                streamed(tokenizer, &["hello", "<0xF0>", "<0x9F>", "<0x8E>", "<0x89>", "▁world", "\n"]);
            assert_eq!(pushed, [some("hello"), None, None, None, some("🎉"), some(" world"), some("\n")]);
            assert_eq!(rest, "");
        }
    }

    #[test]
    fn broken_bytes_become_replacement_characters() {
        for tokenizer in both() {
            let (pushed, rest) =
                streamed(tokenizer, &["<0xE2>", "<0x98>", "a", "<0xFF>", "<0x41>", "<0xE2>", "<0xC3>", "<0xA9>"]);
            let expected =
                [None, None, some("\u{FFFD}\u{FFFD}a"), some("\u{FFFD}"), some("A"), None, some("\u{FFFD}"), some("é")];
            assert_eq!(pushed, expected);
            assert_eq!(rest, "");
        }
        for tokenizer in both() {
            assert_eq!(streamed(tokenizer, &["a", "<0xF0>", "<0x9F>"]).1, "\u{FFFD}\u{FFFD}");
        }
    }

    #[test]
    fn control_pieces_print_nothing() {
        for tokenizer in both() {
            let (pushed, rest) = streamed(tokenizer, &["<0xC3>", "<end_of_turn>", "<0xA9>", "<unused0>", "<h1>"]);
            assert_eq!(pushed, [None, None, some("é"), None, some("<h1>")]);
            assert_eq!(rest, "");
        }
    }

    #[test]
    fn finish_starts_afresh() {
        let tokenizer = load_gguf(crate::load::GgufVocab { add_space_prefix: Some(true), ..gguf() }, ROWS).unwrap();
        let ids = tokenizer.encode("world world").unwrap();
        let mut stream = TextStream::new(Arc::new(tokenizer));
        for _ in 0..2 {
            let text: String = ids.iter().filter_map(|id| stream.push(*id).unwrap()).collect();
            assert_eq!(text, "world world");
            assert_eq!(stream.finish(), "");
        }
        assert!(stream.push(ROWS as u32).is_err());
    }

    #[test]
    fn a_stream_joins_to_what_decode_gives() {
        let mut state = 0x1234_5678_9ABC_DEF1;
        for tokenizer in both() {
            let tokenizer = Arc::new(tokenizer);
            let mut stream = TextStream::new(tokenizer.clone());
            for _ in 0..200 {
                let ids: Vec<u32> = (0..random(&mut state, 50)).map(|_| random(&mut state, ROWS) as u32).collect();
                let shown: Vec<u32> = ids.iter().copied().filter(|id| !tokenizer.is_control(*id)).collect();
                let mut text: String = ids.iter().filter_map(|id| stream.push(*id).unwrap()).collect();
                text.push_str(&stream.finish());
                assert_eq!(text, tokenizer.decode(&shown).unwrap());
            }
        }
    }
}
