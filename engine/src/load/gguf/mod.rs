//! GGUF files, versions 2 and 3, little-endian: a table of metadata, a table of tensors, and their bytes.
//!
//! The format is described in `docs/gguf.md` of the ggml repository. Nothing in the tables is trusted before it is checked
//! against the file's size.

mod config;
mod metadata;
mod reader;
mod split;
mod tensors;
mod vocab;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

pub(crate) use metadata::{Metadata, kind};
pub(crate) use tensors::TensorInfo;
pub use vocab::GgufVocab;

use reader::{MAX_TABLES, Reader};

use super::source::ModelFile;
use super::tensor_id::TensorId;
use super::{Located, ModelFiles, TokenizerSource, bad, check_shape, shorten};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::quant::WeightFormat;

pub(super) use split::{SplitName, map_parts};

/// The first bytes of every GGUF file.
pub(crate) const MAGIC: &[u8; 4] = b"GGUF";
/// Tensors start at multiples of this where the file does not say otherwise.
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;

/// Bytes of a file that are read at first. The tables of Gemma's files take less.
const FIRST_WINDOW: u64 = 8 << 20;
/// Bytes of a tensor that are compared at each place.
const PIECE_BYTES: u64 = 64 << 10;

/// Reads the two tables of one file, the part number `index` of its model, counted from 0.
///
/// Nothing says beforehand how long they are, so they are parsed again from a larger start of the file while it ends
/// before they do.
///
/// `window` is the number of bytes that are read at first.
pub(super) async fn read_tables(file: &ModelFile, index: usize, mut window: u64) -> Result<Metadata> {
    let size = file.size();
    loop {
        let bytes = file.read(0..window.min(size)).await?;
        let mut reader = Reader::new(&bytes, size, &file.path);
        let tables = parse(&mut reader, index, size);
        match reader.wanted() {
            // More than the window, which therefore grows, and at most MAX_TABLES.
            Some(end) => window = end.max(2 * window).min(MAX_TABLES),
            None => return tables,
        }
    }
}

fn parse(reader: &mut Reader<'_>, index: usize, file_size: u64) -> Result<Metadata> {
    let path = reader.path;
    if reader.array::<4>("the magic number GGUF").is_ok_and(|magic| magic != *MAGIC) || file_size < 4 {
        let reason = "it does not start with the magic number GGUF, so it is no GGUF file; open a .gguf file, or the folder that holds config.json and the safetensors files";
        return Err(bad(path, reason.to_owned()));
    }
    check_version(path, reader.u32("the version")?)?;
    // Both counts come before both tables.
    let tensor_count = tensors::read_tensor_count(reader)?;
    let key_count = metadata::read_key_count(reader)?;
    let values = metadata::read_values(reader, key_count)?;
    let entries = tensors::read_entries(reader, tensor_count)?;

    let mut metadata = Metadata::new(path, values, Default::default());
    let alignment = metadata.unsigned("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() {
        return Err(Error::Config {
            path: path.to_owned(),
            field: "general.alignment".to_owned(),
            reason: format!("it is {alignment}, but must be a power of two"),
        });
    }
    let data_start = reader.position().checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    metadata.set_tensors(tensors::place(path, entries, index, data_start, alignment, file_size)?);
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

/// The configuration that the tables of a file tell, which are its start. `size` is that of the whole file.
///
/// # Errors
/// Those of damaged tables.
pub(crate) fn config_of(path: &Path, tables: &[u8], size: u64) -> Result<Config> {
    config::read(&parse(&mut Reader::new(tables, size, path), 0, size)?, path)
}

/// The values of all f32 tensors of a file whose names end with `ending`, by their names without it.
///
/// # Errors
/// Those of damaged tables.
pub(crate) fn float_tensors(path: &Path, bytes: &[u8], ending: &str) -> Result<HashMap<String, Vec<f32>>> {
    let size = bytes.len() as u64;
    let metadata = parse(&mut Reader::new(bytes, size, path), 0, size)?;
    let values = |(name, info): (&String, &TensorInfo)| {
        let name = name.strip_suffix(ending)?;
        let Range { start, end } = info.range.clone().filter(|_| info.format() == Some(WeightFormat::F32))?;
        let bytes = bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
        Some((name.to_owned(), bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()))
    };
    Ok(metadata.tensors().filter_map(values).collect())
}

/// Opens a model from all its parts, in order. `opened` is what was asked for.
pub(super) async fn open(opened: &Path, files: Vec<ModelFile>) -> Result<ModelFiles> {
    let Some((first, others)) = files.split_first() else {
        return Err(bad(Path::new(""), "there is no file".to_owned()));
    };
    let path = &first.path;
    let mut metadata = read_tables(first, 0, FIRST_WINDOW).await?;
    split::check(&metadata, path, 0, files.len())?;
    for (index, file) in (1..).zip(others) {
        let part = read_tables(file, index, FIRST_WINDOW).await?;
        split::check(&part, &file.path, index, files.len())?;
        metadata.append(part)?;
    }
    let config = config::read(&metadata, path)?;
    let located = |id| Ok((id, locate(id, &metadata, &config, path)?));
    let tensors = TensorId::all(&config).into_iter().map(located).collect::<Result<_>>()?;
    check_head(&metadata, &files, path).await?;
    let name = metadata.text("general.name").ok().flatten();
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let stem = || path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let name = name.unwrap_or_else(stem);
    let vocab = GgufVocab::take(&mut metadata)?;
    let chat_template = vocab.as_ref().and_then(|vocab| vocab.chat_template.clone());
    let tokenizer = match vocab {
        Some(vocab) => TokenizerSource::Gguf { path: path.clone(), vocab },
        None => TokenizerSource::Missing { looked_for: path.clone() },
    };
    let path = opened.to_owned();
    Ok(ModelFiles { path, name, is_hub: false, config, tokenizer, tensors, files, chat_template })
}

/// Finds a tensor and checks its type and shape; its place was checked with the table.
fn locate(id: TensorId, metadata: &Metadata, config: &Config, path: &Path) -> Result<Located> {
    let name = id.gguf_name();
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
    if id.is_norm() && !plain {
        return Err(unsupported(format.name(), "norms must be F32, F16 or BF16, as converters write them"));
    }
    let shape = check_shape(path, &name, id.shape(config), &info.shape)?;
    Ok(Located { name, format, shape, file: info.file, range })
}

/// Refuses a separate output head. Gemma's head is its embedding, and some files hold a copy of it, which is ignored.
async fn check_head(metadata: &Metadata, files: &[ModelFile], path: &Path) -> Result<()> {
    let Some(head) = metadata.tensor("output.weight") else {
        return Ok(());
    };
    let embedding = metadata.tensor(&TensorId::Embedding.gguf_name());
    let alike = embedding.filter(|embedding| head.kind == embedding.kind && head.shape == embedding.shape);
    if let Some(embedding) = alike
        && same_bytes(files, head, embedding).await?
    {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("the separate output head output.weight in {}", path.display()),
        hint: "use a model whose output head is its embedding, as in Google's".to_owned(),
    })
}

/// Compares the start, the middle and the end of two tensors of the same size: a head of its own differs from the embedding
/// nearly everywhere, and whole tensors may have to come over a network. Tensors of unknown size are not the same.
async fn same_bytes(files: &[ModelFile], a: &TensorInfo, b: &TensorInfo) -> Result<bool> {
    let (Some(file_a), Some(file_b)) = (files.get(a.file), files.get(b.file)) else { return Ok(false) };
    let (Some(range_a), Some(range_b)) = (&a.range, &b.range) else { return Ok(false) };
    let len = range_a.end - range_a.start;
    let last = len.saturating_sub(PIECE_BYTES);
    for at in [0, last / 2, last] {
        let piece = |range: &Range<u64>| range.start + at..range.start + len.min(at + PIECE_BYTES);
        if file_a.read(piece(range_a)).await?[..] != file_b.read(piece(range_b)).await?[..] {
            return Ok(false);
        }
    }
    Ok(true)
}
