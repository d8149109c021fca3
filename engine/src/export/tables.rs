//! The two tables at the start of a GGUF file: metadata, and tensors.

use crate::config::{Config, query_scale};
use crate::load::gguf::{DEFAULT_ALIGNMENT, MAGIC, kind};
use crate::load::{GgufVocab, TensorId};

use super::recipe::{Recipe, padded_bytes};

/// The version of the blocks of quantised formats.
const QUANTIZATION_VERSION: u32 = 2;

/// The table of metadata while it is written.
#[derive(Default)]
struct Keys {
    count: u64,
    bytes: Vec<u8>,
}

impl Keys {
    fn key(&mut self, key: &str, kind: u32) {
        self.count += 1;
        string(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn number(&mut self, key: &str, value: usize) {
        self.key(key, kind::U32);
        // Sizes of a checked configuration are far below this.
        self.bytes.extend(u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, kind::F32);
        self.bytes.extend(value.to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, kind::BOOL);
        self.bytes.push(u8::from(value));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, kind::STRING);
        string(&mut self.bytes, value);
    }

    fn list<T>(&mut self, key: &str, kind: u32, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
        self.key(key, kind::ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((items.len() as u64).to_le_bytes());
        items.iter().for_each(|item| write(&mut self.bytes, item));
    }
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Everything before the first tensor's bytes.
pub(super) fn tables(name: &str, config: &Config, recipe: Recipe, vocab: Option<&GgufVocab>) -> Vec<u8> {
    let mut keys = Keys::default();
    let family = config.architecture.family();
    keys.text("general.architecture", family.gguf_name);
    keys.text("general.name", name);
    keys.text("general.type", "model");
    keys.number("general.file_type", recipe.file_type() as usize);
    keys.number("general.quantization_version", QUANTIZATION_VERSION as usize);
    model(&mut keys, config);
    vocabulary(&mut keys, config, vocab);

    let ids = TensorId::all(config);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((ids.len() as u64).to_le_bytes());
    bytes.extend(keys.count.to_le_bytes());
    bytes.extend(keys.bytes);
    let mut offset = 0;
    for id in ids {
        let [rows, cols] = id.shape(config);
        let format = recipe.format_of(id, config);
        string(&mut bytes, &id.gguf_name());
        // The fastest dimension first.
        let dims = if id.is_norm() { vec![cols] } else { vec![cols, rows] };
        bytes.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| bytes.extend((*dim as u64).to_le_bytes()));
        bytes.extend(format.ggml_type().to_le_bytes());
        bytes.extend(u64::to_le_bytes(offset));
        offset += padded_bytes(format, [rows, cols]);
    }
    bytes.resize(bytes.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
    bytes
}

fn model(keys: &mut Keys, config: &Config) {
    let family = config.architecture.family();
    let arch = family.gguf_name;
    let key = |name: &str| format!("{arch}.{name}");
    keys.number(&key("context_length"), config.context_length);
    keys.number(&key("embedding_length"), config.hidden_size);
    keys.number(&key("block_count"), config.num_layers);
    keys.number(&key("feed_forward_length"), config.intermediate_size);
    keys.number(&key("attention.head_count"), config.num_heads);
    keys.number(&key("attention.head_count_kv"), config.num_kv_heads);
    keys.number(&key("attention.key_length"), config.head_dim);
    keys.number(&key("attention.value_length"), config.head_dim);
    keys.float(&key("attention.layer_norm_rms_epsilon"), config.rms_norm_eps);
    if let Some(cap) = config.attn_soft_cap {
        keys.float(&key("attn_logit_softcapping"), cap);
    }
    if let Some(cap) = config.final_soft_cap {
        keys.float(&key("final_logit_softcapping"), cap);
    }
    let window = config.layers.iter().find_map(|layer| layer.window);
    keys.number(&key("attention.sliding_window"), window.unwrap_or(config.context_length));
    let slides: Vec<bool> = config.layers.iter().map(|layer| layer.window.is_some()).collect();
    let usual = |(i, slides): (usize, &bool)| *slides != (i + 1).is_multiple_of(family.sliding_pattern);
    if !slides.iter().enumerate().all(usual) {
        let pattern = key("attention.sliding_window_pattern");
        keys.list(&pattern, kind::BOOL, &slides, |bytes, slides| bytes.push(u8::from(*slides)));
    }
    // Full layers have the base and the scaling that the keys are about.
    let full = config.layers.iter().find(|layer| layer.window.is_none()).or(config.layers.first());
    if let Some(full) = full {
        keys.float(&key("rope.freq_base"), full.rope_theta);
        if full.rope_scale != 1.0 {
            keys.text(&key("rope.scaling.type"), "linear");
            keys.float(&key("rope.scaling.factor"), full.rope_scale);
        } else if config.context_length >= family.long_context {
            keys.text(&key("rope.scaling.type"), "none");
        }
    }
    let local = config.layers.iter().find(|layer| layer.window.is_some()).map(|layer| layer.rope_theta);
    if let Some(local) = local.filter(|theta| family.local_rope && *theta != family.local_theta) {
        keys.float(&key("rope.freq_base_swa"), local);
    }
    let wide = config.num_layers == family.wide_query_layers;
    let width = if wide { config.hidden_size / config.num_heads } else { config.head_dim };
    if config.query_scale != query_scale(width as f64) {
        keys.float(&key("attention.scale"), config.query_scale);
    }
}

/// The ids of `<bos>` and of what ends a reply. A base model's replies do not end with `<end_of_turn>`, by which readers know models
/// for chats.
fn ends(keys: &mut Keys, config: &Config, vocab: Option<&GgufVocab>) {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    // The engine begins prompts with the tokenizer's.
    let bos = vocab.and_then(|vocab| vocab.bos_id).unwrap_or(config.bos_id);
    keys.number(&key("bos_token_id"), bos as usize);
    let eos = vocab.and_then(|vocab| vocab.eos_id).or_else(|| config.stop_ids.first().copied());
    let end_of_turn = vocab.and_then(|vocab| vocab.tokens.iter().position(|token| token == "<end_of_turn>"));
    let end_of_turn = end_of_turn.and_then(|id| u32::try_from(id).ok());
    let has_template = vocab.is_some_and(|vocab| vocab.chat_template.is_some());
    let end_of_turn = end_of_turn.filter(|id| has_template || config.stop_ids.contains(id));
    for (name, id) in [("eos_token_id", eos), ("eot_token_id", end_of_turn)] {
        if let Some(id) = id {
            keys.number(&key(name), id as usize);
        }
    }
    // The two keys above have room for two.
    if config.stop_ids.iter().any(|id| Some(*id) != eos && Some(*id) != end_of_turn) {
        keys.list(&key("eos_token_ids"), kind::I32, &config.stop_ids, |bytes, id| bytes.extend(id.to_le_bytes()));
    }
}

fn vocabulary(keys: &mut Keys, config: &Config, vocab: Option<&GgufVocab>) {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let Some(vocab) = vocab else {
        keys.text(&key("model"), "no_vocab");
        keys.number(&format!("{}.vocab_size", config.architecture.family().gguf_name), config.vocab_size);
        ends(keys, config, None);
        return;
    };
    keys.text(&key("model"), &vocab.model);
    keys.text(&key("pre"), "default");
    keys.list(&key("tokens"), kind::STRING, &vocab.tokens, |bytes, token| string(bytes, token));
    keys.list(&key("scores"), kind::F32, &vocab.scores, |bytes, score| bytes.extend(score.to_le_bytes()));
    keys.list(&key("token_type"), kind::I32, &vocab.token_types, |bytes, kind| bytes.extend(kind.to_le_bytes()));
    ends(keys, config, Some(vocab));
    for (name, id) in [("unknown_token_id", vocab.unk_id), ("padding_token_id", vocab.pad_id)] {
        if let Some(id) = id {
            keys.number(&key(name), id as usize);
        }
    }
    keys.flag(&key("add_bos_token"), true);
    keys.flag(&key("add_eos_token"), false);
    keys.flag(&key("add_space_prefix"), vocab.add_space_prefix == Some(true));
    if let Some(template) = &vocab.chat_template {
        keys.text("tokenizer.chat_template", template);
    }
}
