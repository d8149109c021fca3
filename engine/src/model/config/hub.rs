//! Hugging Face's `config.json`, in two dialects: the hub's (`rope_theta`, `rope_scaling`, `sliding_window_pattern`) and
//! transformers 5's (`rope_parameters`, `layer_types`). Gemma-3 4B and up keep the text model in `text_config`, where
//! what equals the default is left out.

use std::path::Path;

use serde_json::Value;

use super::json::{Fields, ids, parse};
use super::{
    Architecture, Config, Rope, check_layers, embedding_scale, layer_attention, query_scale, sliding_by_pattern, unique,
};
use crate::error::{Error, Result};

/// What transformers takes where a field is absent: `Gemma2Config` and `Gemma3TextConfig`. The sizes may be left out in
/// a `text_config` only.
struct Defaults {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_layers: usize,
    num_heads: usize,
    num_kv_heads: usize,
    head_dim: usize,
    context_length: usize,
    rms_norm_eps: f32,
    query_pre_attn_scalar: f64,
    sliding_window: usize,
    /// Every so many layers, one sees everything.
    pattern: usize,
    attn_soft_cap: Option<f32>,
    final_soft_cap: Option<f32>,
    local_theta: f32,
    full_theta: f32,
    eos_id: u32,
    bos_id: u32,
}

const GEMMA2: Defaults = Defaults {
    vocab_size: 256_000,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_layers: 26,
    num_heads: 8,
    num_kv_heads: 4,
    head_dim: 256,
    context_length: 8192,
    rms_norm_eps: 1e-6,
    query_pre_attn_scalar: 256.0,
    sliding_window: 4096,
    pattern: 2,
    attn_soft_cap: Some(50.0),
    final_soft_cap: Some(30.0),
    local_theta: 10_000.0,
    full_theta: 10_000.0,
    eos_id: 1,
    bos_id: 2,
};

const GEMMA3: Defaults = Defaults {
    vocab_size: 262_208,
    context_length: 131_072,
    pattern: 6,
    attn_soft_cap: None,
    final_soft_cap: None,
    full_theta: 1_000_000.0,
    ..GEMMA2
};

/// Reads a `config.json`.
pub(super) fn read(json: &[u8], path: &Path) -> Result<Config> {
    let root = parse(json, path)?;
    let root = Fields { path, prefix: "", map: &root };
    let Some(model_type) = root.text("model_type")? else {
        return Err(root.error("model_type", "it is missing; expected gemma2, gemma3_text or gemma3"));
    };
    let (architecture, nested) = match model_type {
        "gemma2" => (Architecture::Gemma2, false),
        "gemma3_text" => (Architecture::Gemma3, false),
        "gemma3" => (Architecture::Gemma3, true),
        other => {
            let other: String = other.chars().take(60).collect();
            return Err(Error::Unsupported {
                what: format!("the model type {other:?} in {}", path.display()),
                hint: "use a model of the type gemma2, gemma3_text or gemma3".to_owned(),
            });
        }
    };
    let defaults = match architecture {
        Architecture::Gemma2 => &GEMMA2,
        Architecture::Gemma3 => &GEMMA3,
    };
    let text = if nested {
        let Some(map) = root.object("text_config")? else {
            return Err(root.error("text_config", "it is missing, but the type gemma3 needs it"));
        };
        Fields { path, prefix: "text_config.", map }
    } else {
        Fields { ..root }
    };
    check_variant(&text)?;

    let size = |name, default| text.size(name, nested.then_some(default));
    let num_layers =
        check_layers(path, text.spell("num_hidden_layers"), size("num_hidden_layers", defaults.num_layers)?)?;
    let hidden_size = size("hidden_size", defaults.hidden_size)?;
    let scalar = text.number("query_pre_attn_scalar")?;
    let scalar = scalar.unwrap_or(defaults.query_pre_attn_scalar);
    let (local, full) = ropes(&text, architecture, defaults)?;
    let sliding = sliding_layers(&text, architecture, defaults, num_layers)?;
    let window = match text.map.get("sliding_window") {
        // Without a window, sliding layers see everything.
        Some(Value::Null) => None,
        _ => Some(text.size("sliding_window", Some(defaults.sliding_window))?),
    };
    let stops = match ids(&root, "eos_token_id")? {
        Some(ids) => ids,
        None => ids(&text, "eos_token_id")?.unwrap_or(vec![defaults.eos_id]),
    };
    let bos_id = match root.id("bos_token_id")? {
        Some(id) => id,
        None => text.id("bos_token_id")?.unwrap_or(defaults.bos_id),
    };
    let config = Config {
        architecture,
        vocab_size: size("vocab_size", defaults.vocab_size)?,
        hidden_size,
        intermediate_size: size("intermediate_size", defaults.intermediate_size)?,
        num_layers,
        num_heads: size("num_attention_heads", defaults.num_heads)?,
        num_kv_heads: size("num_key_value_heads", defaults.num_kv_heads)?,
        head_dim: size("head_dim", defaults.head_dim)?,
        context_length: text.size("max_position_embeddings", Some(defaults.context_length))?,
        rms_norm_eps: text.number("rms_norm_eps")?.map_or(defaults.rms_norm_eps, |eps| eps as f32),
        query_scale: query_scale(scalar),
        embedding_scale: embedding_scale(hidden_size),
        attn_soft_cap: text.cap("attn_logit_softcapping", defaults.attn_soft_cap)?,
        final_soft_cap: text.cap("final_logit_softcapping", defaults.final_soft_cap)?,
        layers: layer_attention(&sliding, window, local, full),
        qk_norm: architecture == Architecture::Gemma3,
        bos_id,
        stop_ids: unique(stops),
    };
    config.check(path, &|field| {
        // The ids are the whole model's, where it has them.
        if field.ends_with("_token_id") && root.get(field).is_some() {
            root.spell(field)
        } else if matches!(field, "rope_theta" | "rope_scaling") && text.get("rope_parameters").is_some() {
            text.spell("rope_parameters")
        } else {
            text.spell(field)
        }
    })
}

/// Refuses what changes the graph.
fn check_variant(text: &Fields<'_>) -> Result<()> {
    // `hidden_activation` decides; `hidden_act` is left from Gemma-1, where "gelu" also meant the approximation.
    let activation = match text.text("hidden_activation")? {
        Some(activation) => activation,
        None => match text.text("hidden_act")? {
            None | Some("gelu") => "gelu_pytorch_tanh",
            Some(activation) => activation,
        },
    };
    if activation != "gelu_pytorch_tanh" {
        let activation: String = activation.chars().take(60).collect();
        return Err(text.unsupported(
            "hidden_activation",
            &format!("{activation:?}"),
            "Gemma's models use gelu_pytorch_tanh",
        ));
    }
    for field in ["attention_bias", "use_bidirectional_attention"] {
        if text.flag(field)? == Some(true) {
            return Err(text.unsupported(field, "true", "Gemma's generating models have it false"));
        }
    }
    Ok(())
}

/// The rotation of sliding and of other layers.
fn ropes(text: &Fields<'_>, architecture: Architecture, defaults: &Defaults) -> Result<(Rope, Rope)> {
    let theta = |name, default| -> Result<f32> { Ok(text.number(name)?.map_or(default, |theta| theta as f32)) };
    let full = Rope { theta: theta("rope_theta", defaults.full_theta)?, scale: 1.0 };
    // Gemma-2 has one rotation for all layers. Gemma-3 scales the positions of full layers only.
    let local = match architecture {
        Architecture::Gemma2 => full,
        Architecture::Gemma3 => Rope { theta: theta("rope_local_base_freq", defaults.local_theta)?, scale: 1.0 },
    };
    if let Some(parameters) = text.object("rope_parameters")? {
        let prefix = format!("{}rope_parameters.", text.prefix);
        let parameters = Fields { path: text.path, prefix: &prefix, map: parameters };
        let of_layers = |name: &str, or: Rope| -> Result<Option<Rope>> {
            let Some(map) = parameters.object(name)? else {
                return Ok(None);
            };
            let prefix = format!("{prefix}{name}.");
            let fields = Fields { path: text.path, prefix: &prefix, map };
            rope(&fields, or).map(Some)
        };
        let sliding = of_layers("sliding_attention", local)?;
        let other = of_layers("full_attention", full)?;
        return match (architecture, sliding, other) {
            (Architecture::Gemma2, None, None) => {
                let rope = rope(&parameters, full)?;
                Ok((rope, rope))
            }
            (Architecture::Gemma3, None, None) if !parameters.map.is_empty() => {
                Err(text.error("rope_parameters", "it must have sliding_attention and full_attention"))
            }
            (_, sliding, other) => Ok((sliding.unwrap_or(local), other.unwrap_or(full))),
        };
    }
    let Some(map) = text.object("rope_scaling")? else {
        return Ok((local, full));
    };
    let prefix = format!("{}rope_scaling.", text.prefix);
    let scaling = Fields { path: text.path, prefix: &prefix, map };
    let full = rope(&scaling, full)?;
    Ok(match architecture {
        Architecture::Gemma2 => (full, full),
        Architecture::Gemma3 => (local, full),
    })
}

/// One object of rotation parameters; what it leaves out is as in `or`.
fn rope(fields: &Fields<'_>, or: Rope) -> Result<Rope> {
    let (field, kind) = match fields.text("rope_type")? {
        Some(kind) => ("rope_type", kind),
        None => ("type", fields.text("type")?.unwrap_or("default")),
    };
    let theta = fields.number("rope_theta")?.map_or(or.theta, |theta| theta as f32);
    if fields.number("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return Err(fields.unsupported("partial_rotary_factor", "other than 1", "Gemma's models rotate whole heads"));
    }
    let scale = match kind {
        "default" => or.scale,
        "linear" => match fields.number("factor")? {
            Some(factor) => factor as f32,
            None => {
                return Err(fields.error("factor", "it is missing, but the type linear needs it"));
            }
        },
        other => {
            let other: String = other.chars().take(60).collect();
            return Err(fields.unsupported(field, &format!("{other:?}"), "the types default and linear work"));
        }
    };
    Ok(Rope { theta, scale })
}

/// Which layers slide.
fn sliding_layers(
    text: &Fields<'_>,
    architecture: Architecture,
    defaults: &Defaults,
    num_layers: usize,
) -> Result<Vec<bool>> {
    if let Some(types) = text.get("layer_types") {
        let Some(types) = types.as_array().filter(|types| types.len() == num_layers) else {
            return Err(
                text.error("layer_types", &format!("it must be a list of {num_layers} strings, one for each layer"))
            );
        };
        let sliding = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => {
                let kind: String = kind.to_string().chars().take(60).collect();
                Err(text.unsupported("layer_types", &kind, "layers are sliding_attention or full_attention"))
            }
        };
        return types.iter().map(sliding).collect();
    }
    // Gemma-2 alternates, and its configurations have no pattern.
    let mut pattern = defaults.pattern;
    if architecture == Architecture::Gemma3 {
        for field in ["_sliding_window_pattern", "sliding_window_pattern"] {
            pattern = text.size(field, Some(pattern))?;
            if pattern == 0 {
                return Err(text.error(field, "it is 0, but must be at least 1"));
            }
        }
    }
    Ok(sliding_by_pattern(num_layers, pattern))
}

/// The `eos_token_id` of a `generation_config.json`, if it has one.
pub(crate) fn stop_ids(json: &[u8], path: &Path, vocab_size: usize) -> Result<Option<Vec<u32>>> {
    let root = parse(json, path)?;
    let root = Fields { path, prefix: "", map: &root };
    let Some(ids) = ids(&root, "eos_token_id")? else {
        return Ok(None);
    };
    match ids.iter().find(|id| **id as usize >= vocab_size) {
        None => Ok(Some(unique(ids))),
        Some(id) => {
            Err(root.error("eos_token_id", &format!("it is {id}, but the vocabulary has only {vocab_size} tokens")))
        }
    }
}

/// Whether the output head is the embedding, which is the default.
pub(crate) fn head_is_tied(json: &[u8], path: &Path) -> Result<bool> {
    let root = parse(json, path)?;
    let root = Fields { path, prefix: "", map: &root };
    let mut tied = root.flag("tie_word_embeddings")? != Some(false);
    if let Some(map) = root.object("text_config")? {
        let text = Fields { path, prefix: "text_config.", map };
        tied &= text.flag("tie_word_embeddings")? != Some(false);
    }
    Ok(tied)
}
