//! The model's configuration from GGUF metadata, parts of which older converters leave out.

use std::path::Path;

use super::metadata::{Metadata, Value};
use crate::config::{
    Architecture, Config, FAMILIES, Family, Rope, check_layers, embedding_scale, layer_attention, query_scale,
    sliding_by_pattern, unique,
};
use crate::error::{Error, Result, clip, one_of};
use crate::load::tensor_id::TensorId;

/// The keys of a file, which start with its architecture's name.
struct Keys<'a> {
    meta: &'a Metadata,
    path: &'a Path,
    arch: &'static str,
}

/// The divisor of positions of the Gemma-3 models with a long context.
const LONG_CONTEXT_FACTOR: f32 = 8.0;

/// Reads the metadata of a GGUF file, and the vocabulary's size from the embedding. `path` names the file in errors.
///
/// # Errors
///
/// [`Error::Config`] where a key is missing or makes no sense, [`Error::MissingTensor`] where there is no embedding,
/// and [`Error::Unsupported`] where the file holds another kind of model.
pub(super) fn read(meta: &Metadata, path: &Path) -> Result<Config> {
    let family = family(meta, path)?;
    let keys = &Keys { meta, path, arch: family.gguf_name };
    let num_layers = check_layers(path, keys.spell("block_count"), keys.required("block_count")?)?;
    let hidden_size = keys.required("embedding_length")?;
    let num_heads = keys.required("attention.head_count")?;
    let head_dim = match keys.size("attention.key_length")? {
        Some(size) => size,
        // The format's default.
        None => hidden_size.checked_div(num_heads).unwrap_or(0),
    };
    if let Some(size) = keys.size("attention.value_length")?
        && size != head_dim
    {
        let reason = format!("it is {size}, but must be the key length, {head_dim}");
        return Err(keys.error("attention.value_length", reason));
    }
    if meta.flag(&keys.spell("attention.causal"))? == Some(false) {
        return Err(Error::Unsupported {
            what: format!("attention that is not causal, in {},", path.display()),
            hint: "use a model that generates text".to_owned(),
        });
    }
    let context_length = keys.required("context_length")?;
    let (local, full) = ropes(keys, family, context_length)?;
    let (window, sliding) = windows(keys, family, num_layers)?;
    let (attn_soft_cap, final_soft_cap) = caps(keys, family)?;
    let vocab_size = embedding_rows(meta, path)?;
    let (bos_id, stop_ids) = ids(keys, family, vocab_size)?;

    let config = Config {
        architecture: family.architecture,
        vocab_size,
        hidden_size,
        intermediate_size: keys.required("feed_forward_length")?,
        num_layers,
        num_heads,
        num_kv_heads: keys.size("attention.head_count_kv")?.unwrap_or(num_heads),
        head_dim,
        context_length,
        rms_norm_eps: epsilon(keys, family)?,
        query_scale: match keys.number("attention.scale")? {
            Some(scale) => scale,
            None => {
                let wide = num_layers == family.wide_query_layers;
                // `check` refuses a head count of 0.
                let by_width = || hidden_size.checked_div(num_heads).unwrap_or(0);
                query_scale(if wide { by_width() } else { head_dim } as f64)
            }
        },
        embedding_scale: embedding_scale(hidden_size),
        attn_soft_cap,
        final_soft_cap,
        layers: layer_attention(&sliding, Some(window), local, full),
        qk_norm: family.qk_norm,
        bos_id,
        stop_ids,
    };
    config.check(path, &|field| spell(keys, field))
}

fn family(meta: &Metadata, path: &Path) -> Result<&'static Family> {
    let expected = one_of(&FAMILIES.map(|family| family.gguf_name));
    let Some(name) = meta.text("general.architecture")? else {
        return Err(Error::Config {
            path: path.to_owned(),
            field: "general.architecture".to_owned(),
            reason: format!("it is missing; expected {expected}"),
        });
    };
    FAMILIES.into_iter().find(|family| family.gguf_name == name).ok_or_else(|| Error::Unsupported {
        what: format!("the architecture {:?} in {}", clip(name), path.display()),
        hint: format!("use a model of the architecture {expected}"),
    })
}

/// The file's key for a field of `config.json`.
fn spell(keys: &Keys<'_>, field: &str) -> String {
    keys.spell(match field {
        "vocab_size" => return TensorId::Embedding.gguf_name(),
        "eos_token_id" => return "tokenizer.ggml.eos_token_id".to_owned(),
        "bos_token_id" => return "tokenizer.ggml.bos_token_id".to_owned(),
        "hidden_size" => "embedding_length",
        "intermediate_size" => "feed_forward_length",
        "num_hidden_layers" => "block_count",
        "num_attention_heads" => "attention.head_count",
        "num_key_value_heads" => "attention.head_count_kv",
        "head_dim" => "attention.key_length",
        "max_position_embeddings" => "context_length",
        "rms_norm_eps" => "attention.layer_norm_rms_epsilon",
        "query_pre_attn_scalar" => "attention.scale",
        "sliding_window" => "attention.sliding_window",
        "rope_theta" => "rope.freq_base",
        "rope_scaling" => "rope.scaling.factor",
        other => other,
    })
}

fn embedding_rows(meta: &Metadata, path: &Path) -> Result<usize> {
    let name = TensorId::Embedding.gguf_name();
    match meta.tensor(&name) {
        None => Err(Error::MissingTensor { path: path.to_owned(), name }),
        // An embedding of another shape is refused where all shapes are compared.
        Some(info) => Ok(info.shape.iter().rev().nth(1).copied().unwrap_or(1)),
    }
}

/// What norms add to the mean square. Ollama's files of Gemma-3 lack it.
fn epsilon(keys: &Keys<'_>, family: &Family) -> Result<f32> {
    const KEY: &str = "attention.layer_norm_rms_epsilon";
    match (keys.number(KEY)?, family.architecture) {
        (Some(epsilon), _) => Ok(epsilon),
        (None, Architecture::Gemma3) => Ok(keys.take_default(KEY, family.rms_norm_eps)),
        (None, Architecture::Gemma2) => Err(keys.error(KEY, "it is missing; expected a number".to_owned())),
    }
}

/// The RoPE of sliding and of full layers.
fn ropes(keys: &Keys<'_>, family: &Family, context_length: usize) -> Result<(Rope, Rope)> {
    let kind = keys.meta.text(&keys.spell("rope.scaling.type"))?;
    let factor = match keys.number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        // The key's older name.
        None => keys.number("rope.scale_linear")?,
    };
    let scale = match kind {
        Some("none") => 1.0,
        // Ollama's files of Gemma-3 lack the factor of the models that have one.
        None if factor.is_none() && context_length >= family.long_context => {
            keys.take_default("rope.scaling.factor", LONG_CONTEXT_FACTOR)
        }
        // A factor of 0 means none, as in llama.cpp.
        None | Some("linear") => factor.filter(|factor| *factor != 0.0).unwrap_or(1.0),
        Some(other) => {
            let key = keys.spell("rope.scaling.type");
            return Err(Error::Unsupported {
                what: format!("{key} {:?} in {}", clip(other), keys.path.display()),
                hint: "the types none and linear work".to_owned(),
            });
        }
    };
    // The second spelling is Ollama's.
    let theta = |key, other, default| -> Result<f32> {
        let theta = match keys.number(key)? {
            Some(theta) => Some(theta),
            None => keys.number(other)?,
        };
        Ok(theta.unwrap_or(default))
    };
    let full = Rope { theta: theta("rope.freq_base", "rope.global.freq_base", family.theta)?, scale };
    let local = match family.local_rope {
        true => Rope { theta: theta("rope.freq_base_swa", "rope.local.freq_base", family.local_theta)?, scale: 1.0 },
        false => full,
    };
    Ok((local, full))
}

/// The window, and which layers have it.
fn windows(keys: &Keys<'_>, family: &Family, num_layers: usize) -> Result<(usize, Vec<bool>)> {
    let window = match family.gguf_sliding_window {
        Some(default) => keys.size("attention.sliding_window")?.unwrap_or(default),
        None => keys.required("attention.sliding_window")?,
    };
    const PATTERN: &str = "attention.sliding_window_pattern";
    let sliding = match keys.meta.get(&keys.spell(PATTERN)) {
        Some(Value::Bools(sliding)) if sliding.len() == num_layers => sliding.clone(),
        Some(Value::Bools(sliding)) => {
            let reason = format!("it has {} values for {num_layers} layers", sliding.len());
            return Err(keys.error(PATTERN, reason));
        }
        _ => {
            let pattern = keys.size(PATTERN)?.unwrap_or(family.sliding_pattern);
            if pattern == 0 {
                return Err(keys.error(PATTERN, "it is 0, but must be at least 1".to_owned()));
            }
            sliding_by_pattern(num_layers, pattern)
        }
    };
    Ok((window, sliding))
}

/// The caps of attention and of final logits. The first Gemma-2 files lack them, although all Gemma-2 models have them.
fn caps(keys: &Keys<'_>, family: &Family) -> Result<(Option<f32>, Option<f32>)> {
    let cap = |key, default: Option<f32>| -> Result<Option<f32>> {
        let cap = keys.number(key)?;
        Ok(cap.or_else(|| default.map(|default| keys.take_default(key, default))))
    };
    Ok((cap("attn_logit_softcapping", family.attn_soft_cap)?, cap("final_logit_softcapping", family.final_soft_cap)?))
}

/// The id of `<bos>`, and the ids that end a reply.
fn ids(keys: &Keys<'_>, family: &Family, vocab_size: usize) -> Result<(u32, Vec<u32>)> {
    let meta = keys.meta;
    let tokens = meta.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let find = |piece: &str| {
        let id = tokens.iter().position(|token| token == piece)?;
        u32::try_from(id).ok()
    };
    let bos = meta.token_id("tokenizer.ggml.bos_token_id")?.or_else(|| find("<bos>")).unwrap_or(family.bos_id);
    // Some files give <end_of_turn> as the end of text, but the model also ends replies with <eos>.
    let eos = meta.token_id("tokenizer.ggml.eos_token_id")?.into_iter().chain(find("<eos>"));
    let end_of_turn = meta.token_id("tokenizer.ggml.eot_token_id")?;
    const ALL: &str = "tokenizer.ggml.eos_token_ids";
    let all = meta.token_ids(ALL)?.unwrap_or_default();
    if let Some(id) = all.iter().find(|id| **id as usize >= vocab_size) {
        let reason = format!("it names {id}, but the vocabulary has only {vocab_size} tokens");
        return Err(Error::Config { path: keys.path.to_owned(), field: ALL.to_owned(), reason });
    }
    Ok((bos, unique(eos.chain(end_of_turn).chain(all))))
}

impl Keys<'_> {
    fn spell(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    /// The value of a key that is missing.
    fn take_default(&self, key: &str, default: f32) -> f32 {
        let (path, key, arch) = (self.path.display(), self.spell(key), self.arch);
        log::warn!("{path}: {key} is missing; taking {default}, as in all {arch} models that have it");
        default
    }

    fn error(&self, key: &str, reason: String) -> Error {
        Error::Config { path: self.path.to_owned(), field: self.spell(key), reason }
    }

    fn size(&self, key: &str) -> Result<Option<usize>> {
        let size = self.meta.same_in_all_layers(&self.spell(key))?;
        // A size beyond usize fails every check, as usize::MAX does.
        Ok(size.map(|size| usize::try_from(size).unwrap_or(usize::MAX)))
    }

    fn required(&self, key: &str) -> Result<usize> {
        match self.size(key)? {
            Some(size) => Ok(size),
            None => Err(self.error(key, "it is missing; expected a whole number".to_owned())),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f32>> {
        self.meta.number(&self.spell(key))
    }
}
