//! A small vocabulary for the tests of this module and of the template.

use std::fmt::Debug;

use super::{SPACE_MARK, Tokenizer};
use crate::error::{Error, Result};
use crate::load::{GgufVocab, TokenizerSource};

/// Rows of the embedding, some of them padding.
pub(crate) const ROWS: usize = 512;

/// The pieces that merging makes, in the order of their ids, each with its only split.
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
    let control =
        ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]", "<unused0>", "<start_of_turn>", "<end_of_turn>"];
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
        add_space_prefix: Some(false),
        chat_template: None,
    }
}

/// The same vocabulary as a `tokenizer.json`.
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
    // The last merge would make a control piece from text.
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

/// The error names this reason, in any case.
#[track_caller]
pub(crate) fn refused<T: Debug>(result: Result<T>, reason: &str) {
    match result {
        Err(Error::Tokenizer { reason: given, .. }) if given.to_lowercase().contains(&reason.to_lowercase()) => {}
        other => panic!("{other:?}, but expected {reason:?}"),
    }
}
