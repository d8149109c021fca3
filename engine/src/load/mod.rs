//! The files of models: Hugging Face folders and GGUF files, from any [`Source`], and from there to the device.
//!
//! Opening a model checks everything that later code relies on: every tensor is there with the shape that the
//! configuration asks for, in a supported format, and its bytes are inside the file.

mod bytes;
mod chat_template;
mod convert;
mod folder;
pub(crate) mod gguf;
mod hub;
mod safetensors;
mod shapes;
mod source;
mod synthetic;
mod tensor_id;
#[cfg(test)]
mod tests;
mod upload;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use bytes::Bytes;
pub use chat_template::ChatTemplate;
pub use gguf::GgufVocab;
pub use source::{ReadFuture, Source};
pub use synthetic::NoiseRows;
pub use tensor_id::{LayerTensor, TensorId};
pub use upload::Uploader;
pub(crate) use upload::read_rows;
pub use view::TensorView;

use crate::config::Config;
use crate::error::{Error, Result, clip};
use crate::quant::WeightFormat;
use folder::{Folder, folder_name, gguf_in};
use source::{ModelFile, now};

/// The files of a model. Weights are read when they are asked for.
#[derive(Debug)]
pub struct ModelFiles {
    path: PathBuf,
    name: String,
    /// Whether the files are a Hugging Face folder's.
    is_hub: bool,
    config: Config,
    tokenizer: TokenizerSource,
    tensors: HashMap<TensorId, Located>,
    files: Vec<ModelFile>,
    chat_template: Option<String>,
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
    /// The model has no tokenizer. It can still run token ids.
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
    range: Range<u64>,
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
            return now(gguf::open(path, gguf::map_parts(path)?));
        }
        let folder = Folder::Disk(path.to_owned());
        let is_hub = folder.has(hub::CONFIG);
        // Some folders hold GGUF files beside a configuration.
        if !(is_hub && hub::is_here(&folder))
            && let Some(file) = gguf_in(path)?
        {
            return now(gguf::open(path, gguf::map_parts(&file)?));
        }
        if !is_hub {
            return Err(bad(path, format!("it holds neither {} nor a .gguf file", hub::CONFIG)));
        }
        now(hub::open(folder_name(path), folder))
    }

    /// Opens a model from sources. If `config.json` is among the files, they are those of a Hugging Face folder, and
    /// unknown ones are not read. Otherwise they are the parts of one GGUF model, in the order of their names.
    ///
    /// `files` are pairs of a name, such as `model.safetensors`, and a source. In errors `folder`, which may be empty,
    /// stands before the name.
    ///
    /// This reads headers, small files, and of a GGUF's separate output head some pieces. Weights are read while they load, in
    /// ranges as [`Source`] says.
    ///
    /// # Errors
    ///
    /// As [`ModelFiles::open`]. A read that fails is an [`Error::Io`] that names the file and the offset.
    pub async fn from_sources(
        folder: &str,
        files: impl IntoIterator<Item = (String, Box<dyn Source>)>,
    ) -> Result<ModelFiles> {
        let path = PathBuf::from(folder);
        let files: BTreeMap<String, Box<dyn Source>> = files.into_iter().collect();
        if files.contains_key(hub::CONFIG) {
            return hub::open(folder.to_owned(), Folder::Given(path, files)).await;
        }
        let part = |(name, source)| ModelFile { path: path.join::<String>(name), source };
        let parts: Vec<ModelFile> = files.into_iter().map(part).collect();
        let path = parts.first().map_or(path, |part| part.path.clone());
        gguf::open(&path, parts).await
    }

    /// Opens a model from files in memory, as [`ModelFiles::from_sources`], without waiting.
    ///
    /// # Errors
    ///
    /// As [`ModelFiles::open`].
    pub fn from_bytes<N: Into<String>>(
        folder: &str,
        files: impl IntoIterator<Item = (N, Bytes)>,
    ) -> Result<ModelFiles> {
        let files = files.into_iter().map(|(name, bytes)| (name.into(), Box::new(bytes) as Box<dyn Source>));
        now(Self::from_sources(folder, files))
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A tensor of the model. Its shape is [`TensorId::shape`].
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`] where [`TensorId::all`] does not list the tensor; the others were checked at opening.
    pub fn tensor(&self, id: TensorId) -> Result<TensorView<'_>> {
        let located = self.tensors.get(&id);
        let Some((located, file)) = located.and_then(|located| Some((located, self.files.get(located.file)?))) else {
            let name = if self.is_hub { id.hub_name() } else { id.gguf_name() };
            return Err(Error::MissingTensor { path: self.path.clone(), name });
        };
        let [rows, cols] = located.shape;
        Ok(TensorView {
            name: located.name.clone(),
            format: located.format,
            rows,
            cols,
            path: &file.path,
            source: &*file.source,
            range: located.range.clone(),
        })
    }

    /// Where the tokenizer comes from.
    pub fn tokenizer(&self) -> &TokenizerSource {
        &self.tokenizer
    }

    /// What must be added to norm weights: 1 for safetensors, which hold `w` of `1 + w`, and 0 for GGUF, which holds the
    /// sum.
    pub fn norm_offset(&self) -> f32 {
        if self.is_hub { 1.0 } else { 0.0 }
    }

    /// The kind of chat template in the files. [`Engine::chat_template`](crate::Engine::chat_template) knows more.
    pub fn chat_template(&self) -> ChatTemplate {
        ChatTemplate::of(self.chat_template_text())
    }

    /// The Jinja template for chats in the files; `None` if they have none.
    pub fn chat_template_text(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// A name to show: the GGUF file's `general.name` or its stem, or the folder's name.
    pub fn name(&self) -> String {
        self.name.clone()
    }
}

pub(crate) fn bad(path: &Path, reason: String) -> Error {
    Error::BadFile { path: path.to_owned(), reason }
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

/// A name from a file, escaped and shortened for an error message.
fn shorten(name: &str) -> String {
    clip(name).escape_debug().to_string()
}
