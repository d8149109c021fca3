//! The same from GGUF metadata, where converters have left things out over the years.

use std::path::Path;

use super::{
    Architecture, Config, Rope, check_layers, embedding_scale, layer_attention, query_scale, sliding_by_pattern, unique,
};
use crate::error::{Error, Result};
use crate::load::gguf::{Metadata, Value};
use crate::load::names::Part;

/// The first Gemma-2 files lack the caps; all Gemma-2 models have these.
const GEMMA2_ATTN_CAP: f32 = 50.0;
const GEMMA2_FINAL_CAP: f32 = 30.0;
/// Gemma-2's window where the file lacks it, as in llama.cpp.
const GEMMA2_WINDOW: usize = 4096;
/// The base of Gemma-2's rotation and of Gemma-3's in sliding layers.
const LOCAL_THETA: f32 = 10_000.0;
/// The base of Gemma-3's rotation in full layers.
const GEMMA3_THETA: f32 = 1_000_000.0;
/// Layers of Gemma-2 27B, which scales queries by its width over its heads.
const GEMMA2_27B_LAYERS: usize = 46;
/// Layers of Gemma-3 27B, which does likewise.
const GEMMA3_27B_LAYERS: usize = 62;
/// The id of `<bos>` in all of Gemma's vocabularies.
const BOS_ID: u32 = 2;

/// The keys of a file, under its architecture's name.
struct Keys<'a> {
    meta: &'a Metadata,
    path: &'a Path,
    arch: &'static str,
}

/// Reads the metadata.
pub(super) fn read(meta: &Metadata, path: &Path) -> Result<Config> {
    let architecture = architecture(meta, path)?;
    let gemma2 = architecture == Architecture::Gemma2;
    let keys = &Keys { meta, path, arch: if gemma2 { "gemma2" } else { "gemma3" } };
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
    let eps = keys.number("attention.layer_norm_rms_epsilon")?;
    let Some(rms_norm_eps) = eps else {
        let reason = "it is missing; expected a number".to_owned();
        return Err(keys.error("attention.layer_norm_rms_epsilon", reason));
    };
    let (local, full) = ropes(keys, gemma2)?;
    let (window, sliding) = windows(keys, gemma2, num_layers)?;
    let (attn_soft_cap, final_soft_cap) = caps(keys, gemma2)?;
    let (bos_id, stop_ids) = ids(meta)?;

    let config = Config {
        architecture,
        vocab_size: embedding_rows(meta, path)?,
        hidden_size,
        intermediate_size: keys.required("feed_forward_length")?,
        num_layers,
        num_heads,
        num_kv_heads: keys.size("attention.head_count_kv")?.unwrap_or(num_heads),
        head_dim,
        context_length: keys.required("context_length")?,
        rms_norm_eps,
        query_scale: match keys.number("attention.scale")? {
            Some(scale) => scale,
            None => {
                let wide = num_layers == if gemma2 { GEMMA2_27B_LAYERS } else { GEMMA3_27B_LAYERS };
                // A head count of 0 is refused below.
                let by_width = || hidden_size.checked_div(num_heads).unwrap_or(0);
                query_scale(if wide { by_width() } else { head_dim } as f64)
            }
        },
        embedding_scale: embedding_scale(hidden_size),
        attn_soft_cap,
        final_soft_cap,
        layers: layer_attention(&sliding, Some(window), local, full),
        qk_norm: !gemma2,
        bos_id,
        stop_ids,
    };
    config.check(path, &|field| spell(keys, field))
}

fn architecture(meta: &Metadata, path: &Path) -> Result<Architecture> {
    match meta.text("general.architecture")? {
        Some("gemma2") => Ok(Architecture::Gemma2),
        Some("gemma3") => Ok(Architecture::Gemma3),
        Some(other) => {
            let other: String = other.chars().take(60).collect();
            Err(Error::Unsupported {
                what: format!("the architecture {other:?} in {}", path.display()),
                hint: "use a model of the architecture gemma2 or gemma3 (gemma3_text at Hugging Face)".to_owned(),
            })
        }
        None => Err(Error::Config {
            path: path.to_owned(),
            field: "general.architecture".to_owned(),
            reason: "it is missing; expected gemma2 or gemma3".to_owned(),
        }),
    }
}

/// The file's key for the hub's field.
fn spell(keys: &Keys<'_>, field: &str) -> String {
    keys.spell(match field {
        "vocab_size" => return Part::Embedding.gguf_name(),
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
    let name = Part::Embedding.gguf_name();
    match meta.tensor(&name) {
        None => Err(Error::MissingTensor { path: path.to_owned(), name }),
        // One of another shape is refused when all shapes are compared.
        Some(info) => Ok(info.shape.iter().rev().nth(1).copied().unwrap_or(1)),
    }
}

/// The rotation of sliding and of full layers.
fn ropes(keys: &Keys<'_>, gemma2: bool) -> Result<(Rope, Rope)> {
    let kind = keys.meta.text(&keys.spell("rope.scaling.type"))?;
    let factor = match keys.number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        // What it was called before.
        None => keys.number("rope.scale_linear")?,
    };
    let scale = match kind {
        Some("none") => 1.0,
        // A factor of 0 means none, as in llama.cpp.
        None | Some("linear") => factor.filter(|factor| *factor != 0.0).unwrap_or(1.0),
        Some(other) => {
            let other: String = other.chars().take(60).collect();
            return Err(Error::Unsupported {
                what: format!("{} {other:?} in {}", keys.spell("rope.scaling.type"), keys.path.display()),
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
    if gemma2 {
        let theta = theta("rope.freq_base", "rope.global.freq_base", LOCAL_THETA)?;
        let rope = Rope { theta, scale };
        return Ok((rope, rope));
    }
    let local = Rope { theta: theta("rope.freq_base_swa", "rope.local.freq_base", LOCAL_THETA)?, scale: 1.0 };
    let full = Rope { theta: theta("rope.freq_base", "rope.global.freq_base", GEMMA3_THETA)?, scale };
    Ok((local, full))
}

/// The window, and which layers have it.
fn windows(keys: &Keys<'_>, gemma2: bool, num_layers: usize) -> Result<(usize, Vec<bool>)> {
    let window = match keys.size("attention.sliding_window")? {
        Some(window) => window,
        None if gemma2 => GEMMA2_WINDOW,
        None => {
            let reason = "it is missing; expected a whole number".to_owned();
            return Err(keys.error("attention.sliding_window", reason));
        }
    };
    const PATTERN: &str = "attention.sliding_window_pattern";
    let sliding = match keys.meta.get(&keys.spell(PATTERN)) {
        Some(Value::Bools(sliding)) if sliding.len() == num_layers => sliding.clone(),
        Some(Value::Bools(sliding)) => {
            let reason = format!("it has {} values for {num_layers} layers", sliding.len());
            return Err(keys.error(PATTERN, reason));
        }
        _ => {
            let default = if gemma2 { 2 } else { 6 };
            let pattern = keys.size(PATTERN)?.unwrap_or(default);
            if pattern == 0 {
                return Err(keys.error(PATTERN, "it is 0, but must be at least 1".to_owned()));
            }
            sliding_by_pattern(num_layers, pattern)
        }
    };
    Ok((window, sliding))
}

/// The caps of attention and of final logits.
fn caps(keys: &Keys<'_>, gemma2: bool) -> Result<(Option<f32>, Option<f32>)> {
    let cap = |key, default: f32| -> Result<Option<f32>> {
        let cap = keys.number(key)?;
        if cap.is_none() && gemma2 {
            log::warn!(
                "{}: {} is missing; taking {default}, as in all Gemma-2 models",
                keys.path.display(),
                keys.spell(key)
            );
            return Ok(Some(default));
        }
        Ok(cap)
    };
    Ok((cap("attn_logit_softcapping", GEMMA2_ATTN_CAP)?, cap("final_logit_softcapping", GEMMA2_FINAL_CAP)?))
}

/// The id of `<bos>`, and the ids that end a reply.
fn ids(meta: &Metadata) -> Result<(u32, Vec<u32>)> {
    let tokens = meta.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let find = |piece: &str| {
        let id = tokens.iter().position(|token| token == piece)?;
        u32::try_from(id).ok()
    };
    let bos = meta.token_id("tokenizer.ggml.bos_token_id")?.or_else(|| find("<bos>")).unwrap_or(BOS_ID);
    // Some files give <end_of_turn> as the end of text, and the model still says <eos> at times.
    let eos = meta.token_id("tokenizer.ggml.eos_token_id")?.into_iter().chain(find("<eos>"));
    let end_of_turn = meta.token_id("tokenizer.ggml.eot_token_id")?;
    Ok((bos, unique(eos.chain(end_of_turn))))
}

impl Keys<'_> {
    fn spell(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    fn error(&self, key: &str, reason: String) -> Error {
        Error::Config { path: self.path.to_owned(), field: self.spell(key), reason }
    }

    fn size(&self, key: &str) -> Result<Option<usize>> {
        let size = self.meta.same_in_all_layers(&self.spell(key))?;
        // Too large for this machine is too large for any check.
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
