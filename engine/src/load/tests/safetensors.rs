//! Hugging Face folders, good and bad.

use std::fs;

use serde_json::{Value as Json, json};

use super::write::{HIDDEN, Safetensors, VOCAB, folder, hub_config, put, safetensors};
use super::{fails, now, read_all};
use crate::error::{Error, Result};
use crate::load::safetensors::Header;
use crate::load::source::ModelFile;
use crate::load::{Bytes, LayerTensor, ModelFiles, TensorId, TokenizerSource};
use crate::quant::WeightFormat;

const QUERY: &str = "model.layers.1.self_attn.q_proj.weight";

/// A Gemma-2 model that `spoil` has changed.
fn spoilt(spoil: impl FnOnce(&mut Json, &mut Safetensors)) -> Result<ModelFiles> {
    let (mut config, mut weights) = (hub_config(false), Safetensors::model(false, "model."));
    spoil(&mut config, &mut weights);
    ModelFiles::open(folder(&config, &weights.bytes()).path())
}

#[test]
fn a_good_folder() {
    let folder = folder(&hub_config(false), &Safetensors::model(false, "model.").bytes());
    put(folder.path(), "tokenizer.json", "{}");
    let stops = json!({"eos_token_id": [1, 17, 1]});
    put(folder.path(), "generation_config.json", stops.to_string());
    let model = ModelFiles::open(folder.path()).unwrap();
    read_all(&model);
    assert_eq!(model.config().stop_ids, [1, 17]);
    let TokenizerSource::Json { bytes, path } = model.tokenizer() else {
        panic!("no tokenizer");
    };
    assert_eq!((&bytes[..], path.exists()), (&b"{}"[..], true));
    fails(model.tensor(TensorId::Layer(9, LayerTensor::Query)), &["model.layers.9.self_attn.q_proj.weight is missing"]);

    // Windows writes no file that is mapped.
    drop(model);
    // An empty file cannot be mapped everywhere; it is the tokenizer's business that it is no JSON.
    put(folder.path(), "tokenizer.json", "");
    assert!(ModelFiles::open(folder.path()).is_ok());
    let cases = [
        (json!({"eos_token_id": [1, 40]}).to_string(), "eos_token_id"),
        (json!({"eos_token_id": "<eos>"}).to_string(), "eos_token_id"),
        ("{".to_owned(), "not JSON"),
    ];
    for (text, words) in cases {
        put(folder.path(), "generation_config.json", text);
        fails(ModelFiles::open(folder.path()), &["generation_config.json", words]);
    }
    put(folder.path(), "generation_config.json", " ".repeat(2 << 20));
    fails(ModelFiles::open(folder.path()), &["generation_config.json", "small"]);
}

#[test]
fn types_and_shapes() {
    let wrong = |spoil: fn(&mut Safetensors), words: &[&str]| fails(spoilt(|_, w| spoil(w)), words);
    let error = wrong(|w| w.tensor(QUERY).2 = vec![32, 64], &[QUERY, "[32, 64]", "[64, 32]"]);
    assert!(matches!(error, Error::TensorShape { .. }));
    wrong(|w| w.tensor(QUERY).2 = vec![64, 32, 1], &[QUERY]);
    wrong(|w| w.tensor(QUERY).1 = "I8", &[QUERY, "I8", "BF16"]);
    wrong(|w| w.tensor(QUERY).0 = "other".to_owned(), &[QUERY, "missing"]);
    wrong(|w| w.tensor("model.embed_tokens.weight").2[0] = 48, &["embed_tokens", "[48, 32]"]);
    let model = spoilt(|_, w| w.tensor(QUERY).1 = "F32").unwrap();
    read_all(&model);
    let view = model.tensor(TensorId::Layer(1, LayerTensor::Query)).unwrap();
    assert_eq!((view.format, view.name.as_str()), (WeightFormat::F32, QUERY));
    // What the model does not use may be of any type.
    let unused = |w: &mut Safetensors| w.tensors.push(("rotary_emb.inv_freq".to_owned(), "U8", vec![3]));
    assert!(spoilt(|_, w| unused(w)).is_ok());
}

#[test]
fn output_heads() {
    let head = || ("lm_head.weight".to_owned(), "BF16", vec![VOCAB as usize, HIDDEN as usize]);
    assert!(spoilt(|_, w| w.tensors.push(head())).is_ok());
    let untied = |config: &mut Json| config["tie_word_embeddings"] = json!(false);
    let separate = spoilt(|config, w| {
        untied(config);
        w.tensors.push(head());
    });
    fails(separate, &["lm_head.weight", "tie_word_embeddings"]);
    fails(spoilt(|config, _| untied(config)), &["lm_head.weight", "missing"]);
}

#[test]
fn headers_that_lie() {
    let read_bytes =
        |bytes: Vec<u8>| now(Header::read(&ModelFile::new("model.safetensors".into(), Bytes::from(bytes))));
    let read = |header: &str, data: usize| read_bytes(safetensors(header, data));
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    assert!(read(&one("F32", "[2]", "[0,8]"), 8).is_ok());
    fails(read_bytes(vec![1, 2, 3]), &["model.safetensors", "3 bytes"]);
    for claim in [100u64, u64::MAX, 200_000_000] {
        let mut bytes = safetensors("{}", 0);
        bytes[..8].copy_from_slice(&claim.to_le_bytes());
        fails(read_bytes(bytes), &["header claims", &claim.to_string()]);
    }
    fails(read("{", 0), &["damaged"]);
    fails(read("[]", 0), &["damaged"]);
    fails(read(&"[".repeat(100_000), 0), &["damaged"]);
    fails(read("\u{feff}{}", 0), &["damaged"]);
    fails(read(&one("F99", "[2]", "[0,8]"), 8), &["damaged", "F99"]);
    fails(read(&one("F32", "[-1]", "[0,8]"), 8), &["damaged"]);
    fails(read(&one("F32", "[3]", "[0,8]"), 8), &["tensor a", "[3]"]);
    fails(read(&one("F32", "[2]", "[0,8]"), 7), &["tensor a", "truncated"]);
    fails(read(&one("F32", "[2]", "[0,8]"), 9), &["8 bytes", "9"]);
    fails(read(&one("F32", "[2]", "[8,0]"), 8), &["tensor a"]);
    fails(read(&one("F32", "[2]", "[4,12]"), 12), &["tensor a", "must start at 0"]);
    let huge = one("U8", "[4294967296,4294967296]", "[0,8]");
    fails(read(&huge, 8), &["tensor a"]);
    let far = one("U8", "[18446744073709551615]", "[0,18446744073709551615]");
    fails(read(&far, 8), &["tensor a"]);

    let two = |second: &str, offsets: &str| {
        let entry = |offsets| format!(r#"{{"dtype":"U8","shape":[4],"data_offsets":{offsets}}}"#);
        format!(r#"{{"a":{},"{second}":{}}}"#, entry("[0,4]"), entry(offsets))
    };
    assert!(read(&two("b", "[4,8]"), 8).is_ok());
    fails(read(&two("b", "[0,4]"), 4), &["must start at 4"]);
    fails(read(&two("b", "[2,6]"), 6), &["must start at 4"]);
    fails(read(&two("a", "[4,8]"), 8), &["tensor a", "twice"]);
}

/// The model in two files, and the name of the file of each tensor.
fn sharded() -> (tempfile::TempDir, Json) {
    let mut first = Safetensors::model(false, "model.");
    let second = Safetensors { tensors: first.tensors.split_off(9) };
    let folder = folder(&hub_config(false), &[]);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut map = json!({});
    for (file, weights) in [("a.safetensors", &first), ("b.safetensors", &second)] {
        put(folder.path(), file, weights.bytes());
        for (name, _, _) in &weights.tensors {
            map[name] = json!(file);
        }
    }
    (folder, map)
}

#[test]
fn indices() {
    let (folder, map) = sharded();
    let open = |map: &Json| {
        let index = json!({"metadata": {}, "weight_map": map}).to_string();
        put(folder.path(), "model.safetensors.index.json", index);
        ModelFiles::open(folder.path())
    };
    read_all(&open(&map).unwrap());
    let changed = |file: &str| {
        let mut map = map.clone();
        map[QUERY] = json!(file);
        open(&map)
    };
    let hostile = [
        "../a.safetensors",
        "/etc/a.safetensors",
        "x/a.safetensors",
        "x\\a.safetensors",
        "C:a.safetensors",
        "config.json",
        "..",
        "",
    ];
    for file in hostile {
        fails(changed(file), &["model.safetensors.index.json", "weight_map"]);
    }
    fails(changed("c.safetensors"), &["c.safetensors"]);
    fails(changed("a.safetensors"), &["a.safetensors", QUERY, "says that it is here"]);
    let mut without = map.clone();
    without.as_object_mut().unwrap().remove(QUERY);
    fails(open(&without), &[QUERY, "missing"]);
    put(folder.path(), "model.safetensors.index.json", "{}");
    fails(ModelFiles::open(folder.path()), &["index.json", "weight_map"]);
    fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    fails(ModelFiles::open(folder.path()), &["model.safetensors"]);
}

#[test]
fn gemma3_prefixes() {
    for prefix in ["model.", "language_model.model.", "model.language_model.", ""] {
        let folder = folder(&hub_config(true), &Safetensors::model(true, prefix).bytes());
        let model = ModelFiles::open(folder.path()).unwrap();
        read_all(&model);
        let name = model.tensor(TensorId::FinalNorm).unwrap().name;
        assert_eq!(name, format!("{prefix}norm.weight"));
    }
}

#[test]
fn gemma3_rows_for_images() {
    let mut weights = Safetensors::model(true, "language_model.model.");
    weights.tensor("language_model.model.embed_tokens.weight").2[0] = 262_208;
    let text = hub_config(true);
    let mut config = json!({"model_type": "gemma3", "eos_token_id": [1, 106], "text_config": text});
    let folder = folder(&config, &weights.bytes());
    for vocab_size in [json!(null), json!(262_144), json!(262_208)] {
        config["text_config"]["vocab_size"] = vocab_size;
        put(folder.path(), "config.json", config.to_string());
        let model = ModelFiles::open(folder.path()).unwrap();
        read_all(&model);
        assert_eq!(model.config().vocab_size, 262_208);
        assert_eq!(model.config().stop_ids, [1, 106]);
    }
    config["text_config"]["vocab_size"] = json!(262_000);
    put(folder.path(), "config.json", config.to_string());
    fails(ModelFiles::open(folder.path()), &["embed_tokens", "262208", "262000"]);
}
