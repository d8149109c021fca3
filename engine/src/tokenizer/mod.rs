//! Text to token ids and back.
//!
//! A model brings its vocabulary as a `tokenizer.json` or inside its GGUF file. Both end up in the BPE of the
//! `tokenizers` crate, and both give the ids of the reference. The crate's own loader is not used: it takes two seconds
//! and 200 MB for Gemma-3's file, panics on some damaged ones, and would let a user type control pieces.
//!
//! Pieces come in three kinds:
//!
//! - **control** pieces steer the model: `<bos>`, `<start_of_turn>`, `<mask>`, `<unused7>`, … (see [`is_control_name`]
//!   and the file's own flags). They are kept out of the vocabulary that text is merged from, so that plain text cannot
//!   reach them: only [`Tokenizer::encode`] does, which looks for them before it merges.
//! - **whole** pieces are found in the text before anything is merged: `\n\n`, runs of spaces, `<h1>`, …
//! - **ordinary** pieces, among them the byte pieces `<0x00>` … `<0xFF>`, come from merging.

mod gguf;
mod stream;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use tokenizers::models::bpe::{BPE, BpeBuilder, BpeTrainer, Vocab};
use tokenizers::{
    AddedToken, DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Token,
    TokenizerImpl,
};

use crate::error::{Error, Result};
use crate::load::TokenizerSource;

pub use stream::TextStream;

use stream::Detokenizer;

/// What a space looks like inside a piece.
const SPACE_MARK: &str = "▁";
/// Longer pieces than this are never looked for in a text, and the real ones stay under 50 bytes.
const MAX_PIECE: usize = 256;
/// Control and whole pieces go into an automaton; this bounds it, in bytes. Gemma-3 needs 0.1 MB.
const MAX_SEARCHED: usize = 4 << 20;

/// The tokenizer of a model. Share it behind an [`Arc`].
pub struct Tokenizer {
    path: PathBuf,
    pieces: Pieces,
    /// Looks for control and whole pieces.
    parsing: Library,
    /// Looks for whole pieces only.
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
    /// [`Error::Tokenizer`] where it is missing, damaged or has ids of `vocab_size` and more, and [`Error::Unsupported`]
    /// where it is not of Gemma's kind.
    pub fn load(source: &TokenizerSource, vocab_size: usize) -> Result<Self> {
        let parts = match source {
            TokenizerSource::Json { path, bytes } => parts_of_json(path, bytes, vocab_size)?,
            TokenizerSource::Gguf { path, vocab } => gguf::parts(path, vocab)?,
            TokenizerSource::Missing { looked_for } => {
                return Err(bad(looked_for, "there is none; put the model's tokenizer.json there"));
            }
        };
        parts.assemble(vocab_size)
    }

    /// The ids of `text`, with control pieces in it parsed. Adds no `<bos>`.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] where the library fails, which no text is known to cause.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_with(&self.parsing, text)
    }

    /// The ids of `text` as a person typed it: control pieces in it are ordinary text.
    ///
    /// Each control piece is merged from its characters like any other text, as though the vocabulary did not have it
    /// (`<start_of_turn>` becomes `<`, `start`, `_`, `of`, …). Whole pieces such as `<h1>`, `\n\n` or a run of spaces are
    /// not control pieces and tokenize as ever. No control id comes out, except `<unk>` for a character that a vocabulary
    /// without all the byte pieces cannot spell.
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

    /// The text of `ids`, with control pieces spelt out. Bytes that are not UTF-8 become one U+FFFD each, and rows that
    /// only pad the embedding are skipped.
    ///
    /// # Errors
    ///
    /// [`Error::TokenOutOfRange`] where an id is beyond the embedding.
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

    /// The piece of an id as the vocabulary spells it (`▁world`, `<0x0A>`), or nothing where there is none.
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

    /// The id of what cannot be spelt, `<unk>`.
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

    /// Whether an id is a control piece, which is never shown and which no one can type.
    pub fn is_control(&self, id: u32) -> bool {
        self.pieces.0.control_pieces.contains_key(&id)
    }

    /// One more than the highest id that has a piece.
    #[allow(clippy::len_without_is_empty, reason = "an empty vocabulary does not load")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Whether a piece of this name steers the model, whatever its file says: `<mask>` and `<unused7>` are mere user-defined
/// pieces to most files.
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

/// The pieces, shared by the two libraries of a [`Tokenizer`].
#[derive(Clone)]
struct Pieces(Arc<PiecesInner>);

struct PiecesInner {
    /// Ordinary and whole pieces, and `<unk>`, which no merge makes.
    bpe: BPE,
    control_ids: HashMap<String, u32>,
    control_pieces: HashMap<u32, String>,
}

/// Only what encoding needs.
impl Model for Pieces {
    type Trainer = BpeTrainer;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        self.0.bpe.tokenize(sequence)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.0.control_ids.get(token).copied().or_else(|| self.0.bpe.token_to_id(token))
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.0.control_pieces.get(&id).cloned().or_else(|| self.0.bpe.id_to_token(id))
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        let mut vocab = self.0.bpe.get_vocab();
        vocab.extend(self.0.control_ids.clone());
        vocab
    }

    fn get_vocab_size(&self) -> usize {
        self.0.bpe.get_vocab_size() + self.0.control_ids.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        Err("a tokenizer is not written".into())
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}

/// A tokenizer as a file describes it, before it is checked.
#[derive(Default)]
struct Parts {
    path: PathBuf,
    /// Ordinary and whole pieces.
    vocab: Vec<(String, u32)>,
    /// Control pieces.
    control: Vec<(String, u32)>,
    /// The control pieces that [`Tokenizer::encode`] parses.
    parsed: Vec<AddedToken>,
    /// The whole pieces.
    whole: Vec<AddedToken>,
    /// Pairs of pieces, the first to be merged first.
    merges: Vec<(String, String)>,
    byte_fallback: bool,
    fuse_unk: bool,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    /// Whether a text gets a space in front.
    space_prefix: bool,
    bos: Option<u32>,
    eos: Option<u32>,
    pad: Option<u32>,
    unk: Option<u32>,
}

impl Parts {
    fn assemble(self, vocab_size: usize) -> Result<Tokenizer> {
        let len = self.check_ids(vocab_size)?;
        self.check_searched()?;
        let path = self.path;
        let control_pieces: HashMap<u32, String> =
            self.control.iter().map(|(piece, id)| (*id, piece.clone())).collect();
        let control_ids: HashMap<String, u32> = self.control.into_iter().collect();
        let mut vocab: Vocab = self.vocab.into_iter().collect();

        let find = |given: Option<u32>, piece: &str| given.or_else(|| control_ids.get(piece).copied());
        let named = Named {
            bos: find(self.bos, "<bos>").ok_or_else(|| bad(&path, "it has no piece <bos>"))?,
            eos: find(self.eos, "<eos>"),
            pad: find(self.pad, "<pad>"),
            unk: find(self.unk, "<unk>"),
        };

        let mut builder = BpeBuilder::new().byte_fallback(self.byte_fallback).fuse_unk(self.fuse_unk);
        let unk = named.unk.and_then(|id| control_pieces.get(&id));
        if let Some(unk) = unk {
            builder = builder.unk_token(unk.clone());
        } else if !(self.byte_fallback && (0..=255u8).all(|byte| vocab.contains_key(&format!("<0x{byte:02X}>")))) {
            return Err(bad(&path, "it has neither a control piece <unk> nor all 256 byte pieces"));
        }
        let merges = possible_merges(&path, self.merges, &vocab, &control_ids)?;
        if let (Some(unk), Some(id)) = (unk, named.unk) {
            vocab.insert(unk.clone(), id);
        }
        // A whole chat is one word to this BPE, so a cache of words would only grow.
        let bpe = builder.vocab_and_merges(vocab, merges).cache_capacity(0).build();
        let bpe = bpe.map_err(|error| bad(&path, error))?;
        let pieces = Pieces(Arc::new(PiecesInner { bpe, control_ids, control_pieces }));

        let library = |added: Vec<AddedToken>| -> Result<Library> {
            let mut library = Library::new(pieces.clone());
            library.with_pre_tokenizer(self.pre_tokenizer.clone());
            library.with_normalizer(self.normalizer.clone()).map_err(|error| bad(&path, error))?;
            library.add_tokens(added).map_err(|error| bad(&path, error))?;
            Ok(library)
        };
        let parsing = library(self.parsed.into_iter().chain(self.whole.iter().cloned()).collect())?;
        let plain = library(self.whole)?;
        Ok(Tokenizer { path, pieces, parsing, plain, vocab_size, len, space_prefix: self.space_prefix, named })
    }

    /// Ids must be below `vocab_size` and stand for one piece each, and the other way around. Returns one more than the
    /// highest.
    fn check_ids(&self, vocab_size: usize) -> Result<usize> {
        let mut ids = vec![false; vocab_size];
        let mut pieces = HashSet::with_capacity(self.vocab.len() + self.control.len());
        for (piece, id) in self.vocab.iter().chain(&self.control) {
            let Some(taken) = ids.get_mut(*id as usize) else {
                let short = shorten(piece);
                let reason =
                    format!("the piece {short} has the id {id}, but the model's embedding has {vocab_size} rows");
                return Err(bad(&self.path, reason));
            };
            if std::mem::replace(taken, true) {
                return Err(bad(&self.path, format!("the id {id} stands for two pieces")));
            }
            if !pieces.insert(piece.as_str()) {
                return Err(bad(&self.path, format!("the piece {} has two ids", shorten(piece))));
            }
        }
        let named = [("bos", self.bos), ("eos", self.eos), ("pad", self.pad), ("unk", self.unk)];
        for (name, id) in named.iter().filter_map(|(name, id)| Some((name, (*id)?))) {
            if !ids.get(id as usize).is_some_and(|taken| *taken) {
                return Err(bad(&self.path, format!("its {name} id is {id}, which no piece has")));
            }
        }
        Ok(ids.iter().rposition(|taken| *taken).map_or(0, |last| last + 1))
    }

    fn check_searched(&self) -> Result<()> {
        let mut total = 0;
        for token in self.parsed.iter().chain(&self.whole) {
            let len = token.content.len();
            total += len;
            if len > MAX_PIECE {
                let reason = format!(
                    "the control piece {} has {len} bytes; at most {MAX_PIECE} make sense",
                    shorten(&token.content)
                );
                return Err(bad(&self.path, reason));
            }
        }
        if total > MAX_SEARCHED {
            return Err(bad(
                &self.path,
                format!("its control pieces take {total} bytes; at most {MAX_SEARCHED} make sense"),
            ));
        }
        Ok(())
    }
}

/// A piece for an error message.
fn shorten(piece: &str) -> String {
    let mut short: String = piece.chars().take(40).collect();
    if short.len() < piece.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The merges without those that make or need a control piece. Merges of unknown pieces are an error, which the library
/// would mostly notice too; but it panics where the result is longer than every piece.
fn possible_merges(
    path: &Path,
    mut merges: Vec<(String, String)>,
    vocab: &Vocab,
    control: &HashMap<String, u32>,
) -> Result<Vec<(String, String)>> {
    let longest = vocab.keys().map(String::len).max().unwrap_or(0);
    // Few merges begin like a control piece, so most need no lookup.
    let mut first_bytes = [false; 256];
    for byte in control.keys().filter_map(|piece| piece.bytes().next()) {
        first_bytes[usize::from(byte)] = true;
    }
    let may_be_control = |piece: &str| piece.bytes().next().is_some_and(|byte| first_bytes[usize::from(byte)]);
    merges.retain(|(left, right)| {
        let needs = |piece: &str| may_be_control(piece) && control.contains_key(piece);
        !(needs(left) || needs(right) || (may_be_control(left) && control.contains_key(&format!("{left}{right}"))))
    });
    match merges.iter().find(|(left, right)| left.len() + right.len() > longest) {
        Some((left, right)) => {
            Err(bad(path, format!("it merges {} and {} into an unknown piece", shorten(left), shorten(right))))
        }
        None => Ok(merges),
    }
}

/// The parts of a `tokenizer.json`. Control pieces beyond the embedding are left out rather than refused: Gemma-3's text
/// models come with one for images, which they have no row for.
fn parts_of_json(path: &Path, bytes: &[u8], vocab_size: usize) -> Result<Parts> {
    let unsupported = |what: &str| Error::Unsupported {
        what: format!("{what} in {}", path.display()),
        hint: "use the tokenizer.json that Gemma comes with".to_owned(),
    };
    let file = serde_json::from_slice::<TokenizerFile>(bytes);
    // Other kinds have vocabularies of other shapes, so look at the kind before complaining of the shape.
    let kind = match &file {
        Ok(file) => file.model.kind.clone(),
        Err(_) => serde_json::from_slice::<KindFile>(bytes).ok().and_then(|file| file.model.kind),
    };
    if let Some(kind) = kind.filter(|kind| kind != "BPE") {
        return Err(unsupported(&format!("the tokenizer kind {}", shorten(&kind))));
    }
    let file = file.map_err(|error| bad(path, error))?;
    if file.decoder.is_some_and(|decoder| !decoder.is_gemmas()) {
        return Err(unsupported("the decoder"));
    }
    let model = file.model;
    let affix = |affix: Option<String>| affix.is_some_and(|affix| !affix.is_empty());
    if model.ignore_merges || affix(model.continuing_subword_prefix) || affix(model.end_of_word_suffix) {
        return Err(unsupported("ignore_merges, continuing_subword_prefix or end_of_word_suffix"));
    }

    let mut parts = Parts {
        path: path.to_owned(),
        merges: model.merges.into_iter().map(|merge| (merge.0, merge.1)).collect(),
        byte_fallback: model.byte_fallback,
        fuse_unk: model.fuse_unk,
        normalizer: file.normalizer,
        pre_tokenizer: file.pre_tokenizer,
        ..Parts::default()
    };
    let mut added: HashMap<String, AddedFile> = HashMap::with_capacity(file.added_tokens.len());
    for token in file.added_tokens {
        added.insert(token.content.clone(), token);
    }
    let mut unk = None;
    for (piece, id) in model.vocab.0 {
        let token = added.remove(&piece);
        if token.as_ref().is_some_and(|token| token.id != id) {
            return Err(bad(path, format!("the piece {} has two ids", shorten(&piece))));
        }
        let is_unk = model.unk_token.as_ref() == Some(&piece);
        if is_unk {
            unk = Some(id);
        }
        let control = is_unk || is_control_name(&piece) || token.as_ref().is_some_and(|token| token.special);
        parts.add(piece, id, control, token.map(AddedFile::into_token));
    }
    if let Some(unk) = model.unk_token.filter(|_| unk.is_none()) {
        return Err(bad(path, format!("its unk_token {} is not in its vocabulary", shorten(&unk))));
    }
    parts.unk = unk;
    // What is left is not in the vocabulary proper.
    for (piece, token) in added {
        let control = token.special || is_control_name(&piece);
        if control && token.id as usize >= vocab_size {
            log::debug!("{}: the model has no row for {}", path.display(), shorten(&piece));
            continue;
        }
        parts.add(piece, token.id, control, Some(token.into_token()));
    }
    Ok(parts)
}

impl Parts {
    /// Adds a piece, with the way to look for it where it is looked for.
    fn add(&mut self, piece: String, id: u32, control: bool, token: Option<AddedToken>) {
        if control {
            self.control.push((piece, id));
            self.parsed.extend(token);
        } else {
            self.vocab.push((piece, id));
            self.whole.extend(token);
        }
    }
}

/// The kind alone.
#[derive(Deserialize)]
struct KindFile {
    model: KindModel,
}

#[derive(Deserialize)]
struct KindModel {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What is read of a `tokenizer.json`. Truncation, padding and the post-processor, which adds `<bos>`, are not wanted.
#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedFile>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    decoder: Option<DecoderFile>,
    model: ModelFile,
}

#[derive(Deserialize)]
struct AddedFile {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl AddedFile {
    fn into_token(self) -> AddedToken {
        AddedToken::from(self.content, self.special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized)
    }
}

#[derive(Deserialize)]
struct ModelFile {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: Entries,
    merges: Vec<Merge>,
}

/// The steps of a decoder. [`Detokenizer`] does what Gemma's do; others would need code of their own.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum DecoderFile {
    Sequence {
        decoders: Vec<DecoderFile>,
    },
    Replace {
        content: String,
    },
    ByteFallback {},
    Fuse {},
    #[serde(other)]
    Other,
}

impl DecoderFile {
    fn is_gemmas(&self) -> bool {
        match self {
            Self::Sequence { decoders } => decoders.iter().all(Self::is_gemmas),
            Self::Replace { content } => content == " ",
            Self::ByteFallback {} | Self::Fuse {} => true,
            Self::Other => false,
        }
    }
}

/// A JSON object of pieces and ids in the file's order, with duplicates, which a map would hide.
struct Entries(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of pieces and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Entry)
    }
}

/// A merge, which newer files write as `["a", "b"]` and older ones as `"a b"`.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two pieces")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Merge, E> {
                let mut pieces = text.split(' ');
                match (pieces.next(), pieces.next(), pieces.next()) {
                    (Some(left), Some(right), None) => Ok(Merge(left.to_owned(), right.to_owned())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<Merge, A::Error> {
                let left = pieces.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let right = pieces.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                Ok(Merge(left, right))
            }
        }
        deserializer.deserialize_any(Pair)
    }
}

/// A vocabulary small enough to reason about, for the tests of this module and of the template.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;
    use crate::load::GgufVocab;

    /// Rows of the embedding, some of them padding.
    pub(crate) const ROWS: usize = 512;

    /// Pieces that merging makes, in the order of their ids, and the only way to split each.
    const MERGED: [(&str, &str); 26] = [
        ("h", "e"),
        ("l", "l"),
        ("he", "ll"),
        ("hell", "o"),
        ("o", "r"),
        ("▁", "w"),
        ("▁w", "or"),
        ("l", "d"),
        ("▁wor", "ld"),
        ("u", "s"),
        ("e", "r"),
        ("us", "er"),
        ("m", "o"),
        ("d", "e"),
        ("mo", "de"),
        ("mode", "l"),
        ("<", "m"),
        ("a", "s"),
        ("<m", "as"),
        ("k", ">"),
        ("t", "u"),
        ("r", "n"),
        ("tu", "rn"),
        ("<", "end"),
        ("e", "n"),
        ("en", "d"),
    ];

    /// The pieces with their GGUF types and scores; ids are positions.
    pub(crate) fn gguf() -> GgufVocab {
        let control = [
            "<pad>",
            "<eos>",
            "<bos>",
            "<unk>",
            "<mask>",
            "[multimodal]",
            "<unused0>",
            "<start_of_turn>",
            "<end_of_turn>",
        ];
        let whole = ["\n", "\n\n", "  ", "   ", "<h1>"];
        let mut pieces: Vec<(String, i32, f32)> = Vec::new();
        pieces.extend(control.map(|piece| (piece.to_owned(), 3, -1000.0)));
        // Real files give this one the wrong type.
        pieces[5].1 = 4;
        pieces.extend(whole.map(|piece| (piece.to_owned(), 4, -1000.0)));
        pieces.extend((0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 6, 0.0)));
        let merged = MERGED.iter().map(|(left, right)| format!("{left}{right}"));
        let letters = "▁abcdefghijklmnopqrstuvwxyz<>_[]/0123é".chars().map(String::from);
        pieces.extend(merged.chain(letters).zip(0u16..).map(|(piece, rank)| (piece, 1, -f32::from(rank))));
        GgufVocab {
            model: "llama".to_owned(),
            tokens: pieces.iter().map(|(piece, ..)| piece.clone()).collect(),
            token_types: pieces.iter().map(|(_, kind, _)| *kind).collect(),
            scores: pieces.iter().map(|(.., score)| *score).collect(),
            bos_id: Some(2),
            eos_id: Some(1),
            unk_id: Some(3),
            pad_id: Some(0),
            add_bos: true,
            add_space_prefix: Some(false),
            merges: Vec::new(),
            chat_template: None,
        }
    }

    /// The same as a `tokenizer.json`.
    pub(crate) fn json() -> serde_json::Value {
        use serde_json::{Map, Value, json};
        let gguf = gguf();
        let mut vocab = Map::new();
        let mut added = Vec::new();
        for (id, (piece, kind)) in gguf.tokens.iter().zip(&gguf.token_types).enumerate() {
            let piece = piece.replace(' ', SPACE_MARK);
            vocab.insert(piece.clone(), Value::from(id));
            if matches!(kind, 3 | 4) {
                let special = !matches!(piece.as_str(), "<mask>" | "<unused0>") && *kind == 3;
                added.push(json!({ "id": id, "content": piece, "normalized": false, "special": special }));
            }
        }
        // A row that the model lacks, as in Gemma-3's text models.
        added.push(json!({ "id": ROWS, "content": "<image_soft_token>", "normalized": false, "special": true }));
        let runs = [("▁", "▁"), ("▁▁", "▁"), ("▁", "▁▁")];
        // The last would make a control piece of text.
        let merges: Vec<_> = runs.iter().chain(&MERGED).chain(&[("<mas", "k>")]).collect();
        json!({
            "version": "1.0",
            "added_tokens": added,
            "normalizer": { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
            "pre_tokenizer": { "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious", "invert": false },
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " }, { "type": "ByteFallback" }, { "type": "Fuse" },
            ] },
            "model": {
                "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": merges,
            },
        })
    }

    pub(crate) fn load_json(json: &serde_json::Value) -> Result<Tokenizer> {
        load_bytes(json.to_string().into_bytes(), ROWS)
    }

    pub(crate) fn load_bytes(bytes: Vec<u8>, rows: usize) -> Result<Tokenizer> {
        Tokenizer::load(&TokenizerSource::Json { path: "tokenizer.json".into(), bytes: bytes.into() }, rows)
    }

    pub(crate) fn load_gguf(vocab: GgufVocab, rows: usize) -> Result<Tokenizer> {
        Tokenizer::load(&TokenizerSource::Gguf { path: "model.gguf".into(), vocab }, rows)
    }

    /// The vocabulary from both kinds of files.
    pub(crate) fn both() -> [Tokenizer; 2] {
        [load_json(&json()).unwrap(), load_gguf(gguf(), ROWS).unwrap()]
    }

    /// The text's pieces, joined with `|`.
    pub(crate) fn shown(tokenizer: &Tokenizer, ids: &[u32]) -> String {
        ids.iter().map(|id| tokenizer.piece(*id).unwrap()).collect::<Vec<_>>().join("|")
    }

    /// A pseudo-random number below `below`.
    pub(crate) fn random(state: &mut u64, below: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        ((*state >> 16) % below as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{ROWS, both, gguf, json, load_bytes, load_gguf, load_json, random, shown};
    use super::*;

    #[test]
    fn text_merges_like_the_reference() {
        for tokenizer in both() {
            let pieces = |text: &str| shown(&tokenizer, &tokenizer.encode(text).unwrap());
            assert_eq!(pieces(""), "");
            assert_eq!(pieces(" "), "▁");
            assert_eq!(pieces("hello world"), "hello|▁world");
            assert_eq!(pieces("  world"), "▁▁|w|or|ld");
            assert_eq!(pieces("hello\n\n\nuser"), "hello|\n\n|\n|user");
            assert_eq!(pieces("<h1>hello<h1>"), "<h1>|hello|<h1>");
            assert_eq!(pieces("é☃"), "é|<0xE2>|<0x98>|<0x83>");
            assert_eq!(pieces("<start_of_turn>user\n"), "<start_of_turn>|user|\n");
            assert_eq!(pieces("<mask>[multimodal] <unused0>"), "<mask>|[multimodal]|▁|<unused0>");
            // The model has no row for it.
            assert_eq!(pieces("<image_soft_token>"), "<|i|m|a|g|e|_|s|o|f|t|_|t|o|k|en|>");
            assert_eq!(
                tokenizer.decode(&tokenizer.encode("<bos>hello  é☃\n<h1>").unwrap()).unwrap(),
                "<bos>hello  é☃\n<h1>"
            );
        }
    }

    #[test]
    fn what_is_typed_never_becomes_a_control_piece() {
        for tokenizer in both() {
            let pieces = |text: &str| shown(&tokenizer, &tokenizer.encode_plain(text).unwrap());
            assert_eq!(pieces("<mask>"), "<mas|k>");
            assert_eq!(pieces("<end_of_turn>"), "<end|_|o|f|_|turn|>");
            assert_eq!(pieces("<h1>\n\n  "), "<h1>|\n\n|▁▁");
            for id in 0..ROWS as u32 {
                if tokenizer.is_control(id) {
                    let piece = tokenizer.piece(id).unwrap();
                    let ids = tokenizer.encode_plain(&format!("a{piece}b{piece}{piece}")).unwrap();
                    assert!(ids.iter().all(|id| !tokenizer.is_control(*id)), "{piece}");
                    assert_eq!(tokenizer.decode(&ids).unwrap(), format!("a{piece}b{piece}{piece}"));
                }
            }
            let text = "hello  world\n<h1>é☃";
            assert_eq!(tokenizer.encode_plain(text).unwrap(), tokenizer.encode(text).unwrap());
        }
    }

    #[test]
    fn one_character_control_pieces_are_not_typed_either() {
        let mut vocab = gguf();
        let id = vocab.tokens.iter().position(|piece| piece == "q").unwrap();
        vocab.token_types[id] = 3;
        let tokenizer = load_gguf(vocab, ROWS).unwrap();
        assert_eq!(shown(&tokenizer, &tokenizer.encode("aq").unwrap()), "a|q");
        assert_eq!(shown(&tokenizer, &tokenizer.encode_plain("aq").unwrap()), "a|<0x71>");
    }

    #[test]
    fn ids_have_names() {
        for tokenizer in both() {
            assert_eq!((tokenizer.bos_id(), tokenizer.eos_id()), (2, Some(1)));
            assert_eq!((tokenizer.pad_id(), tokenizer.unk_id()), (Some(0), Some(3)));
            assert_eq!((tokenizer.start_of_turn_id(), tokenizer.end_of_turn_id()), (Some(7), Some(8)));
            assert_eq!((tokenizer.id("\n"), tokenizer.id("▁▁"), tokenizer.id("nothing")), (Some(9), Some(11), None));
            let control: Vec<u32> = (0..ROWS as u32).filter(|id| tokenizer.is_control(*id)).collect();
            assert_eq!(control, Vec::from_iter(0..9));
            assert_eq!(tokenizer.len(), gguf().tokens.len());
            assert_eq!(tokenizer.piece(tokenizer.len() as u32), None);
        }
    }

    #[test]
    fn rows_of_padding_are_silent_and_ids_beyond_them_an_error() {
        for tokenizer in both() {
            let last = ROWS as u32 - 1;
            assert_eq!(tokenizer.decode(&[last]).unwrap(), "");
            let error = tokenizer.decode(&[last + 1]).unwrap_err();
            assert!(matches!(error, Error::TokenOutOfRange { id, vocab_size: ROWS } if id == last + 1));
        }
    }

    #[test]
    fn control_names() {
        for piece in ["<bos>", "<unused0>", "<unused6241>", "[multimodal]", "<start_of_image>"] {
            assert!(is_control_name(piece), "{piece}");
        }
        for piece in ["", "<", "<unused>", "<unused7", "<unusedx>", "<unused-1>", "<h1>", "\n", "<0x0A>"] {
            assert!(!is_control_name(piece), "{piece}");
        }
    }

    #[track_caller]
    fn refused(result: Result<Tokenizer>, reason: &str) {
        match result {
            Err(Error::Tokenizer { reason: given, .. }) if given.contains(reason) => {}
            other => panic!("{other:?}, but expected {reason:?}"),
        }
    }

    #[test]
    fn a_missing_file_says_so() {
        let missing = TokenizerSource::Missing { looked_for: "models/x/tokenizer.json".into() };
        refused(Tokenizer::load(&missing, ROWS), "there is none");
    }

    #[test]
    fn damaged_files_are_errors() {
        refused(load_bytes(Vec::new(), ROWS), "EOF");
        refused(load_bytes(b"\xff\xfe{}".to_vec(), ROWS), "expected value");
        refused(load_bytes(b"{}".to_vec(), ROWS), "missing field");
        let whole = json().to_string().into_bytes();
        for cut in (0..whole.len()).step_by(97) {
            assert!(matches!(load_bytes(whole[..cut].to_vec(), ROWS), Err(Error::Tokenizer { .. })), "{cut}");
        }
        refused(load_bytes(whole.clone(), 100), "the model's embedding has 100 rows");
        refused(load_bytes(whole, 0), "the model's embedding has 0 rows");
    }

    #[test]
    fn nonsense_in_a_file_is_an_error() {
        type Damage = fn(&mut serde_json::Value);
        let cases: [(&str, Damage); 11] = [
            ("invalid value", |json| json["model"]["merges"][0] = "a b c".into()),
            ("invalid length", |json| json["model"]["merges"][0] = vec!["a"].into()),
            ("out of vocabulary", |json| json["model"]["merges"][0] = vec!["qqq", "a"].into()),
            // The library would panic here.
            ("into an unknown piece", |json| json["model"]["merges"][0] = vec!["<0x00>", "<0x00><0x00>"].into()),
            ("two ids", |json| json["added_tokens"][0]["id"] = 77.into()),
            ("stands for two pieces", |json| json["model"]["vocab"]["a"] = json["model"]["vocab"]["b"].clone()),
            ("invalid value", |json| json["model"]["vocab"]["a"] = (-1).into()),
            ("rows", |json| json["model"]["vocab"]["a"] = u32::MAX.into()),
            ("not in its vocabulary", |json| json["model"]["unk_token"] = "nothing".into()),
            ("neither", |json| {
                json["model"].as_object_mut().unwrap().remove("unk_token");
                json["added_tokens"].as_array_mut().unwrap().remove(3);
                for piece in ["<unk>", "<0x41>"] {
                    json["model"]["vocab"].as_object_mut().unwrap().remove(piece);
                }
            }),
            ("bytes; at most", |json| {
                json["added_tokens"][10]["content"] = "x".repeat(1 << 20).into();
                json["added_tokens"][10]["id"] = (ROWS - 1).into();
            }),
        ];
        for (reason, damage) in cases {
            let mut json = json();
            damage(&mut json);
            match load_json(&json) {
                Err(Error::Tokenizer { reason: given, .. }) if given.to_lowercase().contains(reason) => {}
                other => panic!("{other:?}, but expected {reason:?}"),
            }
        }
    }

    #[test]
    fn merges_of_control_pieces_are_dropped() {
        let mut json = json();
        let whole = load_json(&json).unwrap();
        json["model"]["merges"].as_array_mut().unwrap().push(vec!["<mask>", "x"].into());
        json["model"]["merges"].as_array_mut().unwrap().push(vec!["x", "<bos>"].into());
        let tokenizer = load_json(&json).unwrap();
        let text = "<mask>x<bos> hello";
        assert_eq!(tokenizer.encode_plain(text).unwrap(), whole.encode_plain(text).unwrap());
    }

    #[test]
    fn duplicate_keys_are_errors() {
        let text = json().to_string().replace("\"▁world\":", "\"hello\":");
        refused(load_bytes(text.into_bytes(), ROWS), "has two ids");
    }

    #[test]
    fn other_kinds_are_unsupported() {
        let unigram = br#"{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0]]}}"#;
        let mut byte_level = json();
        byte_level["decoder"] = serde_json::json!({ "type": "ByteLevel" });
        let mut ignore_merges = json();
        ignore_merges["model"]["ignore_merges"] = true.into();
        for result in [load_bytes(unigram.to_vec(), ROWS), load_json(&byte_level), load_json(&ignore_merges)] {
            assert!(matches!(result, Err(Error::Unsupported { .. })), "{result:?}");
        }
    }

    #[test]
    fn older_files_write_merges_as_one_string() {
        let mut old = json();
        for merge in old["model"]["merges"].as_array_mut().unwrap() {
            *merge = format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()).into();
        }
        let (old, new) = (load_json(&old).unwrap(), load_json(&json()).unwrap());
        assert_eq!(old.encode("hello   world <mask>").unwrap(), new.encode("hello   world <mask>").unwrap());
    }

    #[test]
    fn without_all_bytes_unknown_characters_become_unk() {
        let mut lacking = json();
        lacking["model"]["vocab"].as_object_mut().unwrap().remove("<0xE2>");
        let tokenizer = load_json(&lacking).unwrap();
        assert_eq!(shown(&tokenizer, &tokenizer.encode_plain("a☃☃b").unwrap()), "a|<unk>|b");
    }

    /// The real vocabularies, where there are any: `LAPIDARY_TOKENIZER_GEMMA2` and `_GEMMA3` name their `tokenizer.json`.
    fn real(variable: &str, rows: usize) -> Option<Tokenizer> {
        let path = PathBuf::from(std::env::var_os(variable)?);
        let bytes = std::fs::read(path).unwrap();
        Some(load_bytes(bytes, rows).unwrap())
    }

    fn check_goldens(tokenizer: &Tokenizer, family: &str) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tokenizer/ids.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let entries = golden[family].as_array().unwrap();
        assert!(!entries.is_empty());
        for entry in entries {
            let text = entry["text"].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(entry["ids"].clone()).unwrap();
            assert_eq!(tokenizer.encode(text).unwrap(), ids, "{text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), entry["decoded"].as_str().unwrap(), "{text:?}");
            let plain = tokenizer.encode_plain(text).unwrap();
            assert!(plain.iter().all(|id| !tokenizer.is_control(*id)), "{text:?}");
            if !ids.iter().any(|id| tokenizer.is_control(*id)) {
                assert_eq!(plain, ids, "{text:?}");
            }
        }
    }

    #[test]
    fn gemma_2_matches_the_goldens() {
        if let Some(tokenizer) = real("LAPIDARY_TOKENIZER_GEMMA2", 256_000) {
            check_goldens(&tokenizer, "gemma2_family_256000");
        }
    }

    #[test]
    fn gemma_3_matches_the_goldens_and_its_own_gguf() {
        let Some(tokenizer) = real("LAPIDARY_TOKENIZER_GEMMA3", 262_144) else {
            return;
        };
        check_goldens(&tokenizer, "gemma3_262144");
        // Its GGUF scores fall with the id. Only the types of pieces are taken from the other tokenizer.
        let tokens: Vec<String> = (0..262_144).map(|id| tokenizer.piece(id).unwrap()).collect();
        let whole: HashSet<u32> = tokenizer.plain.get_added_tokens_decoder().into_keys().collect();
        let kind = |id: u32, piece: &str| match () {
            () if tokenizer.is_control(id) => 3,
            () if whole.contains(&id) => 4,
            () if piece.starts_with("<0x") && piece.len() == 6 => 6,
            () => 1,
        };
        let token_types: Vec<i32> = (0..).zip(&tokens).map(|(id, piece)| kind(id, piece)).collect();
        let scores =
            (0..).zip(&token_types).map(|(id, kind)| if *kind == 1 { -(id as f32) } else { -1000.0 }).collect();
        let unmarked = |piece: &String| {
            if piece.starts_with("▁▁") { piece.replace('▁', " ") } else { piece.clone() }
        };
        let vocab =
            crate::load::GgufVocab { tokens: tokens.iter().map(unmarked).collect(), token_types, scores, ..gguf() };
        let rebuilt = load_gguf(vocab, 262_144).unwrap();
        check_goldens(&rebuilt, "gemma3_262144");
        let mut state = 0x9E37_79B9_7F4A_7C15;
        for _ in 0..2000 {
            let mut text = String::new();
            for _ in 0..1 + random(&mut state, 20) {
                match random(&mut state, 5) {
                    0 => text.push_str(&" ".repeat(random(&mut state, 40))),
                    1 => text.push_str(&"\n".repeat(random(&mut state, 40))),
                    2 => text.extend(char::from_u32(random(&mut state, 0x1_FFFF) as u32).filter(|c| *c != '▁')),
                    _ => text.push_str(&tokens[random(&mut state, tokens.len())].replace('▁', " ")),
                }
            }
            assert_eq!(rebuilt.encode(&text).unwrap(), tokenizer.encode(&text).unwrap(), "{text:?}");
        }
    }
}
