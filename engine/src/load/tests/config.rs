//! Configurations in all their dialects.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::write::{Gguf, Value, hub_config};
use super::{fails, gguf};
use crate::config::{Architecture, Config, LayerAttention};
use crate::error::Result;

fn read(config: &Json) -> Result<Config> {
    Config::from_hub(config.to_string().as_bytes(), Path::new("config.json"))
}

/// A configuration with other fields.
fn with(gemma3: bool, fields: Json) -> Result<Config> {
    let mut config = hub_config(gemma3);
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    read(&config)
}

fn without(gemma3: bool, field: &str) -> Result<Config> {
    let mut config = hub_config(gemma3);
    config.as_object_mut().unwrap().remove(field);
    read(&config)
}

#[test]
fn fields_that_are_wrong() {
    let cases = [
        ("model_type", json!("llama"), "gemma3_text"),
        ("model_type", json!(null), "model_type"),
        ("vocab_size", json!(0), "vocab_size"),
        ("vocab_size", json!(1u64 << 40), "vocab_size"),
        ("vocab_size", json!(-1), "vocab_size"),
        ("vocab_size", json!("40"), "vocab_size"),
        ("hidden_size", json!(30), "hidden_size: it is 30"),
        ("hidden_size", json!(1 << 20), "hidden_size"),
        ("hidden_size", json!(32.5), "hidden_size"),
        ("intermediate_size", json!(62), "intermediate_size"),
        ("num_hidden_layers", json!(1u64 << 40), "num_hidden_layers"),
        ("num_attention_heads", json!(5), "num_key_value_heads"),
        ("num_key_value_heads", json!(0), "num_key_value_heads"),
        ("head_dim", json!(512), "head_dim"),
        ("head_dim", json!(18), "head_dim"),
        ("max_position_embeddings", json!(0), "max_position_embeddings"),
        ("rms_norm_eps", json!(0.0), "rms_norm_eps"),
        ("rms_norm_eps", json!(1e-300), "rms_norm_eps"),
        ("query_pre_attn_scalar", json!(-4), "query_pre_attn_scalar"),
        ("query_pre_attn_scalar", json!(0), "query_pre_attn_scalar"),
        ("attn_logit_softcapping", json!(0), "attn_logit_softcapping"),
        ("final_logit_softcapping", json!(1e300), "final_logit_softcapping"),
        ("rope_theta", json!(0), "rope_theta"),
        ("sliding_window", json!(0), "sliding_window"),
        ("layer_types", json!(["full_attention"]), "layer_types"),
        ("layer_types", json!(["full_attention", "chunked"]), "chunked"),
        ("rope_scaling", json!({"rope_type": "yarn", "factor": 8}), "yarn"),
        ("rope_scaling", json!({"type": "dynamic", "factor": 8}), "rope_scaling.type \"dynamic\""),
        ("rope_scaling", json!({"type": "linear"}), "rope_scaling.factor"),
        ("rope_scaling", json!({"type": "linear", "factor": 0}), "rope_scaling"),
        ("rope_scaling", json!([]), "rope_scaling"),
        ("hidden_activation", json!("silu"), "silu"),
        ("attention_bias", json!(true), "attention_bias"),
        ("use_bidirectional_attention", json!(true), "use_bidirectional_attention"),
        ("eos_token_id", json!(40), "eos_token_id"),
        ("eos_token_id", json!(vec![1; 100_000]), "eos_token_id"),
        ("bos_token_id", json!("<bos>"), "bos_token_id"),
    ];
    for (field, value, words) in cases {
        fails(with(false, json!({field: value})), &[words]);
    }
    for field in ["vocab_size", "hidden_size", "num_hidden_layers", "head_dim", "model_type"] {
        fails(without(false, field), &["config.json", field, "missing"]);
    }
    fails(with(true, json!({"sliding_window_pattern": 0})), &["sliding_window_pattern"]);
    fails(Config::from_hub(b"[]", Path::new("config.json")), &["object"]);
    fails(Config::from_hub(&b"[".repeat(100_000), Path::new("config.json")), &["not JSON"]);
}

#[test]
fn optional_fields() {
    let config = without(false, "attn_logit_softcapping").unwrap();
    assert_eq!(config.attn_soft_cap, Some(50.0));
    let config = with(false, json!({"attn_logit_softcapping": null})).unwrap();
    assert_eq!(config.attn_soft_cap, None);
    let config = without(true, "attn_logit_softcapping").unwrap();
    assert_eq!(config.attn_soft_cap, None);
    let config = without(false, "query_pre_attn_scalar").unwrap();
    assert_eq!(config.query_scale, 1.0 / 16.0);
    let config = with(false, json!({"sliding_window": null})).unwrap();
    assert!(config.layers.iter().all(|layer| layer.window.is_none()));
    let config = with(false, json!({"hidden_activation": null, "hidden_act": "gelu"}));
    assert!(config.is_ok());
    let config = with(false, json!({"hidden_activation": null, "hidden_act": "relu"}));
    fails(config, &["relu"]);
    let config = with(false, json!({"eos_token_id": [1, 7, 1]})).unwrap();
    assert_eq!(config.stop_ids, [1, 7]);
}

fn layer(window: impl Into<Option<usize>>, rope_theta: f32, rope_scale: f32) -> LayerAttention {
    LayerAttention { window: window.into(), rope_theta, rope_scale }
}

#[test]
fn rotations() {
    // Gemma-2 scales all layers, Gemma-3 the full ones.
    let scaling = json!({"rope_scaling": {"type": "linear", "factor": 4.0}});
    let config = with(false, scaling.clone()).unwrap();
    assert_eq!(config.layers, [layer(8, 1e4, 4.0), layer(None, 1e4, 4.0)]);
    let config = with(true, scaling).unwrap();
    assert_eq!(config.layers, [layer(8, 1e4, 1.0), layer(None, 1e6, 4.0)]);
    // transformers 5.
    let flat = json!({"rope_theta": 5e4, "rope_type": "default"});
    let config = with(false, json!({"rope_parameters": flat})).unwrap();
    assert_eq!(config.layers, [layer(8, 5e4, 1.0), layer(None, 5e4, 1.0)]);
    fails(with(true, json!({"rope_parameters": flat})), &["rope_parameters", "full_attention"]);
    let nested = json!({
        "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"},
        "full_attention": {"rope_theta": 3e6, "rope_type": "linear", "factor": 8.0},
    });
    let fields = json!({
        "rope_parameters": nested, "sliding_window_pattern": null, "_sliding_window_pattern": 2,
    });
    let config = with(true, fields).unwrap();
    assert_eq!(config.layers, [layer(8, 2e4, 1.0), layer(None, 3e6, 8.0)]);
    let bad = json!({"full_attention": {"rope_type": "llama3"}});
    fails(with(true, json!({"rope_parameters": bad})), &["rope_parameters.full_attention.rope_type", "llama3"]);
    // The types of layers come before any pattern.
    let types = json!({"layer_types": ["full_attention", "sliding_attention"]});
    let config = with(true, types).unwrap();
    assert_eq!(config.layers, [layer(None, 1e6, 1.0), layer(8, 1e4, 1.0)]);
}

/// The file of Gemma-3 4B as it is on the hub, without the part for images.
#[test]
fn sparse_text_config() {
    let mut config = json!({
        "architectures": ["Gemma3ForConditionalGeneration"], "eos_token_id": [1, 106], "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
        },
        "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0", "vision_config": {"hidden_size": 1152},
    });
    let found = read(&config).unwrap();
    assert_eq!(found.architecture, Architecture::Gemma3);
    assert_eq!([found.vocab_size, found.hidden_size, found.num_layers], [262_208, 2560, 34]);
    assert_eq!([found.num_heads, found.num_kv_heads, found.head_dim], [8, 4, 256]);
    assert_eq!((found.context_length, found.stop_ids), (131_072, vec![1, 106]));
    assert_eq!(found.layers[4], layer(1024, 1e4, 1.0));
    assert_eq!(found.layers[5], layer(None, 1e6, 8.0));
    config["text_config"]["head_dim"] = json!(3);
    fails(read(&config), &["text_config.head_dim"]);
    config["text_config"] = json!(null);
    fails(read(&config), &["text_config"]);
}

#[test]
fn shapes_of_published_models() {
    for name in Config::shapes() {
        let config = Config::of_shape(name).unwrap();
        assert_eq!(config.layers.len(), config.num_layers, "{name}");
    }
    fails(Config::of_shape("gemma-9-1t"), &["gemma-3-4b, gemma-3-12b or gemma-3-27b"]);
    let large = Config::of_shape("gemma-2-27b").unwrap();
    // Not 1/√head_dim.
    assert_eq!(large.query_scale, 1.0 / 12.0);
    assert_eq!(large.layers[..2], [layer(4096, 1e4, 1.0), layer(None, 1e4, 1.0)]);
    assert_eq!((large.attn_soft_cap, large.final_soft_cap), (Some(50.0), Some(30.0)));
    assert_eq!((large.rms_norm_eps, large.embedding_scale), (1e-6, 4608f32.sqrt()));
    let small = Config::of_shape("gemma-3-1b").unwrap();
    assert_eq!((small.vocab_size, small.context_length), (262_144, 32_768));
    assert_eq!((small.bos_id, &small.stop_ids[..]), (2, &[1, 106][..]));
    assert_eq!(small.layers[4..6], [layer(512, 1e4, 1.0), layer(None, 1e6, 1.0)]);
    let reads_images = Config::of_shape("gemma-3-4b").unwrap();
    assert_eq!((reads_images.vocab_size, reads_images.context_length), (262_208, 131_072));
    assert_eq!(reads_images.layers[4..6], [layer(1024, 1e4, 1.0), layer(None, 1e6, 8.0)]);
}

#[test]
fn what_ggufs_leave_out() {
    let read = |file: &Gguf| {
        let model = gguf(file.bytes(), "tiny.gguf")?;
        Ok::<_, crate::error::Error>(model.config().clone())
    };
    let mut file = Gguf::model("gemma2");
    let config = read(&file).unwrap();
    assert_eq!((config.attn_soft_cap, config.final_soft_cap), (Some(20.0), Some(10.0)));
    assert_eq!(config.query_scale, 0.25);
    assert_eq!(config.layers, [layer(8, 1e4, 1.0), layer(None, 1e4, 1.0)]);
    for key in ["attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window"] {
        file.unset(&format!("gemma2.{key}"));
    }
    for key in ["bos_token_id", "eos_token_id"] {
        file.unset(&format!("tokenizer.ggml.{key}"));
    }
    file.set("tokenizer.ggml.eot_token_id", Value::U32(9));
    file.set("gemma2.attention.head_count", Value::Ints(vec![4, 4]));
    let config = read(&file).unwrap();
    assert_eq!((config.attn_soft_cap, config.final_soft_cap), (Some(50.0), Some(30.0)));
    assert_eq!(config.layers[0].window, Some(4096));
    assert_eq!((config.bos_id, config.stop_ids), (2, vec![1, 9]));

    let mut file = Gguf::model("gemma3");
    let config = read(&file).unwrap();
    assert_eq!((config.attn_soft_cap, config.final_soft_cap), (None, None));
    assert_eq!(config.layers, [layer(8, 1e4, 1.0); 2]);
    file.set("gemma3.rope.scaling.type", Value::Text("linear"));
    file.set("gemma3.rope.scaling.factor", Value::F32(8.0));
    file.set("gemma3.attention.sliding_window_pattern", Value::U32(2));
    let config = read(&file).unwrap();
    assert_eq!(config.layers, [layer(8, 1e4, 1.0), layer(None, 1e6, 8.0)]);
    let sliding = Value::Bools(vec![false, true]);
    file.set("gemma3.attention.sliding_window_pattern", sliding);
    file.set("gemma3.rope.freq_base_swa", Value::F32(2e4));
    file.set("gemma3.attention.scale", Value::F32(0.5));
    let config = read(&file).unwrap();
    assert_eq!(config.layers, [layer(None, 1e6, 8.0), layer(8, 2e4, 1.0)]);
    assert_eq!(config.query_scale, 0.5);
    for key in ["type", "factor"] {
        file.unset(&format!("gemma3.rope.scaling.{key}"));
    }
    // As Ollama's files of the larger models are.
    file.unset("gemma3.attention.layer_norm_rms_epsilon");
    file.set("gemma3.context_length", Value::U32(131_072));
    file.set("tokenizer.ggml.eos_token_ids", Value::Ints(vec![1, 7]));
    let config = read(&file).unwrap();
    assert_eq!(config.layers, [layer(None, 1e6, 8.0), layer(8, 2e4, 1.0)]);
    assert_eq!((config.rms_norm_eps, config.stop_ids), (1e-6, vec![1, 7]));
    file.set("tokenizer.ggml.eos_token_ids", Value::Ints(vec![1, 999]));
    fails(read(&file), &["eos_token_ids", "999"]);
    file.set("tokenizer.ggml.eos_token_ids", Value::Ints((0..1000).collect()));
    fails(read(&file), &["eos_token_ids", "at most 256"]);
    file.unset("tokenizer.ggml.eos_token_ids");
    file.set("gemma3.rope.scaling.type", Value::Text("none"));
    assert_eq!(read(&file).unwrap().layers[0], layer(None, 1e6, 1.0));
    let short = Value::Bools(vec![false]);
    file.set("gemma3.attention.sliding_window_pattern", short);
    fails(read(&file), &["sliding_window_pattern", "2 layers"]);
    file.unset("gemma3.attention.sliding_window_pattern");
    file.unset("gemma3.attention.sliding_window");
    fails(read(&file), &["gemma3.attention.sliding_window", "missing"]);
}

/// Files of the 27B models do not carry their odd query scales: 144 and 168 to the power of −½.
#[test]
fn query_scale_of_27b() {
    for (arch, layers) in [("gemma2", 46), ("gemma3", 62)] {
        let mut file = Gguf::model(arch);
        file.set(&format!("{arch}.block_count"), Value::U32(layers));
        let first: Vec<_> = file.tensors.iter().filter(|t| t.name.starts_with("blk.0.")).cloned().collect();
        for layer in 2..layers {
            for tensor in &first {
                let mut tensor = tensor.clone();
                tensor.name = tensor.name.replace("blk.0.", &format!("blk.{layer}."));
                file.tensors.push(tensor);
            }
        }
        let model = gguf(file.bytes(), "27b.gguf").unwrap();
        // Width 32 over 4 heads is 8, where heads have 16 features.
        assert_eq!(model.config().query_scale, (1.0 / 8f64.sqrt()) as f32);
    }
}
