//! Writers of tiny models, whose every detail a test can spoil.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::config::Config;
use crate::load::TensorId;
use crate::quant::WeightFormat;

/// A value for GGUF metadata.
#[derive(Clone)]
pub(super) enum Value {
    U16(u16),
    U32(u32),
    U64(u64),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(&'static str),
    Texts(Vec<String>),
    Floats(Vec<f32>),
    Ints(Vec<i32>),
    Bools(Vec<bool>),
    /// The type and the bytes as they are.
    Raw(u32, Vec<u8>),
}

/// A tensor in GGUF.
#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// The fastest first, as in the file.
    pub(super) dims: Vec<u64>,
    pub(super) kind: u32,
    pub(super) bytes: Vec<u8>,
    /// Where it claims to be, if not where it is.
    pub(super) offset: Option<u64>,
}

/// A GGUF file.
#[derive(Clone)]
pub(super) struct Gguf {
    pub(super) magic: [u8; 4],
    pub(super) version: u32,
    pub(super) keys: Vec<(String, Value)>,
    pub(super) tensors: Vec<Tensor>,
    /// Counts to claim instead of the true ones.
    pub(super) tensor_count: Option<u64>,
    pub(super) key_count: Option<u64>,
    pub(super) alignment: usize,
}

pub(super) const HIDDEN: u64 = 32;
pub(super) const INTER: u64 = 64;
pub(super) const HEADS: u64 = 4;
pub(super) const KV_HEADS: u64 = 2;
pub(super) const HEAD_DIM: u64 = 16;
pub(super) const VOCAB: u64 = 40;
pub(super) const LAYERS: u64 = 2;

/// GGML's type numbers.
pub(super) const F32: u32 = 0;
pub(super) const F16: u32 = 1;
pub(super) const Q8_0: u32 = 8;

pub(super) fn size(kind: u32, dims: &[u64]) -> usize {
    let count = dims.iter().product::<u64>() as usize;
    // Tests give tensors types that are not supported too.
    let format = WeightFormat::of_ggml_type(kind).unwrap_or(WeightFormat::F16);
    count / format.block_len() * format.block_bytes()
}

impl Gguf {
    /// A whole model of two layers, `gemma2` or `gemma3`.
    pub(super) fn model(arch: &'static str) -> Self {
        let gemma3 = arch == "gemma3";
        let mut model = Gguf {
            magic: *b"GGUF",
            version: 3,
            keys: Vec::new(),
            tensors: Vec::new(),
            tensor_count: None,
            key_count: None,
            alignment: 32,
        };
        model.set("general.architecture", Value::Text(arch));
        model.set("general.name", Value::Text("Tiny"));
        let sizes = [
            ("block_count", LAYERS),
            ("context_length", 128),
            ("embedding_length", HIDDEN),
            ("feed_forward_length", INTER),
            ("attention.head_count", HEADS),
            ("attention.head_count_kv", KV_HEADS),
            ("attention.key_length", HEAD_DIM),
            ("attention.value_length", HEAD_DIM),
            ("attention.sliding_window", 8),
        ];
        for (key, value) in sizes {
            model.set(&format!("{arch}.{key}"), Value::U32(value as u32));
        }
        let eps = format!("{arch}.attention.layer_norm_rms_epsilon");
        model.set(&eps, Value::F32(1e-6));
        if !gemma3 {
            model.set("gemma2.attn_logit_softcapping", Value::F32(20.0));
            model.set("gemma2.final_logit_softcapping", Value::F32(10.0));
        }
        let pieces = ["<pad>", "<eos>", "<bos>", "<unk>"].map(str::to_owned);
        let rest = (4..VOCAB).map(|id| format!("piece{id}"));
        let ids = 0..VOCAB as i32;
        model.set("tokenizer.ggml.model", Value::Text("llama"));
        let tokens = pieces.into_iter().chain(rest).collect();
        model.set("tokenizer.ggml.tokens", Value::Texts(tokens));
        let scores = ids.clone().map(|id| -(id as f32)).collect();
        model.set("tokenizer.ggml.scores", Value::Floats(scores));
        let types = ids.map(|id| if id < 4 { 3 } else { 1 }).collect();
        model.set("tokenizer.ggml.token_type", Value::Ints(types));
        model.set("tokenizer.ggml.bos_token_id", Value::U32(2));
        model.set("tokenizer.ggml.eos_token_id", Value::U32(1));
        model.set("tokenizer.ggml.add_space_prefix", Value::Bool(false));

        model.push("token_embd.weight", &[HIDDEN, VOCAB], Q8_0);
        model.push("output_norm.weight", &[HIDDEN], F32);
        for layer in 0..LAYERS {
            let (queries, keys) = (HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM);
            let mut tensors = vec![
                ("attn_norm", vec![HIDDEN], F32),
                ("attn_q", vec![HIDDEN, queries], Q8_0),
                ("attn_k", vec![HIDDEN, keys], F16),
                ("attn_v", vec![HIDDEN, keys], Q8_0),
                ("attn_output", vec![queries, HIDDEN], 2),
                ("post_attention_norm", vec![HIDDEN], F32),
                ("ffn_norm", vec![HIDDEN], F32),
                ("ffn_gate", vec![HIDDEN, INTER], Q8_0),
                ("ffn_up", vec![HIDDEN, INTER], 30),
                ("ffn_down", vec![INTER, HIDDEN], F16),
                ("post_ffw_norm", vec![HIDDEN], F16),
            ];
            if gemma3 {
                tensors.push(("attn_q_norm", vec![HEAD_DIM], F32));
                tensors.push(("attn_k_norm", vec![HEAD_DIM], F32));
            }
            for (name, dims, kind) in tensors {
                model.push(&format!("blk.{layer}.{name}.weight"), &dims, kind);
            }
        }
        model
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        match self.keys.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
    }

    pub(super) fn unset(&mut self, key: &str) {
        self.keys.retain(|(k, _)| k != key);
    }

    pub(super) fn push(&mut self, name: &str, dims: &[u64], kind: u32) {
        let fill = self.tensors.len() as u8;
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            kind,
            bytes: vec![fill; size(kind, dims)],
            offset: None,
        });
    }

    pub(super) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("the tensor")
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        let count = self.tensor_count.unwrap_or(self.tensors.len() as u64);
        out.extend(count.to_le_bytes());
        let count = self.key_count.unwrap_or(self.keys.len() as u64);
        out.extend(count.to_le_bytes());
        for (key, value) in &self.keys {
            text(&mut out, key);
            value.write(&mut out);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            for dim in &tensor.dims {
                out.extend(dim.to_le_bytes());
            }
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(offset as u64).to_le_bytes());
            offset += tensor.bytes.len().next_multiple_of(self.alignment);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&tensor.bytes);
        }
        out
    }
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        let (kind, bytes) = match self {
            Value::U16(v) => (2, v.to_le_bytes().to_vec()),
            Value::U32(v) => (4, v.to_le_bytes().to_vec()),
            Value::I32(v) => (5, v.to_le_bytes().to_vec()),
            Value::F32(v) => (6, v.to_le_bytes().to_vec()),
            Value::Bool(v) => (7, vec![u8::from(*v)]),
            Value::U64(v) => (10, v.to_le_bytes().to_vec()),
            Value::Text(v) => {
                let mut bytes = Vec::new();
                text(&mut bytes, v);
                (8, bytes)
            }
            Value::Texts(list) => {
                let mut bytes = list_head(8, list.len());
                list.iter().for_each(|v| text(&mut bytes, v));
                (9, bytes)
            }
            Value::Floats(list) => {
                let mut bytes = list_head(6, list.len());
                bytes.extend(list.iter().flat_map(|v| v.to_le_bytes()));
                (9, bytes)
            }
            Value::Ints(list) => {
                let mut bytes = list_head(5, list.len());
                bytes.extend(list.iter().flat_map(|v| v.to_le_bytes()));
                (9, bytes)
            }
            Value::Bools(list) => {
                let mut bytes = list_head(7, list.len());
                bytes.extend(list.iter().map(|v| u8::from(*v)));
                (9, bytes)
            }
            Value::Raw(kind, bytes) => (*kind, bytes.clone()),
        };
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    }
}

/// What a list of `len` elements of a type starts with.
pub(super) fn list_head(kind: u32, len: usize) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((len as u64).to_le_bytes());
    bytes
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A safetensors file of zeros.
pub(super) struct Safetensors {
    /// Name, dtype, shape.
    pub(super) tensors: Vec<(String, &'static str, Vec<usize>)>,
}

impl Safetensors {
    /// The tensors of [`hub_config`]'s model, of either family, whose names start with `prefix`.
    pub(super) fn model(gemma3: bool, prefix: &str) -> Self {
        let config = Config::from_hub(hub_config(gemma3).to_string().as_bytes(), Path::new("config.json"));
        let config = config.expect("a good configuration");
        let tensor = |id: TensorId| {
            let shape = id.shape(&config).to_vec();
            let shape = if id.is_norm() { shape[1..].to_vec() } else { shape };
            (id.hub_name().replacen("model.", prefix, 1), "BF16", shape)
        };
        Self { tensors: TensorId::all(&config).into_iter().map(tensor).collect() }
    }

    pub(super) fn tensor(&mut self, name: &str) -> &mut (String, &'static str, Vec<usize>) {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).expect("the tensor")
    }

    /// The header and the length of the data.
    pub(super) fn header(&self) -> (Map<String, Json>, usize) {
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
        let mut at = 0;
        for (name, dtype, shape) in &self.tensors {
            let width = match *dtype {
                "F32" => 4,
                "BF16" | "F16" => 2,
                _ => 1,
            };
            let end = at + shape.iter().product::<usize>() * width;
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [at, end]});
            header.insert(name.clone(), entry);
            at = end;
        }
        (header, at)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let (header, data) = self.header();
        safetensors(&Json::Object(header).to_string(), data)
    }
}

/// A safetensors file with that header and `data` zeros.
pub(super) fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

/// The configuration of a tiny model in the hub's dialect.
pub(super) fn hub_config(gemma3: bool) -> Json {
    let mut config = json!({
        "model_type": "gemma2", "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INTER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM, "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 24,
        "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "rope_theta": 10000.0,
        "sliding_window": 8, "hidden_activation": "gelu_pytorch_tanh", "bos_token_id": 2, "eos_token_id": 1,
    });
    if gemma3 {
        config["model_type"] = json!("gemma3_text");
        config["attn_logit_softcapping"] = json!(null);
        config["final_logit_softcapping"] = json!(null);
        config["rope_theta"] = json!(1_000_000.0);
        config["rope_local_base_freq"] = json!(10_000.0);
        config["sliding_window_pattern"] = json!(2);
    }
    config
}

/// A folder with one file of weights.
pub(super) fn folder(config: &Json, weights: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    put(folder.path(), "config.json", config.to_string());
    put(folder.path(), "model.safetensors", weights);
    folder
}

pub(super) fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(name), content).expect("a file written");
}
