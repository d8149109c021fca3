//! The models that come with the tests.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::read_all;
use crate::config::{Architecture, Config, LayerAttention};
use crate::load::{ModelFiles, TensorId, TokenizerSource};
use crate::quant::WeightFormat;

fn open(name: &str) -> ModelFiles {
    let goldens = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden"));
    let model = ModelFiles::open(&goldens.join(name)).expect("a golden");
    assert_eq!(model.name(), name);
    assert_eq!(model.norm_offset(), 1.0);
    assert!(matches!(model.tokenizer(), TokenizerSource::Missing { .. }));
    read_all(&model);
    model
}

fn layer(window: impl Into<Option<usize>>, rope_theta: f32, rope_scale: f32) -> LayerAttention {
    LayerAttention { window: window.into(), rope_theta, rope_scale }
}

#[test]
fn gemma2_in_three_files() {
    let model = open("tiny-random-gemma2");
    let local = layer(16, 10_000.0, 1.0);
    let full = layer(None, 10_000.0, 1.0);
    let expected = Config {
        architecture: Architecture::Gemma2,
        vocab_size: 768,
        hidden_size: 96,
        intermediate_size: 256,
        num_layers: 4,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 32,
        context_length: 8192,
        rms_norm_eps: 1e-6,
        query_scale: (1.0 / 24f64.sqrt()) as f32,
        embedding_scale: 96f32.sqrt(),
        attn_soft_cap: Some(50.0),
        final_soft_cap: Some(30.0),
        layers: vec![local, full, local, full],
        qk_norm: false,
        bos_id: 2,
        stop_ids: vec![1],
    };
    assert_eq!(*model.config(), expected);
    assert_eq!(model.tensor(TensorId::Embedding).unwrap().format, WeightFormat::Bf16);
}

#[test]
fn gemma2_in_the_dialect_of_transformers_5() {
    let model = open("tiny-random-gemma2-f32");
    let config = model.config();
    assert_eq!([config.vocab_size, config.hidden_size, config.num_layers], [512, 128, 4]);
    assert_eq!(config.query_scale, 0.125);
    let local = layer(16, 10_000.0, 1.0);
    let full = layer(None, 10_000.0, 1.0);
    assert_eq!(config.layers, [local, full, local, full]);
    assert_eq!(model.tensor(TensorId::FinalNorm).unwrap().format, WeightFormat::F32);
}

#[test]
fn gemma2_with_odd_sizes() {
    let model = open("tiny-random-gemma2-odd");
    let config = model.config();
    assert_eq!([config.vocab_size, config.hidden_size, config.intermediate_size], [517, 72, 200]);
    assert_eq!([config.num_heads, config.num_kv_heads, config.head_dim], [3, 1, 24]);
    let windows: Vec<_> = config.layers.iter().map(|layer| layer.window).collect();
    assert_eq!(windows, [Some(13), None, Some(13), None, Some(13)]);
}

#[test]
fn gemma3() {
    let model = open("tiny-random-gemma3");
    let config = model.config();
    assert_eq!(config.architecture, Architecture::Gemma3);
    assert!(config.qk_norm);
    assert_eq!((config.attn_soft_cap, config.final_soft_cap), (None, None));
    assert_eq!(config.context_length, 32768);
    let local = layer(16, 10_000.0, 1.0);
    let full = layer(None, 1_000_000.0, 8.0);
    assert_eq!(config.layers, [local, local, local, local, local, full, local, local]);
}

/// Set `LAPIDARY_270M` to a GGUF of Gemma-3 270M to run this.
#[test]
fn the_real_270m() {
    let Some(path) = std::env::var_os("LAPIDARY_270M").map(PathBuf::from) else {
        // Not eprintln, which the test runner swallows when a test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: LAPIDARY_270M does not name the real model");
        return;
    };
    let model = ModelFiles::open(&path).expect("the 270M");
    read_all(&model);
    assert_eq!(model.name(), "Gemma 3 270m");
    assert_eq!(model.norm_offset(), 0.0);
    let config = model.config();
    assert_eq!([config.vocab_size, config.hidden_size, config.num_layers], [262_144, 640, 18]);
    assert_eq!([config.num_heads, config.num_kv_heads, config.head_dim], [4, 1, 256]);
    assert_eq!((config.query_scale, config.bos_id), (1.0 / 16.0, 2));
    assert_eq!(config.stop_ids, [1]);
    for (index, found) in config.layers.iter().enumerate() {
        let full = layer(None, 1_000_000.0, 1.0);
        let local = layer(512, 10_000.0, 1.0);
        assert_eq!(*found, if index % 6 == 5 { full } else { local });
    }
    let TokenizerSource::Gguf { vocab, .. } = model.tokenizer() else {
        panic!("no vocabulary");
    };
    assert_eq!(vocab.model, "llama");
    assert_eq!(vocab.tokens.len(), 262_144);
    assert_eq!((vocab.scores.len(), vocab.token_types.len()), (262_144, 262_144));
    assert_eq!(vocab.tokens[5], "[multimodal]");
    assert_eq!((vocab.unk_id, vocab.pad_id), (Some(3), Some(0)));
    assert_eq!(vocab.add_space_prefix, Some(false));
}
