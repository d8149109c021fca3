//! Builds a [`Tokenizer`] from the parts that a file describes. It checks them, removes the merges that would make
//! control pieces from text, and gives the two libraries the same pieces.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenizers::models::bpe::{BPE, BpeBuilder, BpeTrainer, Vocab};
use tokenizers::{AddedToken, Model, NormalizerWrapper, Token};

use super::{Library, MAX_PIECE, Named, Tokenizer, bad};
use crate::error::{Result, clip};

/// The most bytes of all control and whole pieces, which bounds the automaton that searches for them. Gemma-3 needs 0.1
/// MB.
const MAX_SEARCHED: usize = 4 << 20;

/// The pieces, shared by the two libraries of a [`Tokenizer`].
#[derive(Clone)]
pub(super) struct Pieces(pub(super) Arc<PiecesInner>);

pub(super) struct PiecesInner {
    /// Ordinary and whole pieces, and `<unk>`, which no merge produces.
    bpe: BPE,
    control_ids: HashMap<String, u32>,
    pub(super) control_pieces: HashMap<u32, String>,
}

/// Implements only what encoding needs.
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
pub(super) struct Parts {
    pub(super) path: PathBuf,
    /// Ordinary and whole pieces.
    pub(super) vocab: Vec<(String, u32)>,
    /// Control pieces.
    pub(super) control: Vec<(String, u32)>,
    /// The control pieces that [`Tokenizer::encode`] parses.
    pub(super) parsed: Vec<AddedToken>,
    /// The whole pieces.
    pub(super) whole: Vec<AddedToken>,
    /// Pairs of pieces, by priority.
    pub(super) merges: Vec<(String, String)>,
    pub(super) byte_fallback: bool,
    pub(super) fuse_unk: bool,
    pub(super) normalizer: Option<NormalizerWrapper>,
    /// Whether a space is put before a text.
    pub(super) space_prefix: bool,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) pad: Option<u32>,
    pub(super) unk: Option<u32>,
}

impl Parts {
    /// Adds a piece, and if it is a control or a whole piece, its search pattern.
    pub(super) fn add(&mut self, piece: String, id: u32, control: bool, token: Option<AddedToken>) {
        if control {
            self.control.push((piece, id));
            self.parsed.extend(token);
        } else {
            self.vocab.push((piece, id));
            self.whole.extend(token);
        }
    }

    pub(super) fn assemble(self, vocab_size: usize) -> Result<Tokenizer> {
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
        // A whole chat is one word for this BPE, so a cache of words would only waste memory.
        let bpe = builder.vocab_and_merges(vocab, merges).cache_capacity(0).build();
        let bpe = bpe.map_err(|error| bad(&path, error))?;
        let pieces = Pieces(Arc::new(PiecesInner { bpe, control_ids, control_pieces }));

        let library = |added: Vec<AddedToken>| -> Result<Library> {
            let mut library = Library::new(pieces.clone());
            library.with_normalizer(self.normalizer.clone()).map_err(|error| bad(&path, error))?;
            library.add_tokens(added).map_err(|error| bad(&path, error))?;
            Ok(library)
        };
        let parsing = library(self.parsed.into_iter().chain(self.whole.iter().cloned()).collect())?;
        let plain = library(self.whole)?;
        Ok(Tokenizer { path, pieces, parsing, plain, vocab_size, len, space_prefix: self.space_prefix, named })
    }

    /// Checks that ids are below `vocab_size`, that each id has one piece, and each piece one id. Returns the highest
    /// id plus one.
    pub(super) fn check_ids(&self, vocab_size: usize) -> Result<usize> {
        let mut ids = vec![false; vocab_size];
        let mut pieces = HashSet::with_capacity(self.vocab.len() + self.control.len());
        for (piece, id) in self.vocab.iter().chain(&self.control) {
            let Some(taken) = ids.get_mut(*id as usize) else {
                let short = clip(piece);
                let reason =
                    format!("the piece {short:?} has the id {id}, but the model's embedding has {vocab_size} rows");
                return Err(bad(&self.path, reason));
            };
            if std::mem::replace(taken, true) {
                return Err(bad(&self.path, format!("the id {id} stands for two pieces")));
            }
            if !pieces.insert(piece.as_str()) {
                return Err(bad(&self.path, format!("the piece {:?} has two ids", clip(piece))));
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
                    "the added piece {:?} has {len} bytes; at most {MAX_PIECE} make sense",
                    clip(&token.content)
                );
                return Err(bad(&self.path, reason));
            }
        }
        if total > MAX_SEARCHED {
            return Err(bad(
                &self.path,
                format!("its added pieces take {total} bytes; at most {MAX_SEARCHED} make sense"),
            ));
        }
        Ok(())
    }
}

/// The merges without those that produce or take a control piece. A merge of unknown pieces is an error. The library
/// checks that too, but it panics if the result is longer than every piece.
fn possible_merges(
    path: &Path,
    mut merges: Vec<(String, String)>,
    vocab: &Vocab,
    control: &HashMap<String, u32>,
) -> Result<Vec<(String, String)>> {
    let longest = vocab.keys().map(String::len).max().unwrap_or(0);
    // Most merges do not begin like a control piece, so they need no lookup.
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
            Err(bad(path, format!("it merges {:?} and {:?} into an unknown piece", clip(left), clip(right))))
        }
        None => Ok(merges),
    }
}
