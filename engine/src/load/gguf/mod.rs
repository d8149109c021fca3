//! GGUF files, versions 2 and 3, little-endian: a table of metadata, a table of tensors, and their bytes.
//!
//! The format is described in `docs/gguf.md` of the ggml repository. Everything in the tables is a claim until it is
//! checked against the bytes that are there.

mod config;
mod metadata;
mod reader;
mod split;
mod tensors;
mod vocab;

use std::path::Path;

pub use metadata::{Metadata, Value};
pub use tensors::TensorInfo;
pub use vocab::GgufVocab;

use reader::Reader;

use super::bytes::Bytes;
use super::names::Part;
use super::{Located, TokenizerSource, check_shape};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::quant::WeightFormat;

pub(super) use split::{SplitName, open_parts};

/// The first bytes of every GGUF file.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";
/// Tensors start at multiples of this where the file does not say otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What a GGUF model says about itself.
pub(super) struct Gguf {
    pub(super) config: Config,
    pub(super) tokenizer: TokenizerSource,
    pub(super) tensors: Vec<(Part, Located)>,
    /// `general.name`, where it is there.
    pub(super) name: Option<String>,
}

/// Reads the two tables of one file, the part number `file` of its model.
pub(super) fn parse(bytes: &[u8], path: &Path, file: usize) -> Result<Metadata> {
    let reader = &mut Reader::new(bytes, path);
    if reader.array::<4>("the magic number GGUF")? != *MAGIC {
        return Err(bad(path, "it does not start with GGUF, so it is no GGUF file".to_owned()));
    }
    check_version(path, reader.u32("the version")?)?;
    // Both counts come before both tables.
    let tensor_count = tensors::read_tensor_count(reader)?;
    let key_count = metadata::read_key_count(reader)?;
    let values = metadata::read_values(reader, key_count)?;
    let entries = tensors::read_entries(reader, tensor_count)?;

    let mut metadata = Metadata::new(path, values, Default::default());
    let alignment = metadata.unsigned("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    let alignment =
        usize::try_from(alignment).ok().filter(|alignment| alignment.is_power_of_two()).ok_or_else(|| {
            Error::Config {
                path: path.to_owned(),
                field: "general.alignment".to_owned(),
                reason: format!("it is {alignment}, but must be a power of two"),
            }
        })?;
    let data_start = reader.position().checked_next_multiple_of(alignment);
    let data_start = data_start.unwrap_or(usize::MAX);
    let placed = tensors::place(reader, entries, file, data_start, alignment, bytes.len())?;
    metadata.set_tensors(placed);
    Ok(metadata)
}

fn check_version(path: &Path, version: u32) -> Result<()> {
    match version {
        2 | 3 => Ok(()),
        1 => Err(Error::Unsupported {
            what: format!("version 1 of GGUF, which {} has,", path.display()),
            hint: "download a newer file; versions 2 and 3 work".to_owned(),
        }),
        _ if matches!(version.swap_bytes(), 1..=0xffff) => Err(Error::Unsupported {
            what: format!("the big-endian byte order of {}", path.display()),
            hint: "use the ordinary, little-endian file".to_owned(),
        }),
        _ => Err(Error::Unsupported {
            what: format!("version {version} of GGUF, which {} has,", path.display()),
            hint: "use a file of version 2 or 3".to_owned(),
        }),
    }
}

/// Reads a model from the bytes of all its parts, in order.
pub(super) fn read(files: &[Bytes], paths: &[&Path]) -> Result<Gguf> {
    let (Some((first, others)), Some(path)) = (files.split_first(), paths.first()) else {
        return Err(bad(Path::new(""), "there is no file".to_owned()));
    };
    let mut metadata = parse(first, path, 0)?;
    split::check(&metadata, path, 0, files.len())?;
    for (index, (bytes, part_path)) in (1..).zip(others.iter().zip(&paths[1..])) {
        let part = parse(bytes, part_path, index)?;
        split::check(&part, part_path, index, files.len())?;
        metadata.append(part)?;
    }
    let config = Config::from_gguf(&metadata, path)?;
    check_head(&metadata, files, path)?;
    let mut tensors = Vec::new();
    for part in Part::all(&config) {
        tensors.push((part, locate(part, &metadata, &config, path)?));
    }
    let name = metadata.text("general.name").ok().flatten();
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let tokenizer = match GgufVocab::take(&mut metadata)? {
        Some(vocab) => TokenizerSource::Gguf { path: path.to_path_buf(), vocab },
        None => TokenizerSource::Missing { looked_for: path.to_path_buf() },
    };
    Ok(Gguf { config, tokenizer, tensors, name })
}

/// Finds a tensor and checks its type and shape; its place was checked with the table.
fn locate(part: Part, metadata: &Metadata, config: &Config, path: &Path) -> Result<Located> {
    let name = part.gguf_name();
    let Some(info) = metadata.tensor(&name) else {
        return Err(Error::MissingTensor { path: path.to_owned(), name });
    };
    let unsupported = |kind: &str, hint: &str| Error::Unsupported {
        what: format!("the type {kind} of the tensor {name} in {}", path.display()),
        hint: hint.to_owned(),
    };
    let (Some(format), Some(range)) = (info.format(), info.range.clone()) else {
        return Err(unsupported(
            &tensors::kind_name(info.kind),
            "use a Q4_0, Q4_K_M, Q5_K_M, Q6_K, Q8_0, F16 or BF16 file of the model",
        ));
    };
    let plain = matches!(format, WeightFormat::F32 | WeightFormat::F16 | WeightFormat::Bf16);
    if part.is_norm() && !plain {
        return Err(unsupported(format.name(), "norms must be F32, F16 or BF16, as converters write them"));
    }
    let shape = check_shape(path, &name, part.shape(config), &info.shape)?;
    Ok(Located { name, format, shape, file: info.file, range })
}

/// Gemma's output head is its embedding. Some files repeat it, which is fine; another head would change the model.
fn check_head(metadata: &Metadata, files: &[Bytes], path: &Path) -> Result<()> {
    let Some(head) = metadata.tensor("output.weight") else {
        return Ok(());
    };
    let bytes = |info: &TensorInfo| files.get(info.file)?.get(info.range.clone()?);
    let same = metadata.tensor(&Part::Embedding.gguf_name()).is_some_and(|embedding| {
        head.kind == embedding.kind
            && head.shape == embedding.shape
            && bytes(head).is_some()
            && bytes(head) == bytes(embedding)
    });
    if same {
        Ok(())
    } else {
        Err(Error::Unsupported {
            what: format!("the separate output head output.weight in {}", path.display()),
            hint: "use a model whose output head is its embedding, as in Google's".to_owned(),
        })
    }
}

fn bad(path: &Path, reason: String) -> Error {
    Error::BadFile { path: path.to_owned(), reason }
}

/// A name for an error message.
fn shorten(name: &str) -> String {
    super::shorten(name)
}
