//! Hugging Face's `config.json`, in two dialects: the hub's (`rope_theta`, `rope_scaling`, `sliding_window_pattern`) and
//! transformers 5's (`rope_parameters`, `layer_types`). Gemma-3 4B and up keep the text model in `text_config` and leave
//! out fields that equal the default.

use std::path::Path;

use serde_json::Value;

use super::json::{Fields, ids, parse};
use crate::config::{
    Config, FAMILIES, Family, Rope, check_layers, embedding_scale, layer_attention, query_scale, sliding_by_pattern,
    unique,
};
use crate::error::{Error, Result, clip, one_of};

impl Config {
    /// Reads a Hugging Face `config.json`, in the hub's dialect or that of transformers 5. `path` names it in errors.
    ///
    /// # Errors
    ///
    /// [`Error::BadFile`] where it is no JSON, [`Error::Config`] where a field is missing or makes no sense, and
    /// [`Error::Unsupported`] where it describes another kind of model.
    pub fn from_hub(json: &[u8], path: &Path) -> Result<Config> {
        read(json, path)
    }
}

/// The family of a `model_type`, and whether its text model is in `text_config`.
fn family(root: &Fields<'_>) -> Result<(&'static Family, bool)> {
    let names = FAMILIES.iter().flat_map(|family| [Some(family.hub_name), family.nested_hub_name]);
    let expected = || one_of(&names.flatten().collect::<Vec<_>>());
    let Some(model_type) = root.text("model_type")? else {
        return Err(root.error("model_type", &format!("it is missing; expected {}", expected())));
    };
    for family in FAMILIES {
        if family.hub_name == model_type {
            return Ok((family, false));
        }
        if family.nested_hub_name == Some(model_type) {
            return Ok((family, true));
        }
    }
    Err(Error::Unsupported {
        what: format!("the model type {:?} in {}", clip(model_type), root.path.display()),
        hint: format!("use a model of the type {}", expected()),
    })
}

fn read(json: &[u8], path: &Path) -> Result<Config> {
    let root = parse(json, path)?;
    let root = Fields { path, prefix: "", map: &root };
    let (family, nested) = family(&root)?;
    let text = if nested {
        let Some(map) = root.object("text_config")? else {
            let reason = "it is missing, but models of this model_type need it";
            return Err(root.error("text_config", reason));
        };
        Fields { path, prefix: "text_config.", map }
    } else {
        Fields { ..root }
    };
    check_variant(&text)?;

    let size = |name, default| text.size(name, nested.then_some(default));
    let num_layers =
        check_layers(path, text.spell("num_hidden_layers"), size("num_hidden_layers", family.num_layers)?)?;
    let hidden_size = size("hidden_size", family.hidden_size)?;
    let scalar = text.number("query_pre_attn_scalar")?;
    let scalar = scalar.unwrap_or(family.query_pre_attn_scalar);
    let (local, full) = ropes(&text, family)?;
    let sliding = sliding_layers(&text, family, num_layers)?;
    let window = match text.map.get("sliding_window") {
        // Without a window, sliding layers attend to all positions.
        Some(Value::Null) => None,
        _ => Some(text.size("sliding_window", Some(family.sliding_window))?),
    };
    let stops = match ids(&root, "eos_token_id")? {
        Some(ids) => ids,
        None => ids(&text, "eos_token_id")?.unwrap_or(vec![family.eos_id]),
    };
    let bos_id = match root.id("bos_token_id")? {
        Some(id) => id,
        None => text.id("bos_token_id")?.unwrap_or(family.bos_id),
    };
    let config = Config {
        architecture: family.architecture,
        vocab_size: size("vocab_size", family.vocab_size)?,
        hidden_size,
        intermediate_size: size("intermediate_size", family.intermediate_size)?,
        num_layers,
        num_heads: size("num_attention_heads", family.num_heads)?,
        num_kv_heads: size("num_key_value_heads", family.num_kv_heads)?,
        head_dim: size("head_dim", family.head_dim)?,
        context_length: text.size("max_position_embeddings", Some(family.context_length))?,
        rms_norm_eps: text.number("rms_norm_eps")?.map_or(family.rms_norm_eps, |eps| eps as f32),
        query_scale: query_scale(scalar),
        embedding_scale: embedding_scale(hidden_size),
        attn_soft_cap: text.cap("attn_logit_softcapping", family.attn_soft_cap)?,
        final_soft_cap: text.cap("final_logit_softcapping", family.final_soft_cap)?,
        layers: layer_attention(&sliding, window, local, full),
        qk_norm: family.qk_norm,
        bos_id,
        stop_ids: unique(stops),
    };
    config.check(path, &|field| {
        // Models with images give the ids outside of `text_config`.
        if field.ends_with("_token_id") && root.get(field).is_some() {
            root.spell(field)
        } else if matches!(field, "rope_theta" | "rope_scaling") && text.get("rope_parameters").is_some() {
            text.spell("rope_parameters")
        } else {
            text.spell(field)
        }
    })
}

/// Refuses variants that need another layer graph.
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
        let activation = format!("{:?}", clip(activation));
        return Err(text.unsupported("hidden_activation", &activation, "Gemma's models use gelu_pytorch_tanh"));
    }
    for field in ["attention_bias", "use_bidirectional_attention"] {
        if text.flag(field)? == Some(true) {
            return Err(text.unsupported(field, "true", "Gemma's generating models have it false"));
        }
    }
    Ok(())
}

/// The RoPE of sliding and of full layers.
fn ropes(text: &Fields<'_>, family: &Family) -> Result<(Rope, Rope)> {
    let theta = |name, default| -> Result<f32> { Ok(text.number(name)?.map_or(default, |theta| theta as f32)) };
    let full = Rope { theta: theta("rope_theta", family.theta)?, scale: 1.0 };
    let local = match family.local_rope {
        true => Rope { theta: theta("rope_local_base_freq", family.local_theta)?, scale: 1.0 },
        false => full,
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
        return match (family.local_rope, sliding, other) {
            (false, None, None) => {
                let rope = rope(&parameters, full)?;
                Ok((rope, rope))
            }
            (true, None, None) if !parameters.map.is_empty() => {
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
    Ok((if family.local_rope { local } else { full }, full))
}

/// One object of RoPE parameters. Absent fields are as in `or`.
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
            let other = format!("{:?}", clip(other));
            return Err(fields.unsupported(field, &other, "the types default and linear work"));
        }
    };
    Ok(Rope { theta, scale })
}

/// Which layers slide.
fn sliding_layers(text: &Fields<'_>, family: &Family, num_layers: usize) -> Result<Vec<bool>> {
    if let Some(types) = text.get("layer_types") {
        let Some(types) = types.as_array().filter(|types| types.len() == num_layers) else {
            return Err(text.error("layer_types", &format!("it must be a list of {num_layers} strings, one per layer")));
        };
        let sliding = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => {
                let kind = kind.to_string();
                Err(text.unsupported("layer_types", &clip(&kind), "layers are sliding_attention or full_attention"))
            }
        };
        return types.iter().map(sliding).collect();
    }
    let mut pattern = family.sliding_pattern;
    for field in ["_sliding_window_pattern", "sliding_window_pattern"] {
        pattern = text.size(field, Some(pattern))?;
        if pattern == 0 {
            return Err(text.error(field, "it is 0, but must be at least 1"));
        }
    }
    Ok(sliding_by_pattern(num_layers, pattern))
}

/// The `eos_token_id` of a `generation_config.json`, if it has one.
pub(super) fn stop_ids(json: &[u8], path: &Path, vocab_size: usize) -> Result<Option<Vec<u32>>> {
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
pub(super) fn head_is_tied(json: &[u8], path: &Path) -> Result<bool> {
    let root = parse(json, path)?;
    let root = Fields { path, prefix: "", map: &root };
    let mut tied = root.flag("tie_word_embeddings")? != Some(false);
    if let Some(map) = root.object("text_config")? {
        let text = Fields { path, prefix: "text_config.", map };
        tied &= text.flag("tie_word_embeddings")? != Some(false);
    }
    Ok(tied)
}
