//! Tests the tokenizer on the fixture's vocabulary, on damaged files, and on the real vocabularies if they are there.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

use super::fixture::{ROWS, both, gguf, json, load_bytes, load_gguf, load_json, refused, shown};
use super::{Tokenizer, is_control_name};
use crate::error::Error;
use crate::load::{GgufVocab, TokenizerSource};
use crate::random::random;

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
        // The model has no row for this id.
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
        refused(load_json(&json), reason);
    }
}

#[test]
fn what_gemmas_tokenizers_do_not_do_is_refused_before_the_library_meets_it() {
    type Damage = fn(&mut serde_json::Value);
    // The library panics on each of these, while it reads the file or at the first text.
    let cases: [(&str, Damage); 5] = [
        ("normalizer", |json| {
            json["normalizer"] = serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "!"});
        }),
        ("normalizer", |json| {
            json["normalizer"] = serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="});
        }),
        ("normalizer", |json| json["normalizer"]["content"] = "x".repeat(1 << 20).into()),
        ("pre_tokenizer", |json| json["pre_tokenizer"] = serde_json::json!({"type": "FixedLength", "length": 0})),
        ("lstrip", |json| json["added_tokens"][1]["lstrip"] = true.into()),
    ];
    for (what, damage) in cases {
        let mut json = json();
        damage(&mut json);
        match load_json(&json) {
            Err(Error::Unsupported { what: given, .. }) if given.contains(what) => {}
            other => panic!("{other:?}, but expected {what:?}"),
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

/// The real vocabularies. `LAPIDARY_TOKENIZER_GEMMA2` and `_GEMMA3` name their `tokenizer.json`; without it the test is
/// skipped.
fn real(variable: &str, rows: usize) -> Option<Tokenizer> {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
        // Not `eprintln!`, whose output the test runner hides if the test passes.
        writeln!(std::io::stderr(), "SKIPPED: {variable} does not name a real tokenizer.json").unwrap();
        return None;
    };
    let bytes = std::fs::read(path).unwrap();
    Some(load_bytes(bytes, rows).unwrap())
}

fn check_goldens(tokenizer: &Tokenizer, family: &str) {
    check_goldens_of(tokenizer, family, |_| true);
}

/// Checks the goldens whose text is wanted.
fn check_goldens_of(tokenizer: &Tokenizer, family: &str, wanted: impl Fn(&str) -> bool) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tokenizer/ids.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let entries = golden[family].as_array().unwrap().iter().filter(|entry| wanted(entry["text"].as_str().unwrap()));
    assert!(entries.clone().count() > 10);
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
fn vocabularies_written_to_gguf_files_match_the_goldens() {
    for (variable, rows, family) in [
        ("LAPIDARY_TOKENIZER_GEMMA2", 256_000, "gemma2_family_256000"),
        ("LAPIDARY_TOKENIZER_GEMMA3", 262_144, "gemma3_262144"),
    ] {
        let Some(path) = std::env::var_os(variable).map(PathBuf::from) else { continue };
        let bytes = std::fs::read(&path).unwrap().into();
        let vocab = super::gguf_vocab(&TokenizerSource::Json { path, bytes }, rows).unwrap().unwrap();
        assert_eq!((vocab.tokens.len(), vocab.bos_id, vocab.eos_id), (rows, Some(2), Some(1)));
        // Gemma-2's tokenizer.json merges runs of spaces step by step. The original vocabulary, which GGUF files follow, takes
        // the longest piece.
        let wanted = |text: &str| rows == 262_144 || !text.contains("  ");
        check_goldens_of(&load_gguf(vocab, rows).unwrap(), family, wanted);
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
    // In a GGUF file its scores fall with the id. Only the types of pieces come from the other tokenizer.
    let tokens: Vec<String> = (0..262_144).map(|id| tokenizer.piece(id).unwrap()).collect();
    let whole: HashSet<u32> = tokenizer.plain.get_added_tokens_decoder().into_keys().collect();
    let kind = |id: u32, piece: &str| match () {
        () if tokenizer.is_control(id) => 3,
        () if whole.contains(&id) => 4,
        () if piece.starts_with("<0x") && piece.len() == 6 => 6,
        () => 1,
    };
    let token_types: Vec<i32> = (0..).zip(&tokens).map(|(id, piece)| kind(id, piece)).collect();
    let scores = (0..).zip(&token_types).map(|(id, kind)| if *kind == 1 { -(id as f32) } else { -1000.0 }).collect();
    let unmarked = |piece: &String| {
        if piece.starts_with("▁▁") { piece.replace('▁', " ") } else { piece.clone() }
    };
    let vocab = GgufVocab { tokens: tokens.iter().map(unmarked).collect(), token_types, scores, ..gguf() };
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
