//! GGUF files, good and bad.

use super::write::{F32, Gguf, HIDDEN, Value, list_head, put};
use super::{fails, gguf, now, read_all, rows};
use crate::error::{Error, Result};
use crate::load::{LayerTensor, ModelFiles, TensorId, TokenizerSource};
use crate::quant::WeightFormat;

fn open(model: &Gguf) -> Result<ModelFiles> {
    gguf(model.bytes(), "tiny.gguf")
}

/// A Gemma-2 model that `spoil` has changed.
fn spoilt(spoil: impl FnOnce(&mut Gguf)) -> Result<ModelFiles> {
    let mut model = Gguf::model("gemma2");
    spoil(&mut model);
    open(&model)
}

#[test]
fn a_good_file() {
    let model = open(&Gguf::model("gemma2")).unwrap();
    read_all(&model);
    assert_eq!(model.name(), "Tiny");
    let down = TensorId::Layer(1, LayerTensor::Down);
    let view = model.tensor(down).unwrap();
    assert_eq!(view.format, WeightFormat::F16);
    assert_eq!(view.name, "blk.1.ffn_down.weight");
    // The writer fills each tensor with its number.
    assert!(now(rows(&view)).unwrap().iter().all(|byte| *byte == 22));
    let TokenizerSource::Gguf { vocab, path } = model.tokenizer() else {
        panic!("no vocabulary");
    };
    assert_eq!(path.to_str(), Some("tiny.gguf"));
    assert_eq!((vocab.tokens.len(), vocab.tokens[2].as_str()), (40, "<bos>"));
    assert_eq!((vocab.bos_id, vocab.eos_id, vocab.unk_id), (Some(2), Some(1), None));
    fails(model.tensor(TensorId::Layer(2, LayerTensor::Up)), &["blk.2.ffn_up.weight is missing"]);
    fails(model.tensor(TensorId::Layer(0, LayerTensor::QueryNorm)), &["attn_q_norm.weight is missing"]);
}

#[test]
fn gemma3_and_version_2() {
    let mut file = Gguf::model("gemma3");
    file.version = 2;
    let model = open(&file).unwrap();
    read_all(&model);
    assert!(model.config().qk_norm);
}

#[test]
fn other_alignment() {
    let mut file = Gguf::model("gemma2");
    file.alignment = 128;
    file.set("general.alignment", Value::U32(128));
    read_all(&open(&file).unwrap());
    for bad in [0, 48] {
        file.set("general.alignment", Value::U32(bad));
        fails(open(&file), &["general.alignment", "power of two"]);
    }
}

#[test]
fn heads_of_the_file() {
    let magic = spoilt(|file| file.magic = *b"GGML");
    fails(magic, &["tiny.gguf", "GGUF"]);
    fails(spoilt(|file| file.version = 1), &["version 1"]);
    fails(spoilt(|file| file.version = 4), &["version 4"]);
    fails(spoilt(|file| file.version = 3 << 24), &["big-endian"]);
    fails(gguf(vec![], "empty.gguf"), &["empty.gguf", "magic"]);
    let many = spoilt(|file| file.tensor_count = Some(u64::MAX));
    fails(many, &["number of tensors"]);
    let many = spoilt(|file| file.key_count = Some(1 << 60));
    fails(many, &["number of metadata keys"]);
}

#[test]
fn metadata_that_lies() {
    let list = |kind, len: usize, more: &[u8]| {
        let mut bytes = list_head(kind, len);
        bytes.extend(more);
        Value::Raw(9, bytes)
    };
    let cases = [
        (Value::Raw(8, u64::MAX.to_le_bytes().to_vec()), "x.y at byte"),
        (Value::Raw(13, vec![]), "type 13"),
        (Value::Raw(7, vec![2]), "truth value of 2"),
        (Value::Raw(8, [&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat()), "UTF-8"),
        (list(8, usize::MAX, &[]), "length of the value of x.y"),
        (list(4, 1 << 40, &[]), "length of the value of x.y"),
        (list(77, 0, &[]), "type 77"),
        (list(9, 1, &list_head(9, 1).repeat(9)), "deeper"),
    ];
    for (value, words) in cases {
        fails(spoilt(|file| file.set("x.y", value)), &[words]);
    }
    // A list of one text, of 129 MiB.
    let long = [&(129u64 << 20).to_le_bytes()[..], &vec![b'a'; 129 << 20]].concat();
    fails(spoilt(|file| file.set("x.y", list(8, 1, &long))), &["metadata", "128 MiB"]);
    let nested = list(9, 2, &list_head(4, 0).repeat(2));
    assert!(spoilt(|file| file.set("x.y", nested)).is_ok());
    let twice = spoilt(|file| file.keys.push(("general.name".to_owned(), Value::U32(1))));
    fails(twice, &["general.name", "twice"]);
}

#[test]
fn keys_that_are_wrong() {
    let cases: [(&str, Value, &[&str]); 23] = [
        ("general.architecture", Value::Text("llama"), &["llama", "gemma2", "gemma3"]),
        ("general.architecture", Value::U32(1), &["general.architecture", "string"]),
        ("gemma2.block_count", Value::U32(0), &["gemma2.block_count", "1 to"]),
        ("gemma2.block_count", Value::U64(1 << 60), &["gemma2.block_count", "1 to"]),
        ("gemma2.block_count", Value::I32(-1), &["gemma2.block_count", "-1"]),
        ("gemma2.block_count", Value::Text("2"), &["gemma2.block_count", "whole number"]),
        ("gemma2.block_count", Value::U32(3), &["blk.2.attn_norm.weight", "missing"]),
        ("gemma2.embedding_length", Value::U32(30), &["gemma2.embedding_length", "multiple of 4"]),
        ("gemma2.embedding_length", Value::U32(64), &["token_embd.weight", "[40, 32]", "[40, 64]"]),
        ("gemma2.feed_forward_length", Value::U32(96), &["ffn_gate.weight"]),
        ("gemma2.attention.head_count", Value::U32(0), &["gemma2.attention.head_count"]),
        ("gemma2.attention.head_count", Value::Ints(vec![4, 2]), &["gemma2.attention.head_count", "same"]),
        ("gemma2.attention.head_count_kv", Value::U32(3), &["gemma2.attention.head_count_kv", "divide"]),
        ("gemma2.attention.key_length", Value::U32(512), &["value_length"]),
        ("gemma2.context_length", Value::U32(0), &["gemma2.context_length"]),
        ("gemma2.attention.sliding_window", Value::U32(0), &["gemma2.attention.sliding_window"]),
        ("gemma2.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN), &["rms_epsilon", "finite"]),
        ("gemma2.attn_logit_softcapping", Value::F32(0.0), &["gemma2.attn_logit_softcapping"]),
        ("gemma2.rope.freq_base", Value::F32(-1.0), &["gemma2.rope.freq_base"]),
        ("gemma2.rope.scaling.type", Value::Text("yarn"), &["rope.scaling.type", "yarn", "linear"]),
        ("tokenizer.ggml.eos_token_id", Value::U32(40), &["tokenizer.ggml.eos_token_id", "40"]),
        ("tokenizer.ggml.tokens", Value::U32(40), &["tokenizer.ggml.tokens", "list of strings"]),
        ("tokenizer.ggml.scores", Value::Bool(true), &["tokenizer.ggml.scores", "list of numbers"]),
    ];
    for (key, value, words) in cases {
        fails(spoilt(|file| file.set(key, value)), words);
    }
    for key in ["block_count", "embedding_length", "feed_forward_length", "context_length"] {
        let key = format!("gemma2.{key}");
        fails(spoilt(|file| file.unset(&key)), &[&key, "missing"]);
    }
    fails(spoilt(|file| file.unset("general.architecture")), &["general.architecture", "missing"]);
}

#[test]
fn tensors_that_are_wrong() {
    const QUERY: &str = "blk.1.attn_q.weight";
    let wrong = |spoil: fn(&mut Gguf), words: &[&str]| fails(spoilt(spoil), words);
    wrong(|file| file.tensor(QUERY).name = "other".to_owned(), &[QUERY, "missing"]);
    let swapped = |file: &mut Gguf| file.tensor(QUERY).dims = vec![64, 32];
    let error = wrong(swapped, &[QUERY, "[32, 64]", "[64, 32]"]);
    assert!(matches!(error, Error::TensorShape { .. }));
    wrong(|file| file.tensor(QUERY).dims = vec![32, 1, 1, 1, 64], &[QUERY, "5 dimensions"]);
    wrong(|file| file.tensor(QUERY).dims = vec![32, u64::MAX], &[QUERY]);
    wrong(|file| file.tensor(QUERY).dims = vec![1 << 31, 1 << 31, 1 << 31], &[QUERY, "too large"]);
    wrong(|file| file.tensor(QUERY).dims = vec![48, 64], &[QUERY, "blocks"]);
    wrong(|file| file.tensor(QUERY).dims = vec![], &[QUERY]);
    wrong(|file| file.tensor(QUERY).offset = Some(8), &[QUERY, "alignment"]);
    wrong(|file| file.tensor(QUERY).offset = Some(1 << 40), &[QUERY, "truncated"]);
    wrong(|file| file.tensor(QUERY).offset = Some(u64::MAX - 31), &[QUERY]);
    wrong(|file| file.tensor(QUERY).offset = Some(0), &[QUERY, "token_embd.weight", "overlap"]);
    let again = |file: &mut Gguf| file.push(QUERY, &[HIDDEN], F32);
    wrong(again, &[QUERY, "twice"]);
    wrong(|file| file.tensor(QUERY).kind = 10, &[QUERY, "Q2_K", "Q4_K_M"]);
    wrong(|file| file.tensor(QUERY).kind = 23, &[QUERY, "IQ4_XS"]);
    wrong(|file| file.tensor(QUERY).kind = 999, &[QUERY, "number 999"]);
    let norm = |file: &mut Gguf| file.tensor("output_norm.weight").kind = 8;
    wrong(norm, &["output_norm.weight", "q8_0", "F32"]);
    let longer = |file: &mut Gguf| file.tensor("output_norm.weight").dims = vec![16, 2];
    wrong(longer, &["output_norm.weight", "[2, 16]", "[1, 32]"]);
    // What the model does not use may be of any type.
    assert!(spoilt(|file| file.push("v.patch", &[HIDDEN], 26)).is_ok());
}

#[test]
fn output_heads() {
    let copy = |file: &mut Gguf| {
        let mut head = file.tensor("token_embd.weight").clone();
        head.name = "output.weight".to_owned();
        file.tensors.push(head);
    };
    assert!(spoilt(copy).is_ok());
    let other = spoilt(|file| {
        copy(file);
        file.tensor("output.weight").bytes[7] ^= 1;
    });
    fails(other, &["output.weight"]);
}

/// The parts of a model, split in the middle of its tensors.
fn split(count: u16) -> Vec<Gguf> {
    let whole = Gguf::model("gemma3");
    let chunk = whole.tensors.len().div_ceil(usize::from(count));
    let part = |(number, tensors): (usize, &[super::write::Tensor])| {
        let mut part = whole.clone();
        if number > 0 {
            part.keys.clear();
        }
        part.tensors = tensors.to_vec();
        part.set("split.no", Value::U16(number as u16));
        part.set("split.count", Value::U16(count));
        part
    };
    whole.tensors.chunks(chunk).enumerate().map(part).collect()
}

fn write_parts(parts: &[Gguf]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, part) in (1..).zip(parts) {
        let name = format!("tiny-{number:05}-of-{:05}.gguf", parts.len());
        put(folder.path(), &name, part.bytes());
    }
    folder
}

#[test]
fn split_models() {
    let mut parts = split(3);
    let folder = write_parts(&parts);
    put(folder.path(), "mmproj-tiny.gguf", "ignored");
    read_all(&ModelFiles::open(folder.path()).unwrap());
    let second = folder.path().join("tiny-00002-of-00003.gguf");
    let model = ModelFiles::open(&second).unwrap();
    read_all(&model);
    assert_eq!(model.path(), second);
    // Their names put them in order, not the caller.
    let named = |number: usize| format!("tiny-{:05}-of-00003.gguf", number + 1);
    let given = parts.iter().enumerate().rev().map(|(number, part)| (named(number), part.bytes().into()));
    read_all(&ModelFiles::from_bytes("web", given).unwrap());

    // Windows keeps the file while it is mapped.
    drop(model);
    std::fs::remove_file(&second).unwrap();
    fails(ModelFiles::open(folder.path()), &["tiny-00002-of-00003.gguf"]);
    parts.swap(1, 2);
    let folder = write_parts(&parts);
    fails(ModelFiles::open(folder.path()), &["tiny-00002-of-00003.gguf", "split.no"]);
    parts[1] = parts[2].clone();
    parts[2].set("split.no", Value::U16(2));
    let folder = write_parts(&parts);
    fails(ModelFiles::open(folder.path()), &["another part"]);
    let first = gguf(parts[0].bytes(), "renamed.gguf");
    fails(first, &["split.count", "3 parts"]);
}

#[test]
fn folders_and_files() {
    let folder = tempfile::tempdir().unwrap();
    fails(ModelFiles::open(folder.path()), &["config.json", ".gguf"]);
    fails(ModelFiles::open(&folder.path().join("no")), &["no"]);
    put(folder.path(), "notes.txt", "hello");
    fails(ModelFiles::open(&folder.path().join("notes.txt")), &["notes.txt", "no GGUF"]);
    put(folder.path(), "one.gguf", "");
    fails(ModelFiles::open(folder.path()), &["one.gguf", "no GGUF"]);
    let mut file = Gguf::model("gemma2");
    file.unset("general.name");
    file.unset("tokenizer.ggml.tokens");
    put(folder.path(), "one.gguf", file.bytes());
    let model = ModelFiles::open(folder.path()).unwrap();
    read_all(&model);
    assert_eq!((model.name().as_str(), model.path()), ("one", folder.path()));
    assert!(matches!(model.tokenizer(), TokenizerSource::Missing { .. }));
    put(folder.path(), "two.gguf", file.bytes());
    fails(ModelFiles::open(folder.path()), &["one.gguf", "two.gguf"]);
    // Also where the weights of a configuration could be meant.
    put(folder.path(), "config.json", super::write::hub_config(false).to_string());
    fails(ModelFiles::open(folder.path()), &["one.gguf", "two.gguf"]);
}
