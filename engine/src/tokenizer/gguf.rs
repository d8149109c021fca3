//! The vocabulary inside a GGUF file.
//!
//! Kind "llama" has a score per piece and no merges. It is SentencePiece's BPE: of all adjacent pairs whose
//! concatenation is a piece, the one with the highest score is merged (on a tie, the leftmost), until none is left. A
//! list of merges gives the same result: one merge per split of a piece into two pieces, ordered by the score of the
//! whole piece.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::Path;

use tokenizers::AddedToken;
use tokenizers::models::bpe::Vocab;
use tokenizers::normalizers::Replace;

use super::{MAX_PIECE, Parts, SPACE_MARK, bad, is_control_name};
use crate::error::{Error, Result, clip};
use crate::load::GgufVocab;

/// The kinds of pieces, as GGUF numbers them.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const UNUSED: i32 = 5;
pub(super) const BYTE: i32 = 6;

/// The most splits of pieces into two others; Gemma's vocabularies have about 600,000.
const MAX_SPLITS: usize = 4 << 20;

/// The parts of a GGUF's tokenizer. `vocab_size` is the number of the embedding's rows.
pub(super) fn parts(path: &Path, vocab: &GgufVocab, vocab_size: usize) -> Result<Parts> {
    if vocab.model != "llama" {
        return Err(Error::Unsupported {
            what: format!("the tokenizer kind {:?} in {}", clip(&vocab.model), path.display()),
            hint: "use a GGUF file whose tokenizer.ggml.model is \"llama\", as Gemma-2's and Gemma-3's is".to_owned(),
        });
    }
    check_lengths(path, vocab)?;
    if let Some(id) = vocab.scores.iter().position(|score| score.is_nan()) {
        return Err(bad(path, format!("the score of piece {id} is not a number")));
    }
    let normalizer = Replace::new(" ", SPACE_MARK).map_err(|error| bad(path, error))?;
    let mut parts = Parts {
        path: path.to_owned(),
        byte_fallback: true,
        fuse_unk: true,
        normalizer: Some(normalizer.into()),
        space_prefix: vocab.add_space_prefix == Some(true),
        bos: vocab.bos_id,
        eos: vocab.eos_id,
        pad: vocab.pad_id,
        unk: vocab.unk_id,
        ..Parts::default()
    };
    // The pieces that merging can produce, with their scores.
    let mut merged = Vec::with_capacity(vocab.tokens.len());
    let pieces = usable_pieces(vocab, vocab_size);
    for (id, (piece, kind)) in (0..).zip(vocab.tokens.iter().zip(&vocab.token_types)).take(pieces) {
        let control = matches!(*kind, UNKNOWN | CONTROL | UNUSED) || is_control_name(piece) || vocab.unk_id == Some(id);
        if control {
            let token = AddedToken::from(piece.clone(), true).normalized(false);
            parts.add(piece.clone(), id, true, Some(token));
        } else if *kind == USER_DEFINED {
            // Converters write runs of spaces with spaces instead of marks. The search runs on the normalized text, so
            // that it finds both spellings, as SentencePiece does.
            let piece = piece.replace(' ', SPACE_MARK);
            let token = AddedToken::from(piece.clone(), false).normalized(true);
            parts.add(piece, id, false, Some(token));
        } else {
            parts.add(piece.clone(), id, false, None);
            if *kind != BYTE && piece.len() <= MAX_PIECE {
                merged.push((piece.as_str(), id));
            }
        }
    }
    parts.merges = merges(&merged, &vocab.scores)
        .ok_or_else(|| bad(path, format!("its pieces split into others in more than {MAX_SPLITS} ways")))?;
    Ok(parts)
}

/// The pieces up to the last that text or the model can use. Behind it are control pieces without a row in the embedding, such as
/// those for pictures in files that Ollama made, and those that fill up the vocabulary to the embedding's rows.
pub(super) fn usable_pieces(vocab: &GgufVocab, vocab_size: usize) -> usize {
    let is_usable = |(id, (piece, kind)): (usize, (&String, &i32))| match *kind {
        UNUSED => *piece != padding(id),
        CONTROL => id < vocab_size,
        _ => true,
    };
    vocab.tokens.iter().zip(&vocab.token_types).enumerate().rposition(is_usable).map_or(0, |last| last + 1)
}

/// What a row of the embedding without a piece is called, as by llama.cpp's converter.
pub(super) fn padding(id: usize) -> String {
    format!("[PAD{id}]")
}

/// Checks that every piece has a score and a type.
pub(super) fn check_lengths(path: &Path, vocab: &GgufVocab) -> Result<()> {
    let (tokens, scores, types) = (vocab.tokens.len(), vocab.scores.len(), vocab.token_types.len());
    if scores != tokens || types != tokens {
        return Err(bad(path, format!("it has {tokens} pieces, but {scores} scores and {types} types")));
    }
    Ok(())
}

/// Every split of a piece into two pieces, the highest score first. Splits of the same piece are ordered as by the
/// converter of `tokenizer.json`, the longest left half first. Whole and control pieces are left out: whole pieces are
/// found before merging, and text must not become a control piece. `None` if there are more than [`MAX_SPLITS`].
fn merges(pieces: &[(&str, u32)], scores: &[f32]) -> Option<Vec<(String, String)>> {
    struct Split {
        score: f32,
        id: u32,
        piece: u32,
        at: u32,
    }
    // For millions of lookups: the library's hasher is faster than the standard one and as hard to attack.
    let mut known = HashSet::with_capacity_and_hasher(pieces.len(), Vocab::default().hasher().clone());
    known.extend(pieces.iter().map(|(piece, _)| *piece));
    let mut splits = Vec::new();
    for (index, (piece, id)) in (0..).zip(pieces) {
        for (at, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(at);
            if known.contains(left) && known.contains(right) {
                if splits.len() == MAX_SPLITS {
                    return None;
                }
                splits.push(Split { score: scores[*id as usize], id: *id, piece: index, at: at as u32 });
            }
        }
    }
    splits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then((a.id, Reverse(a.at)).cmp(&(b.id, Reverse(b.at)))));
    let pair = |split: &Split| {
        let (left, right) = pieces[split.piece as usize].0.split_at(split.at as usize);
        (left.to_owned(), right.to_owned())
    };
    Some(splits.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Tokenizer;
    use super::super::fixture::{ROWS, gguf, load_gguf, refused, shown};
    use super::*;
    use crate::random::random;

    #[test]
    fn other_kinds_are_unsupported() {
        for model in ["gpt2", "bert", ""] {
            let result = load_gguf(GgufVocab { model: model.to_owned(), ..gguf() }, ROWS);
            assert!(matches!(result, Err(Error::Unsupported { .. })), "{result:?}");
        }
    }

    #[test]
    fn hostile_vocabularies_are_errors() {
        refused(load_gguf(GgufVocab { scores: Vec::new(), ..gguf() }, ROWS), "0 scores");
        refused(load_gguf(GgufVocab { token_types: vec![1; 3], ..gguf() }, ROWS), "3 types");
        refused(load_gguf(GgufVocab { bos_id: Some(u32::MAX), ..gguf() }, ROWS), "bos id");
        refused(load_gguf(GgufVocab { eos_id: Some(ROWS as u32 - 1), ..gguf() }, ROWS), "eos id");
        refused(load_gguf(gguf(), gguf().tokens.len() - 1), "rows");
        let empty = GgufVocab { tokens: Vec::new(), scores: Vec::new(), token_types: Vec::new(), ..gguf() };
        refused(load_gguf(empty.clone(), ROWS), "which no piece has");
        let anonymous = GgufVocab { bos_id: None, eos_id: None, unk_id: None, pad_id: None, ..empty };
        refused(load_gguf(anonymous, 0), "no piece <bos>");
        let mut vocab = gguf();
        vocab.scores[100] = f32::NAN;
        refused(load_gguf(vocab, ROWS), "piece 100");
        let mut vocab = gguf();
        vocab.tokens[290] = "hello".to_owned();
        refused(load_gguf(vocab, ROWS), "has two ids");
        let mut vocab = gguf();
        vocab.tokens[13] = "x".repeat(1 << 20);
        refused(load_gguf(vocab, ROWS), "bytes; at most");
        let mut vocab = gguf();
        (vocab.tokens[3], vocab.unk_id) = ("a piece".to_owned(), None);
        vocab.tokens[100] = "<0x0G>".to_owned();
        refused(load_gguf(vocab, ROWS), "neither");
    }

    #[test]
    fn many_searched_pieces_are_an_error() {
        let mut vocab = gguf();
        for id in 0..20_000 {
            vocab.tokens.push(format!("{id:0255}"));
            vocab.token_types.push(USER_DEFINED);
            vocab.scores.push(0.0);
        }
        refused(load_gguf(vocab, 30_000), "bytes; at most");
    }

    #[test]
    fn odd_vocabularies_load_quickly() {
        let mut vocab = gguf();
        let len = vocab.tokens.len();
        // All prefixes of one long piece, a piece of a megabyte, an empty one, and scores at the limits.
        vocab.tokens.extend((2..2000).map(|len| "q".repeat(len)));
        vocab.tokens.push("z".repeat(1 << 20));
        vocab.tokens.push(String::new());
        let added = vocab.tokens.len() - len;
        vocab.token_types.extend(std::iter::repeat_n(77, added));
        vocab.scores.extend((0..added).map(|id| if id % 2 == 0 { f32::INFINITY } else { f32::NEG_INFINITY }));
        let tokenizer = load_gguf(vocab, 4096).unwrap();
        let text = format!("{} hello {}", "q".repeat(100_000), "z".repeat(100_000));
        let ids = tokenizer.encode_plain(&text).unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }

    #[test]
    fn a_vocabulary_that_splits_without_end_is_refused() {
        let mut vocab = gguf();
        let len = vocab.tokens.len();
        vocab.tokens.extend((2..=MAX_PIECE).map(|len| "q".repeat(len)));
        vocab.tokens.extend(std::iter::repeat_n("q".repeat(MAX_PIECE), MAX_SPLITS / (MAX_PIECE - 2)));
        let added = vocab.tokens.len() - len;
        vocab.token_types.extend(std::iter::repeat_n(1, added));
        vocab.scores.extend(std::iter::repeat_n(0.0, added));
        refused(load_gguf(vocab, 1 << 20), "split");
    }

    #[test]
    fn unused_and_unknown_pieces_are_control_pieces() {
        let mut vocab = gguf();
        let id = vocab.tokens.iter().position(|piece| piece == "hello").unwrap();
        vocab.token_types[id] = UNUSED;
        let tokenizer = load_gguf(vocab, ROWS).unwrap();
        assert!(tokenizer.is_control(id as u32));
        assert_eq!(shown(&tokenizer, &tokenizer.encode_plain("hello").unwrap()), "hell|o");
    }

    #[test]
    fn pieces_behind_the_usable_ones_are_left_out() {
        let mut vocab = gguf();
        let usable = vocab.tokens.len();
        for (piece, kind) in [(padding(usable), UNUSED), ("<image_soft_token>".to_owned(), CONTROL)] {
            vocab.tokens.push(piece);
            vocab.token_types.push(kind);
            vocab.scores.push(0.0);
        }
        // The embedding has no row for the last one.
        let tokenizer = load_gguf(vocab.clone(), usable + 1).unwrap();
        assert_eq!(tokenizer.len(), usable);
        assert_eq!(tokenizer.id("<image_soft_token>"), None);
        assert_eq!(load_gguf(vocab, usable + 2).unwrap().len(), usable + 2);
    }

    #[test]
    fn a_space_in_front_only_where_the_file_says_so() {
        for (says, pieces) in [(None, "w|or|ld"), (Some(false), "w|or|ld"), (Some(true), "▁world")] {
            let tokenizer = load_gguf(GgufVocab { add_space_prefix: says, ..gguf() }, ROWS).unwrap();
            let ids = tokenizer.encode("world").unwrap();
            assert_eq!(shown(&tokenizer, &ids), pieces);
            assert_eq!(tokenizer.decode(&ids).unwrap(), "world");
            assert!(tokenizer.encode("").unwrap().is_empty());
        }
    }

    /// SentencePiece's rule, word for word.
    fn merge_greedily(tokenizer: &Tokenizer, scores: &[f32], text: &str) -> Vec<u32> {
        let mut pieces: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let mut best: Option<(f32, usize)> = None;
            for at in 1..pieces.len() {
                if let Some(id) = tokenizer.id(&format!("{}{}", pieces[at - 1], pieces[at]))
                    && best.is_none_or(|(score, _)| scores[id as usize] > score)
                {
                    best = Some((scores[id as usize], at));
                }
            }
            let Some((_, at)) = best else { break };
            let right = pieces.remove(at);
            pieces[at - 1].push_str(&right);
        }
        pieces.iter().map(|piece| tokenizer.id(piece).unwrap()).collect()
    }

    #[test]
    fn merges_are_greedy_by_score() {
        let mut state = 0x2545_F491_4F6C_DD1D;
        for _ in 0..50 {
            let mut vocab = gguf();
            for _ in 0..40 {
                let piece: String =
                    (0..2 + random(&mut state, 4)).map(|_| ['a', 'b', 'c'][random(&mut state, 3)]).collect();
                if !vocab.tokens.contains(&piece) {
                    vocab.tokens.push(piece);
                    vocab.token_types.push(1);
                    // All scores differ, by their last digits.
                    vocab.scores.push(random(&mut state, 1000) as f32 + vocab.scores.len() as f32 / 1024.0);
                }
            }
            let scores = vocab.scores.clone();
            let tokenizer = load_gguf(vocab, ROWS).unwrap();
            for _ in 0..50 {
                let text: String =
                    (0..random(&mut state, 40)).map(|_| ['a', 'b', 'c'][random(&mut state, 3)]).collect();
                assert_eq!(tokenizer.encode(&text).unwrap(), merge_greedily(&tokenizer, &scores, &text), "{text}");
            }
        }
    }
}
