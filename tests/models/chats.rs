//! Tests conversations with a tiny random model and a tokenizer of bytes and turns.

use std::fs;

use lapidary_engine::template::{Role, Turn};
use lapidary_engine::{Engine, Error, Finish, Sampling};
use serde_json::json;
use tempfile::TempDir;

use crate::golden_path;

const CONTROL: [&str; 6] = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"];

/// The folder of a tiny model with a tokenizer: control pieces, 256 bytes, and the letters of turns.
fn model_with_tokenizer() -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(golden_path("tiny-random-gemma2-f32")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let bytes = (0..256).map(|b| format!("<0x{b:02X}>"));
    let pieces = CONTROL.iter().map(|s| (*s).to_owned()).chain(bytes).chain((' '..='~').map(|c| match c {
        ' ' => "▁".to_owned(),
        c => c.to_string(),
    }));
    let vocab: serde_json::Map<_, _> = pieces.enumerate().map(|(id, piece)| (piece, json!(id))).collect();
    let added: Vec<_> =
        CONTROL.iter().enumerate().map(|(id, s)| json!({"id": id, "content": s, "special": true})).collect();
    let tokenizer = json!({
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        ]},
        "model": {
            "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": [],
        },
    });
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

fn engine(folder: &TempDir) -> Engine {
    Engine::builder(folder.path()).context(400).build_blocking().unwrap()
}

fn sampling(tokens: usize) -> Sampling {
    Sampling { max_tokens: Some(tokens), seed: Some(3), ..Sampling::default() }
}

#[test]
fn a_conversation_remembers_and_computes_only_what_is_new() {
    let folder = model_with_tokenizer();
    let engine = engine(&folder);
    let mut chat = engine.chat();
    let mut said = String::new();
    let mut reply = chat.send("Hello there, how do you do?", &sampling(20)).unwrap();
    while let Some(piece) = reply.next_blocking().unwrap() {
        said.push_str(&piece);
    }
    let first = reply.timings();
    assert!(matches!(reply.finish(), Some(Finish::MaxTokens | Finish::Stop)));
    assert_eq!(chat.turns().last(), Some(&Turn { role: Role::Model, text: said }));

    let mut reply = chat.send("Why?", &sampling(3)).unwrap();
    while reply.next_blocking().unwrap().is_some() {}
    // The first turn is in the cache. The text of the random reply can have other tokens than the reply.
    assert!(reply.timings().prefill_tokens < first.prefill_tokens + 20, "{:?} after {first:?}", reply.timings());
    assert_eq!(chat.turns().len(), 4);
}

#[test]
fn a_dropped_reply_keeps_what_was_said() {
    let folder = model_with_tokenizer();
    let engine = engine(&folder);
    let mut chat = engine.chat();
    let mut reply = chat.send("Hi", &sampling(50)).unwrap();
    let piece = reply.next_blocking().unwrap().unwrap();
    drop(reply);
    assert_eq!(chat.turns().last().unwrap().text, piece);
    let mut reply = chat.send("Go on", &sampling(2)).unwrap();
    while reply.next_blocking().unwrap().is_some() {}
}

#[test]
fn the_turn_piece_ends_a_reply_even_if_no_file_names_it() {
    let folder = model_with_tokenizer();
    // generation_config.json names <eos> alone; <end_of_turn> is found by its piece.
    assert_eq!(engine(&folder).stop_ids(), [1, 5]);
}

#[test]
fn a_refused_message_leaves_the_conversation_unchanged() {
    let folder = model_with_tokenizer();
    let engine = engine(&folder);
    let mut chat = engine.chat();
    assert!(matches!(chat.send("  \n", &sampling(2)).err(), Some(Error::EmptyPrompt)));
    assert!(matches!(chat.send(&"long ".repeat(200), &sampling(2)).err(), Some(Error::ContextFull { .. })));
    let bad = Sampling { temperature: f32::NAN, ..sampling(2) };
    assert!(matches!(chat.send("Hi", &bad).err(), Some(Error::Setting { .. })));
    // A reply that is dropped before its first piece.
    drop(chat.send("Hi", &sampling(2)).unwrap());
    assert!(chat.turns().is_empty());
    let mut reply = chat.send("Hi", &sampling(2)).unwrap();
    while reply.next_blocking().unwrap().is_some() {}
}

#[test]
fn without_a_tokenizer_a_chat_names_the_missing_file() {
    let engine = Engine::builder(golden_path("tiny-random-gemma2-f32")).context(64).build_blocking().unwrap();
    let error = engine.chat().send("Hi", &sampling(2)).err().unwrap();
    assert!(matches!(error, Error::Tokenizer { .. }));
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}
