//! Hugging Face folders: `config.json` beside one or many safetensors files.

mod config;
mod json;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use safetensors::Dtype;
use serde::Deserialize;

use config::{head_is_tied, stop_ids};

use super::chat_template;
use super::folder::Folder;
use super::safetensors::{Header, TensorInfo};
use super::source::ModelFile;
use super::tensor_id::TensorId;
use super::{Located, ModelFiles, TokenizerSource, bad, check_shape, shorten};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::quant::WeightFormat;

/// The model's configuration.
pub(super) const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Configurations take some kilobytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// An index has a line per tensor.
const MAX_INDEX_BYTES: u64 = 32 << 20;
/// Gemma-3's takes 33 MB.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

/// Prefixes of tensors' names: of text models, of two layouts of models with images, and of models without a head.
const PREFIXES: [&str; 4] = ["model.", "language_model.model.", "model.language_model.", ""];
/// The output head, if it is not the embedding.
const HEADS: [&str; 2] = ["lm_head.weight", "language_model.lm_head.weight"];

/// Whether a folder has weights of this kind; some hold GGUF files beside a `config.json`.
pub(super) fn is_here(folder: &Folder) -> bool {
    folder.has(SINGLE) || folder.has(INDEX)
}

/// Opens a folder that has a `config.json`.
pub(super) async fn open(name: String, mut folder: Folder) -> Result<ModelFiles> {
    let path = folder.path().to_owned();
    let Some(json) = folder.read_small(CONFIG, MAX_CONFIG_BYTES).await? else {
        return Err(bad(&path, format!("it has no {CONFIG}")));
    };
    // First, so that nobody is asked for the weights of a model that does not run.
    let config_path = path.join(CONFIG);
    let mut config = Config::from_hub(&json, &config_path)?;
    let tied = head_is_tied(&json, &config_path)?;
    let found = Tensors::open(&mut folder).await?;
    let generation_config = folder.read_small(GENERATION_CONFIG, MAX_CONFIG_BYTES).await?;
    let tokenizer = match folder.take(TOKENIZER)? {
        Some(file) if file.size() > MAX_TOKENIZER_BYTES => {
            return Err(bad(&file.path, format!("it has more than {MAX_TOKENIZER_BYTES} bytes")));
        }
        Some(file) => TokenizerSource::Json { bytes: file.read(0..file.size()).await?, path: file.path },
        None => TokenizerSource::Missing { looked_for: path.join(TOKENIZER) },
    };
    let chat_template = chat_template::read(&mut folder).await?;
    let prefix = found.prefix();
    if let Some(embedding) = found.get(&name_of(TensorId::Embedding, prefix)) {
        let rows = embedding.info.shape.first().copied().unwrap_or(0);
        let confused = config.architecture.family().confused_vocab_sizes;
        if confused.contains(&rows) && confused.contains(&config.vocab_size) {
            config.vocab_size = rows;
        }
    }
    if let Some(json) = generation_config
        && let Some(ids) = stop_ids(&json, &path.join(GENERATION_CONFIG), config.vocab_size)?
    {
        config.stop_ids = ids;
    }
    if !tied {
        return Err(separate_head(&path, &found));
    }
    let located = |id| Ok((id, found.locate(id, prefix, &config)?));
    let tensors = TensorId::all(&config).into_iter().map(located).collect::<Result<_>>()?;
    let files = found.files.into_iter().map(|(file, _)| file).collect();
    Ok(ModelFiles { path, name, is_hub: true, config, tokenizer, tensors, files, chat_template })
}

/// The error for an output head that is not the embedding.
fn separate_head(folder: &Path, tensors: &Tensors) -> Error {
    match HEADS.iter().find(|name| tensors.get(name).is_some()) {
        Some(head) => Error::Unsupported {
            what: format!("the separate output head {head} (tie_word_embeddings is false) in {}", folder.display()),
            hint: "use a model whose output head is its embedding, as in Google's".to_owned(),
        },
        None => Error::MissingTensor {
            path: folder.to_owned(),
            name: format!("{} (tie_word_embeddings is false)", HEADS[0]),
        },
    }
}

fn name_of(id: TensorId, prefix: &str) -> String {
    let name = id.hub_name();
    match name.strip_prefix(PREFIXES[0]) {
        Some(rest) => format!("{prefix}{rest}"),
        None => name,
    }
}

/// The tensors of all files of a folder.
struct Tensors {
    folder: PathBuf,
    files: Vec<(ModelFile, Header)>,
    /// The number of each tensor's file, if there is an index.
    index: Option<HashMap<String, usize>>,
}

/// A tensor in a file.
struct Found<'a> {
    /// Which of the files.
    number: usize,
    path: &'a Path,
    info: &'a TensorInfo,
    /// Its bytes in the file.
    range: Range<u64>,
}

impl Tensors {
    async fn open(folder: &mut Folder) -> Result<Self> {
        let path = folder.path().to_owned();
        // In this order, as transformers does.
        if let Some(file) = folder.take(SINGLE)? {
            let header = Header::read(&file).await?;
            return Ok(Self { folder: path, files: vec![(file, header)], index: None });
        }
        let Some(json) = folder.read_small(INDEX, MAX_INDEX_BYTES).await? else {
            let reason = format!("it has neither {SINGLE} nor {INDEX}; download the model's safetensors files");
            return Err(bad(&path, reason));
        };
        let index_path = path.join(INDEX);
        let index: Index = serde_json::from_slice(&json)
            .map_err(|error| bad(&index_path, format!("it is no index of tensors: {error}")))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        let mut files = Vec::new();
        let mut numbers = HashMap::new();
        for name in names {
            if !is_plain_name(name) {
                return Err(Error::Config {
                    path: index_path,
                    field: "weight_map".to_owned(),
                    reason: format!("{} is not the plain name of a .safetensors file in this folder", shorten(name)),
                });
            }
            numbers.insert(name.as_str(), files.len());
            let file = folder.need(name)?;
            let header = Header::read(&file).await?;
            files.push((file, header));
        }
        let mut by_tensor = HashMap::new();
        for (tensor, file) in &index.weight_map {
            if let Some(number) = numbers.get(file.as_str()) {
                by_tensor.insert(tensor.clone(), *number);
            }
        }
        Ok(Self { folder: path, files, index: Some(by_tensor) })
    }

    fn get(&self, name: &str) -> Option<Found<'_>> {
        let number = match &self.index {
            Some(index) => *index.get(name)?,
            None => 0,
        };
        let (file, header) = self.files.get(number)?;
        let (info, range) = header.get(name)?;
        Some(Found { number, path: &file.path, info, range })
    }

    /// The prefix under which there is an embedding, or that of text models.
    fn prefix(&self) -> &'static str {
        PREFIXES
            .into_iter()
            .find(|prefix| self.get(&name_of(TensorId::Embedding, prefix)).is_some())
            .unwrap_or(PREFIXES[0])
    }

    fn locate(&self, id: TensorId, prefix: &str, config: &Config) -> Result<Located> {
        let name = name_of(id, prefix);
        let Some(found) = self.get(&name) else {
            let listed = self.index.as_ref().and_then(|index| index.get(&name));
            return Err(match listed.and_then(|number| self.files.get(*number)) {
                Some((file, _)) => {
                    bad(&file.path, format!("the tensor {name} is missing, but {INDEX} says that it is here"))
                }
                None => Error::MissingTensor { path: self.folder.clone(), name },
            });
        };
        let path = found.path;
        let format = match found.info.dtype {
            Dtype::F32 => WeightFormat::F32,
            Dtype::F16 => WeightFormat::F16,
            Dtype::BF16 => WeightFormat::Bf16,
            other => {
                return Err(Error::Unsupported {
                    what: format!("the type {other} of the tensor {name} in {}", path.display()),
                    hint: "use a model in BF16, F16 or F32, or a quantised GGUF file of it".to_owned(),
                });
            }
        };
        let shape = check_shape(path, &name, id.shape(config), &found.info.shape)?;
        Ok(Located { name, format, shape, file: found.number, range: found.range })
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Whether a name from an index stays inside the folder, on every system.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let one = matches!(components.next(), Some(Component::Normal(_))) && components.next().is_none();
    one && name.ends_with(".safetensors") && !name.contains(['/', '\\', ':', '\0'])
}
