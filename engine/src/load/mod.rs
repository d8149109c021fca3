//! Models on disk (or in the browser's memory): Hugging Face folders and GGUF files, mapped and checked.
//!
//! [`ModelFiles::open`] checks everything that later code relies on: every tensor is there with the shape that the
//! configuration asks for, in a supported format, and its bytes are inside the file.

pub mod bytes;
mod convert;
pub mod gguf;
mod hub;
pub mod names;
mod synthetic;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use bytes::Bytes;
pub use gguf::GgufVocab;
pub use names::{LayerPart, Part};
pub use upload::Uploader;
pub(crate) use upload::floats;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::quant::WeightFormat;

/// The files of a model. Nothing of the weights is read before it is asked for.
#[derive(Debug)]
pub struct ModelFiles {
    path: PathBuf,
    name: String,
    kind: &'static str,
    config: Config,
    tokenizer: TokenizerSource,
    tensors: HashMap<Part, Located>,
    files: Vec<Bytes>,
    norm_offset: f32,
}

/// The files of a Hugging Face folder with one safetensors file.
#[derive(Clone, Debug)]
pub struct HubBytes {
    /// `config.json`
    pub config: Bytes,
    /// `generation_config.json`, which says where replies end
    pub generation_config: Option<Bytes>,
    /// `tokenizer.json`
    pub tokenizer: Bytes,
    /// `model.safetensors`
    pub weights: Bytes,
}

/// A tensor as the file has it.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    /// The name in the file.
    pub name: String,
    /// The format of its values.
    pub format: WeightFormat,
    /// Rows; 1 for norms.
    pub rows: usize,
    /// Columns, a whole number of the format's blocks.
    pub cols: usize,
    /// GGML's blocks or little-endian floats, row by row, unaligned: `rows` times `format.row_bytes(cols)` bytes, or fewer
    /// rows that repeat where the model is [synthetic](ModelFiles::synthetic).
    pub bytes: &'a [u8],
}

/// Where the tokenizer comes from.
#[derive(Clone, Debug)]
pub enum TokenizerSource {
    /// A `tokenizer.json`.
    Json {
        /// The file.
        path: PathBuf,
        /// Its content, not yet parsed.
        bytes: Bytes,
    },
    /// The vocabulary inside a GGUF file.
    Gguf {
        /// The GGUF file.
        path: PathBuf,
        /// The vocabulary, not yet checked.
        vocab: GgufVocab,
    },
    /// The model has no tokenizer, which is enough to run token ids.
    Missing {
        /// Where it should be.
        looked_for: PathBuf,
    },
}

/// Where a checked tensor is.
#[derive(Clone, Debug)]
struct Located {
    name: String,
    format: WeightFormat,
    /// Rows and columns.
    shape: [usize; 2],
    /// Which of the model's files.
    file: usize,
    /// Its bytes in that file.
    range: Range<usize>,
}

impl ModelFiles {
    /// Opens a Hugging Face folder (`config.json` with `model.safetensors`, or with several files and their index), a
    /// GGUF file (or any part of a split one), or a folder that holds one GGUF model.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read, [`Error::BadFile`], [`Error::Config`], [`Error::MissingTensor`] or
    /// [`Error::TensorShape`] where the model is damaged or contradicts itself, and [`Error::Unsupported`] where it is of
    /// another kind.
    pub fn open(path: &Path) -> Result<ModelFiles> {
        let metadata = fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        if !metadata.is_dir() {
            return Self::open_gguf(path, path);
        }
        if !path.join(hub::CONFIG).exists() {
            return Self::open_gguf(path, &gguf_in(path)?);
        }
        if !hub::is_here(path)
            && let Ok(file) = gguf_in(path)
        {
            return Self::open_gguf(path, &file);
        }
        Ok(Self::hub(path, folder_name(path), hub::open(path)?))
    }

    /// Reads the files of a Hugging Face folder that are in memory already: part of the program, or in the browser. `name`
    /// stands for the folder's path in errors.
    ///
    /// # Errors
    ///
    /// As [`ModelFiles::open`].
    pub fn from_hub_bytes(files: HubBytes, name: &str) -> Result<ModelFiles> {
        let path = Path::new(name);
        Ok(Self::hub(path, name.to_owned(), hub::read(path, files)?))
    }

    fn hub(path: &Path, name: String, folder: hub::Folder) -> ModelFiles {
        ModelFiles {
            path: path.to_owned(),
            name,
            kind: "safetensors",
            config: folder.config,
            tokenizer: folder.tokenizer,
            tensors: folder.tensors.into_iter().collect(),
            files: folder.files,
            norm_offset: 1.0,
        }
    }

    /// Reads a GGUF file that is in memory already, as in the browser. `name` stands for its path in errors.
    ///
    /// # Errors
    ///
    /// As [`ModelFiles::open`].
    pub fn from_gguf_bytes(bytes: Vec<u8>, name: &str) -> Result<ModelFiles> {
        let path = PathBuf::from(name);
        Self::read_gguf(&path, &[path.as_path()], vec![bytes.into()])
    }

    fn open_gguf(path: &Path, file: &Path) -> Result<ModelFiles> {
        let (paths, files) = gguf::open_parts(file)?;
        if !files.first().is_some_and(|bytes| bytes.starts_with(gguf::MAGIC)) {
            let first = paths.first().map_or(file, PathBuf::as_path);
            let reason =
                "it is no GGUF file; open a .gguf file, or the folder that holds config.json and the safetensors files";
            return Err(Error::BadFile { path: first.to_owned(), reason: reason.to_owned() });
        }
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        Self::read_gguf(path, &paths, files)
    }

    fn read_gguf(path: &Path, paths: &[&Path], files: Vec<Bytes>) -> Result<ModelFiles> {
        let model = gguf::read(&files, paths)?;
        let stem = || {
            let first = paths.first().copied().unwrap_or(path);
            let stem = first.file_stem().unwrap_or(first.as_os_str());
            stem.to_string_lossy().into_owned()
        };
        Ok(ModelFiles {
            path: path.to_owned(),
            name: model.name.unwrap_or_else(stem),
            kind: "gguf",
            config: model.config,
            tokenizer: model.tokenizer,
            tensors: model.tensors.into_iter().collect(),
            files,
            norm_offset: 0.0,
        })
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A tensor of the model. Its shape is [`Part::shape`].
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`] where [`Part::all`] does not list the part; the others were checked at opening.
    pub fn tensor(&self, part: Part) -> Result<TensorView<'_>> {
        let located = self.tensors.get(&part);
        let found = located.and_then(|located| {
            let bytes = self.files.get(located.file)?.get(located.range.clone())?;
            Some((located, bytes))
        });
        let Some((located, bytes)) = found else {
            let name = match self.kind {
                "safetensors" => part.hub_name(),
                _ => part.gguf_name(),
            };
            return Err(Error::MissingTensor { path: self.path.clone(), name });
        };
        let [rows, cols] = located.shape;
        Ok(TensorView { name: located.name.clone(), format: located.format, rows, cols, bytes })
    }

    /// Where the tokenizer comes from.
    pub fn tokenizer(&self) -> &TokenizerSource {
        &self.tokenizer
    }

    /// What must be added to norm weights: 1 for safetensors, which hold `w` of `1 + w`, and 0 for GGUF, which holds the
    /// sum.
    pub fn norm_offset(&self) -> f32 {
        self.norm_offset
    }

    /// The kind of files: "safetensors", "gguf" or "synthetic".
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// A name to show: the GGUF file's `general.name` or its stem, or the folder's name.
    pub fn name(&self) -> String {
        self.name.clone()
    }
}

/// The folder's own name, also where the path ends in `.` or `..`.
fn folder_name(path: &Path) -> String {
    let full = path.file_name().is_none().then(|| path.canonicalize().ok());
    let full = full.flatten().unwrap_or_else(|| path.to_owned());
    let name = full.file_name().unwrap_or(full.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The one GGUF model in a folder; all parts of a split one count as one.
fn gguf_in(folder: &Path) -> Result<PathBuf> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut found: Option<PathBuf> = None;
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The part of Gemma-3 that sees images comes as a file of its own.
        if !name.ends_with(".gguf") || name.starts_with("mmproj") {
            continue;
        }
        let stem = |path: &Path| gguf::SplitName::of(path).map(|split| split.stem().to_owned());
        match &found {
            None => found = Some(path),
            Some(first) if stem(first).is_some() && stem(first) == stem(&path) => {}
            Some(first) => {
                let reason = format!(
                    "it holds more than one model ({} and {}); open one of the files",
                    first.file_name().unwrap_or_default().display(),
                    path.file_name().unwrap_or_default().display()
                );
                return Err(Error::BadFile { path: folder.to_owned(), reason });
            }
        }
    }
    found.ok_or_else(|| Error::BadFile {
        path: folder.to_owned(),
        reason: format!("it holds neither {} nor a .gguf file", hub::CONFIG),
    })
}

/// Compares a tensor's dimensions (slowest first) with the rows and columns it must have. A vector is one row.
fn check_shape(path: &Path, name: &str, expected: [usize; 2], dims: &[usize]) -> Result<[usize; 2]> {
    let actual = match dims {
        [cols] => Some([1, *cols]),
        [outer @ .., rows, cols] if outer.iter().all(|dim| *dim == 1) => Some([*rows, *cols]),
        _ => None,
    };
    if actual == Some(expected) {
        return Ok(expected);
    }
    Err(Error::TensorShape {
        path: path.to_owned(),
        name: name.to_owned(),
        expected: expected.to_vec(),
        actual: actual.map_or_else(|| dims.to_vec(), |shape| shape.to_vec()),
    })
}

/// The start of a text from a file, short enough for an error message.
fn clip(text: &str) -> &str {
    const MAX_CHARS: usize = 60;
    text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// A name from a file, made fit for an error message.
fn shorten(name: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut shown: String = name.chars().take(MAX_CHARS).flat_map(|c| c.escape_debug()).collect();
    if name.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
