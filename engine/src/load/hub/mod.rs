//! Hugging Face folders: `config.json` beside one or many safetensors files.
//!
//! The header of a safetensors file is a JSON object of tensors. The `safetensors` crate gives the types; the checks are
//! here, because its own take the last of two tensors of one name, overflow on hostile offsets where overflow is
//! checked, and do not name the tensor at fault.

mod config;
mod json;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use config::{head_is_tied, stop_ids};

use super::bytes::{Bytes, read_small};
use super::names::Part;
use super::{HubBytes, Located, TokenizerSource, check_shape, shorten};
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
/// An index has a line for each tensor.
const MAX_INDEX_BYTES: u64 = 32 << 20;
/// What the format allows a header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The length of the header comes first, as an u64.
const PREFIX: usize = 8;

/// What tensors' names start with: in text models, in the two layouts of models with images, and without a head.
const PREFIXES: [&str; 4] = ["model.", "language_model.model.", "model.language_model.", ""];
/// The output head, where it is apart from the embedding.
const HEADS: [&str; 2] = ["lm_head.weight", "language_model.lm_head.weight"];

/// Whether a folder has weights of this kind; some hold GGUF files beside a `config.json`.
pub(super) fn is_here(folder: &Path) -> bool {
    folder.join(SINGLE).exists() || folder.join(INDEX).exists()
}

/// A Hugging Face folder, opened and checked.
pub(super) struct Folder {
    pub(super) config: Config,
    pub(super) tokenizer: TokenizerSource,
    pub(super) tensors: Vec<(Part, Located)>,
    pub(super) files: Vec<Bytes>,
}

/// Opens a folder that has a `config.json`.
pub(super) fn open(folder: &Path) -> Result<Folder> {
    let Some(config) = read_small(&folder.join(CONFIG), MAX_CONFIG_BYTES)? else {
        return Err(bad(folder, format!("it has no {CONFIG}")));
    };
    let tensors = Tensors::open(folder)?;
    let generation_config = read_small(&folder.join(GENERATION_CONFIG), MAX_CONFIG_BYTES)?;
    let tokenizer_path = folder.join(TOKENIZER);
    let tokenizer = match fs::metadata(&tokenizer_path) {
        Ok(_) => TokenizerSource::Json { bytes: Bytes::map(&tokenizer_path)?, path: tokenizer_path },
        Err(_) => TokenizerSource::Missing { looked_for: tokenizer_path },
    };
    check(folder, &config, generation_config.as_deref(), tokenizer, tensors)
}

/// The same from memory; `folder` stands for the place in errors.
pub(super) fn read(folder: &Path, files: HubBytes) -> Result<Folder> {
    let weights = File::read(folder.join(SINGLE), files.weights)?;
    let tensors = Tensors { folder: folder.to_owned(), files: vec![weights], index: None };
    let tokenizer = TokenizerSource::Json { path: folder.join(TOKENIZER), bytes: files.tokenizer };
    check(folder, &files.config, files.generation_config.as_deref(), tokenizer, tensors)
}

fn check(
    folder: &Path,
    config_json: &[u8],
    generation_config: Option<&[u8]>,
    tokenizer: TokenizerSource,
    tensors: Tensors,
) -> Result<Folder> {
    let config_path = folder.join(CONFIG);
    let mut config = Config::from_hub(config_json, &config_path)?;
    let tied = head_is_tied(config_json, &config_path)?;
    let prefix = tensors.prefix();
    if let Some(found) = tensors.get(&name_of(Part::Embedding, prefix)) {
        let rows = found.info.shape.first().copied().unwrap_or(0);
        let confused = config.architecture.family().confused_vocab_sizes;
        if confused.contains(&rows) && confused.contains(&config.vocab_size) {
            config.vocab_size = rows;
        }
    }
    if let Some(json) = generation_config
        && let Some(ids) = stop_ids(json, &folder.join(GENERATION_CONFIG), config.vocab_size)?
    {
        config.stop_ids = ids;
    }
    if !tied {
        return Err(match HEADS.iter().find(|name| tensors.get(name).is_some()) {
            Some(head) => Error::Unsupported {
                what: format!("the separate output head {head} (tie_word_embeddings is false) in {}", folder.display()),
                hint: "use a model whose output head is its embedding, as in Google's".to_owned(),
            },
            None => Error::MissingTensor {
                path: folder.to_owned(),
                name: format!("{} (tie_word_embeddings is false)", HEADS[0]),
            },
        });
    }
    let mut located = Vec::new();
    for part in Part::all(&config) {
        located.push((part, tensors.locate(part, prefix, &config)?));
    }
    Ok(Folder {
        config,
        tokenizer,
        tensors: located,
        files: tensors.files.into_iter().map(|file| file.bytes).collect(),
    })
}

fn name_of(part: Part, prefix: &str) -> String {
    let name = part.hub_name();
    match name.strip_prefix(PREFIXES[0]) {
        Some(rest) => format!("{prefix}{rest}"),
        None => name,
    }
}

/// The tensors of all files of a folder.
struct Tensors {
    folder: PathBuf,
    files: Vec<File>,
    /// The file of each tensor, where an index says it.
    index: Option<HashMap<String, usize>>,
}

/// A tensor in a file.
struct Found<'a> {
    file: usize,
    info: &'a TensorInfo,
    range: Range<usize>,
}

impl Tensors {
    fn open(folder: &Path) -> Result<Self> {
        let single = folder.join(SINGLE);
        let index_path = folder.join(INDEX);
        // In this order, as transformers does.
        if single.exists() {
            return Ok(Self { folder: folder.to_owned(), files: vec![File::open(single)?], index: None });
        }
        let Some(json) = read_small(&index_path, MAX_INDEX_BYTES)? else {
            return Err(bad(
                folder,
                format!("it has neither {SINGLE} nor {INDEX}; download the model's safetensors files"),
            ));
        };
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
            files.push(File::open(folder.join(name))?);
        }
        let mut by_tensor = HashMap::new();
        for (tensor, file) in &index.weight_map {
            if let Some(number) = numbers.get(file.as_str()) {
                by_tensor.insert(tensor.clone(), *number);
            }
        }
        Ok(Self { folder: folder.to_owned(), files, index: Some(by_tensor) })
    }

    fn get(&self, name: &str) -> Option<Found<'_>> {
        let number = match &self.index {
            Some(index) => *index.get(name)?,
            None => 0,
        };
        let file = self.files.get(number)?;
        let info = file.tensors.get(name)?;
        let (start, end) = info.data_offsets;
        Some(Found {
            file: number,
            info,
            // Checked against the file when it was opened.
            range: file.data_start + start..file.data_start + end,
        })
    }

    /// The prefix under which there is an embedding, or that of text models.
    fn prefix(&self) -> &'static str {
        PREFIXES.into_iter().find(|prefix| self.get(&name_of(Part::Embedding, prefix)).is_some()).unwrap_or(PREFIXES[0])
    }

    fn locate(&self, part: Part, prefix: &str, config: &Config) -> Result<Located> {
        let name = name_of(part, prefix);
        let Some(found) = self.get(&name) else {
            let listed = self.index.as_ref().and_then(|index| index.get(&name));
            return Err(match listed.and_then(|number| self.files.get(*number)) {
                Some(file) => {
                    bad(&file.path, format!("the tensor {name} is missing, but {INDEX} says that it is here"))
                }
                None => Error::MissingTensor { path: self.folder.clone(), name },
            });
        };
        let path = self.files.get(found.file).map_or(&self.folder, |file| &file.path);
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
        let shape = check_shape(path, &name, part.shape(config), &found.info.shape)?;
        Ok(Located { name, format, shape, file: found.file, range: found.range })
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

/// A safetensors file whose header has been checked.
struct File {
    path: PathBuf,
    bytes: Bytes,
    data_start: usize,
    tensors: HashMap<String, TensorInfo>,
}

impl File {
    fn open(path: PathBuf) -> Result<Self> {
        let bytes = Bytes::map(&path)?;
        Self::read(path, bytes)
    }

    fn read(path: PathBuf, bytes: Bytes) -> Result<Self> {
        let (data_start, tensors) = read_header(&bytes, &path)?;
        Ok(Self { path, bytes, data_start, tensors })
    }
}

/// The start of the data and the tensors of a file. Tensors must fill the data without gaps, as the format demands.
pub(super) fn read_header(bytes: &[u8], path: &Path) -> Result<(usize, HashMap<String, TensorInfo>)> {
    let Some((len, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(bad(path, format!("it has {} bytes, too few for a safetensors file", bytes.len())));
    };
    let len = u64::from_le_bytes(*len);
    let header = usize::try_from(len).ok().and_then(|len| rest.get(..len));
    let Some(header) = header.filter(|_| len <= MAX_HEADER_BYTES) else {
        return Err(bad(
            path,
            format!(
                "its header claims {len} bytes, but {} follow; it is no safetensors file, or damaged or truncated",
                rest.len()
            ),
        ));
    };
    let data_len = rest.len() - header.len();
    let Header(entries) =
        serde_json::from_slice(header).map_err(|error| bad(path, format!("its header is damaged: {error}")))?;
    let mut entries: Vec<(String, TensorInfo)> = entries;
    entries.sort_by_key(|(_, info)| info.data_offsets);

    let mut filled = 0;
    for (name, info) in &entries {
        let (start, end) = info.data_offsets;
        let name = shorten(name);
        if start != filled || end < start {
            return Err(bad(
                path,
                format!(
                    "the tensor {name} has the bytes {start} to {end}, but must start at {filled} where the one before it ends"
                ),
            ));
        }
        if end > data_len {
            return Err(bad(
                path,
                format!(
                    "the tensor {name} ends at byte {end} of the data, but there are only {data_len}; the file is damaged or truncated, so download it again"
                ),
            ));
        }
        // In 64 bits also where memory has 32: bits are eight times the bytes.
        let bits = info.shape.iter().try_fold(info.dtype.bitsize() as u64, |bits, dim| bits.checked_mul(*dim as u64));
        if bits.is_none_or(|bits| bits % 8 != 0 || bits / 8 != (end - start) as u64) {
            return Err(bad(
                path,
                format!(
                    "the tensor {name} has {} bytes, which does not fit the shape {:?} of {}",
                    end - start,
                    info.shape,
                    info.dtype
                ),
            ));
        }
        filled = end;
    }
    if filled != data_len {
        return Err(bad(path, format!("its tensors take {filled} bytes, but {data_len} follow the header")));
    }
    let mut tensors = HashMap::with_capacity(entries.len());
    for (name, info) in entries {
        let shown = shorten(&name);
        if tensors.insert(name, info).is_some() {
            return Err(bad(path, format!("the tensor {shown} is there twice")));
        }
    }
    Ok((PREFIX + header.len(), tensors))
}

/// A header's tensors in the file's order, with duplicates, which a map would hide.
struct Header(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn bad(path: &Path, reason: String) -> Error {
    Error::BadFile { path: path.to_owned(), reason }
}
