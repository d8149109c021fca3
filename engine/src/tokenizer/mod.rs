//! Text to token ids and back.
//!
//! A model has its vocabulary in a `tokenizer.json` or inside its GGUF file. Both are loaded into the BPE of the
//! `tokenizers` crate, and both give the same ids as the reference. That crate's loader is not used: it takes two
//! seconds and 200 MB for Gemma-3's file, panics on some damaged files, and would let a user type control pieces.
//!
//! Pieces come in three kinds:
//!
//! - **control** pieces steer the model: `<bos>`, `<start_of_turn>`, `<mask>`, `<unused7>`, … (see `is_control_name`
//!   and the file's flags). They are not in the vocabulary of the merges, so plain text never becomes one. Only
//!   [`Tokenizer::encode`] produces them, by searching the text before merging.
//! - **whole** pieces are found in the text before merging: `\n\n`, runs of spaces, `<h1>`, …
//! - **ordinary** pieces, among them the byte pieces `<0x00>` … `<0xFF>`, come from merging.

mod assemble;
mod export;
#[cfg(test)]
pub(crate) mod fixture;
mod gguf;
mod json;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use tokenizers::{DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl};

use crate::error::{Error, Result};
use crate::load::TokenizerSource;

pub(crate) use export::gguf_vocab;
pub use stream::{TextStream, byte_of};

use assemble::{Parts, Pieces};
use stream::Detokenizer;

/// The character for a space inside a piece.
const SPACE_MARK: &str = "▁";
/// The most bytes of a control or whole piece; the real ones are shorter than 50.
const MAX_PIECE: usize = 256;

/// The tokenizer of a model. Share it with an [`Arc`](std::sync::Arc).
pub struct Tokenizer {
    path: PathBuf,
    pieces: Pieces,
    /// Searches for control and whole pieces.
    parsing: Library,
    /// Searches for whole pieces only.
    plain: Library,
    vocab_size: usize,
    len: usize,
    space_prefix: bool,
    named: Named,
}

type Library = TokenizerImpl<Pieces, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("path", &self.path).field("len", &self.len).finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads the tokenizer of a model whose embedding has `vocab_size` rows. The embedding may have more rows than the
    /// tokenizer has pieces, but not fewer.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] if it is missing or damaged or has ids of `vocab_size` or more, and [`Error::Unsupported`]
    /// if it is not of Gemma's kind.
    pub fn load(source: &TokenizerSource, vocab_size: usize) -> Result<Self> {
        parts_of(source, vocab_size)?.assemble(vocab_size)
    }

    /// The ids of `text`, where control pieces are parsed. Adds no `<bos>`.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the library fails, which no text is known to cause.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with(&self.parsing, text)
    }

    /// The ids of `text` as a person typed it: control pieces in it are ordinary text.
    ///
    /// A control piece is tokenized like any other text, as if it were not in the vocabulary (`<start_of_turn>` becomes
    /// `<`, `start`, `_`, `of`, …). Whole pieces such as `<h1>`, `\n\n` or a run of spaces are not control pieces and
    /// tokenize as usual. The result has no control id, except `<unk>` for a character that a vocabulary without all
    /// byte pieces cannot spell.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the library fails, which no text is known to cause.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with(&self.plain, text)
    }

    fn encode_with(&self, library: &Library, text: &str) -> Result<Vec<u32>> {
        let encoding = if self.space_prefix && !text.is_empty() {
            library.encode_fast(format!(" {text}"), false)
        } else {
            library.encode_fast(text, false)
        };
        Ok(encoding.map_err(|error| bad(&self.path, error))?.get_ids().to_vec())
    }

    /// The text of `ids`, including control pieces. Each byte that is not UTF-8 becomes one U+FFFD. Ids of padding rows
    /// of the embedding are skipped.
    ///
    /// # Errors
    ///
    /// [`Error::TokenOutOfRange`] if an id is beyond the embedding.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let mut text = String::new();
        let mut detokenizer = Detokenizer::new(self.space_prefix);
        for &id in ids {
            if let Some(piece) = self.checked_piece(id)? {
                detokenizer.push(&piece, &mut text);
            }
        }
        detokenizer.finish(&mut text);
        Ok(text)
    }

    /// The piece of an id as the vocabulary spells it (`▁world`, `<0x0A>`); `None` if the id has no piece.
    pub fn piece(&self, id: u32) -> Option<String> {
        self.pieces.id_to_token(id)
    }

    /// Like [`Self::piece`], but an id beyond the embedding is an error.
    fn checked_piece(&self, id: u32) -> Result<Option<String>> {
        if id as usize >= self.vocab_size {
            return Err(Error::TokenOutOfRange { id, vocab_size: self.vocab_size });
        }
        Ok(self.piece(id))
    }

    /// The id of a piece, spelt as in [`Self::piece`].
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.pieces.token_to_id(piece)
    }

    /// The id that begins every prompt, `<bos>`.
    pub fn bos_id(&self) -> u32 {
        self.named.bos
    }

    /// The id that ends a text, `<eos>`.
    pub fn eos_id(&self) -> Option<u32> {
        self.named.eos
    }

    /// The id of padding, `<pad>`.
    pub fn pad_id(&self) -> Option<u32> {
        self.named.pad
    }

    /// The id of text that the vocabulary cannot spell, `<unk>`.
    pub fn unk_id(&self) -> Option<u32> {
        self.named.unk
    }

    /// The id that begins a turn, `<start_of_turn>`.
    pub fn start_of_turn_id(&self) -> Option<u32> {
        self.id("<start_of_turn>")
    }

    /// The id that ends a turn, `<end_of_turn>`.
    pub fn end_of_turn_id(&self) -> Option<u32> {
        self.id("<end_of_turn>")
    }

    /// Whether an id is a control piece. Those are never shown, and a user cannot type them.
    pub fn is_control(&self, id: u32) -> bool {
        self.pieces.0.control_pieces.contains_key(&id)
    }

    /// One more than the highest id that has a piece.
    #[allow(clippy::len_without_is_empty, reason = "an empty vocabulary does not load")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Whether a piece of this name is a control piece, independent of its type in the file. Most files list `<mask>` and
/// `<unused7>` as user-defined pieces.
fn is_control_name(piece: &str) -> bool {
    const NAMES: [&str; 13] = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        "<mask>",
        "<2mass>",
        "[@BOS@]",
        "[multimodal]",
        "<start_of_turn>",
        "<end_of_turn>",
        "<start_of_image>",
        "<end_of_image>",
        "<image_soft_token>",
    ];
    let unused = |piece: &str| {
        let number = piece.strip_prefix("<unused").and_then(|rest| rest.strip_suffix('>'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    piece.starts_with(['<', '[']) && (NAMES.contains(&piece) || unused(piece))
}

fn bad(path: &Path, reason: impl fmt::Display) -> Error {
    Error::Tokenizer { path: path.to_owned(), reason: reason.to_string() }
}

/// Ids that a file names apart from the vocabulary.
struct Named {
    bos: u32,
    eos: Option<u32>,
    pad: Option<u32>,
    unk: Option<u32>,
}

/// The parts of a tokenizer, not yet checked as a whole.
fn parts_of(source: &TokenizerSource, vocab_size: usize) -> Result<Parts> {
    match source {
        TokenizerSource::Json { path, bytes } => json::parts(path, bytes, vocab_size),
        TokenizerSource::Gguf { path, vocab } => gguf::parts(path, vocab, vocab_size),
        TokenizerSource::Missing { looked_for } => {
            Err(bad(looked_for, "there is none; put the model's tokenizer.json there"))
        }
    }
}
