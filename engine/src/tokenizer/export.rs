//! A vocabulary as GGUF files hold it.

use std::collections::HashMap;

use super::{Parts, SPACE_MARK, bad, byte_of, gguf, parts_of};
use crate::error::Result;
use crate::load::{GgufVocab, TokenizerSource};

/// The vocabulary of a model whose embedding has `vocab_size` rows, with a piece for every row, as llama.cpp demands. `None` if
/// the model has none.
///
/// A `tokenizer.json` lists merges by priority, GGUF's kind "llama" has scores of pieces: the score of a piece is then the rank
/// of the first merge that makes it.
///
/// # Errors
/// [`Error::Tokenizer`](crate::Error::Tokenizer) and [`Error::Unsupported`](crate::Error::Unsupported) as
/// [`Tokenizer::load`](super::Tokenizer::load), also where an id has no row in the embedding.
pub(crate) fn gguf_vocab(source: &TokenizerSource, vocab_size: usize) -> Result<Option<GgufVocab>> {
    let mut vocab = match source {
        TokenizerSource::Missing { .. } => return Ok(None),
        TokenizerSource::Gguf { path, vocab } => {
            gguf::check_lengths(path, vocab)?;
            let pieces = gguf::usable_pieces(vocab, vocab_size);
            if pieces > vocab_size {
                let reason = format!("it has {pieces} pieces, but the model's embedding has {vocab_size} rows");
                return Err(bad(path, reason));
            }
            let mut vocab = vocab.clone();
            vocab.tokens.truncate(pieces);
            vocab.scores.truncate(pieces);
            vocab.token_types.truncate(pieces);
            vocab
        }
        TokenizerSource::Json { .. } => {
            let parts = parts_of(source, vocab_size)?;
            // An id is an index below, and one beyond the embedding could take gigabytes.
            let len = parts.check_ids(vocab_size)?;
            of_parts(parts, len)
        }
    };
    // Rows without a piece are never sampled, but llama.cpp counts pieces to find the number of rows.
    for id in vocab.tokens.len()..vocab_size {
        vocab.tokens.push(gguf::padding(id));
        vocab.scores.push(-1e9);
        vocab.token_types.push(gguf::UNUSED);
    }
    Ok(Some(vocab))
}

/// The vocabulary of parts whose ids are checked and below `len`.
fn of_parts(parts: Parts, len: usize) -> GgufVocab {
    let mut ranks: HashMap<String, usize> = HashMap::with_capacity(parts.merges.len());
    for (rank, (left, right)) in parts.merges.iter().enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let whole: std::collections::HashSet<&str> = parts.whole.iter().map(|token| token.content.as_str()).collect();
    let mut vocab = GgufVocab {
        model: "llama".to_owned(),
        tokens: (0..len).map(gguf::padding).collect(),
        scores: vec![-1e9; len],
        token_types: vec![gguf::UNUSED; len],
        bos_id: parts.bos,
        eos_id: parts.eos,
        unk_id: parts.unk,
        pad_id: parts.pad,
        add_space_prefix: Some(parts.space_prefix),
        chat_template: None,
    };
    for (piece, id) in &parts.control {
        let at = *id as usize;
        vocab.tokens[at].clone_from(piece);
        vocab.token_types[at] = if parts.unk == Some(*id) { gguf::UNKNOWN } else { gguf::CONTROL };
        match piece.as_str() {
            "<bos>" => vocab.bos_id = vocab.bos_id.or(Some(*id)),
            "<eos>" => vocab.eos_id = vocab.eos_id.or(Some(*id)),
            "<pad>" => vocab.pad_id = vocab.pad_id.or(Some(*id)),
            "<unk>" => vocab.unk_id = vocab.unk_id.or(Some(*id)),
            _ => {}
        }
    }
    for (piece, id) in parts.vocab {
        let at = id as usize;
        vocab.token_types[at] = match piece.as_str() {
            piece if whole.contains(piece) => gguf::USER_DEFINED,
            piece if byte_of(piece).is_some() => gguf::BYTE,
            _ => gguf::NORMAL,
        };
        // Merging produces the others never, so their scores do not matter.
        if let Some(rank) = ranks.get(&piece) {
            vocab.scores[at] = -(*rank as f32);
        }
        vocab.tokens[at] = match vocab.token_types[at] {
            // Converters write runs of spaces with spaces.
            gguf::USER_DEFINED => piece.replace(SPACE_MARK, " "),
            _ => piece,
        };
    }
    vocab
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::fixture::{ROWS, gguf, refused};
    use super::*;

    #[test]
    fn ids_of_a_json_file_beyond_the_embedding_are_errors() {
        for (vocab, added, reason) in [
            (r#"{"a": 4294967295}"#, "", "rows"),
            (r#"{"a": 0, "b": 0}"#, "", "two pieces"),
            (r#"{"a": 0}"#, r#"{"id": 4294967295, "content": "b", "special": false, "normalized": false}"#, "rows"),
        ] {
            let json = format!(
                r#"{{"added_tokens": [{added}], "model": {{"type": "BPE", "vocab": {vocab}, "merges": [], "byte_fallback": true}}}}"#
            );
            let path = PathBuf::from("tokenizer.json");
            let source = TokenizerSource::Json { path, bytes: json.into_bytes().into() };
            refused(gguf_vocab(&source, ROWS), reason);
        }
    }

    #[test]
    fn vocabularies_of_gguf_files_that_contradict_themselves_are_errors() {
        let source = |vocab| TokenizerSource::Gguf { path: PathBuf::from("m.gguf"), vocab };
        assert_eq!(gguf_vocab(&source(gguf()), ROWS).unwrap().unwrap().tokens.len(), ROWS);
        let mut vocab = gguf();
        vocab.scores.pop();
        refused(gguf_vocab(&source(vocab), ROWS), "scores");
        let mut vocab = gguf();
        vocab.token_types.push(gguf::NORMAL);
        refused(gguf_vocab(&source(vocab), ROWS), "types");
        let mut vocab = gguf();
        vocab.tokens.resize(ROWS + 1, "x".to_owned());
        vocab.scores.resize(ROWS + 1, 0.0);
        vocab.token_types.resize(ROWS + 1, gguf::NORMAL);
        refused(gguf_vocab(&source(vocab), ROWS), "rows");
    }
}
