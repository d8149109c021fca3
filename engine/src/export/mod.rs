//! Writes a model to a GGUF file, converted, for this program and for llama.cpp.

mod importance;
mod recipe;
mod tables;
#[cfg(test)]
mod tests;
mod unfinished_file;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

pub use importance::Importance;
pub use recipe::Recipe;

use unfinished_file::UnfinishedFile;

use crate::config::Config;
use crate::engine::Progress;
use crate::error::{Error, Result};
use crate::load::gguf::{DEFAULT_ALIGNMENT, config_of};
use crate::load::{ModelFiles, TensorId, TensorView};
use crate::quant::WeightFormat;
use crate::threads::{on_threads, threads};
use crate::tokenizer::gguf_vocab;

/// Values that are converted at a time, some tens of megabytes with all copies.
const BATCH_VALUES: usize = 4 << 20;

/// How to write a model to a file.
#[derive(Clone, Debug)]
pub struct GgufOptions {
    /// The formats of its matrices.
    pub recipe: Recipe,
    /// Whether a file that is there is replaced.
    pub overwrite: bool,
    /// Which columns matter more, if that is known. The matrices whose format changes are then quantized so that their products
    /// lose less.
    pub importance: Option<Importance>,
}

impl ModelFiles {
    /// Writes the model to a GGUF file, with its vocabulary, its template and its caps. Weights are read, converted and written
    /// some millions at a time, on all cores. The file appears at `path` when it is complete; until then it is beside it, with
    /// `.part` after its name.
    ///
    /// `progress` gets the bytes written, and returns whether to go on.
    ///
    /// # Errors
    /// [`Error::Write`] where the file cannot be written, another program writes it, or it is there and not to be replaced,
    /// [`Error::Unsupported`] where GGUF has no key for something in the model's configuration, [`Error::Tokenizer`] where the
    /// vocabulary is damaged, [`Error::Cancelled`], and the errors of reading the weights.
    pub async fn write_gguf(
        &self,
        path: &Path,
        options: &GgufOptions,
        progress: &mut (dyn FnMut(Progress) -> bool + Send),
    ) -> Result<()> {
        let fail = |source| Error::Write { path: path.to_owned(), source };
        if !options.overwrite && path.exists() {
            return Err(fail(std::io::ErrorKind::AlreadyExists.into()));
        }
        let config = self.config();
        let mut vocab = gguf_vocab(self.tokenizer(), config.vocab_size)?;
        if let Some(vocab) = &mut vocab {
            vocab.chat_template = self.chat_template_text().map(str::to_owned);
        }
        let tables = tables::tables(&self.name(), config, options.recipe, vocab.as_ref());
        drop(vocab);
        let total = tables.len() as u64 + options.recipe.bytes(config);
        check_kept(self.path(), config, &config_of(path, &tables, total)?)?;
        let part = UnfinishedFile::new(path).map_err(fail)?;
        let mut writer =
            GgufWriter { out: BufWriter::with_capacity(1 << 20, part.file()), path, written: 0, total, progress };
        writer.write(&tables)?;
        drop(tables);
        for id in TensorId::all(config) {
            let view = self.tensor(id)?;
            if id.is_norm() {
                writer.norm(&view, self.norm_offset()).await?;
            } else {
                let importance = options.importance.as_ref().and_then(|importance| importance.of(id));
                writer.matrix(&view, options.recipe.format_of(id, config), importance.unwrap_or(&[])).await?;
            }
            writer.pad()?;
        }
        writer.out.flush().map_err(fail)?;
        drop(writer);
        part.publish(path, options.overwrite).map_err(fail)
    }
}

/// Refuses a model whose configuration a reader of the file would not find in it.
fn check_kept(path: &Path, config: &Config, written: &Config) -> Result<()> {
    let differences = [
        ("attn_logit_softcapping", config.attn_soft_cap != written.attn_soft_cap),
        ("final_logit_softcapping", config.final_soft_cap != written.final_soft_cap),
        ("query_pre_attn_scalar", config.query_scale != written.query_scale),
        ("windows or RoPE of some layers", config.layers != written.layers),
        ("eos_token_id", config.stop_ids.iter().any(|id| !written.stop_ids.contains(id))),
    ];
    match differences.into_iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((field, _)) => Err(Error::Unsupported {
            what: format!("the {field} of {}, for which GGUF files have no key,", path.display()),
            hint: "keep this model in its own files".to_owned(),
        }),
    }
}

struct GgufWriter<'a> {
    out: BufWriter<&'a File>,
    path: &'a Path,
    written: u64,
    total: u64,
    progress: &'a mut (dyn FnMut(Progress) -> bool + Send),
}

impl GgufWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|source| Error::Write { path: self.path.to_owned(), source })?;
        self.written += bytes.len() as u64;
        let go_on = (self.progress)(Progress { done: self.written.min(self.total), total: self.total });
        if go_on { Ok(()) } else { Err(Error::Cancelled) }
    }

    fn pad(&mut self) -> Result<()> {
        let padding = self.written.next_multiple_of(DEFAULT_ALIGNMENT) - self.written;
        self.write(&vec![0; padding as usize])
    }

    /// Norms hold `1 + w` in GGUF files.
    async fn norm(&mut self, view: &TensorView<'_>, offset: f32) -> Result<()> {
        let values: Vec<f32> = view.floats().await?.into_iter().map(|value| value + offset).collect();
        let mut bytes = Vec::new();
        WeightFormat::F32.quantize(&values, &mut bytes);
        self.write(&bytes)
    }

    async fn matrix(&mut self, view: &TensorView<'_>, format: WeightFormat, importance: &[f32]) -> Result<()> {
        let batch = (BATCH_VALUES / view.cols.max(1)).max(1);
        let mut row = 0;
        while row < view.rows {
            let bytes = view.read_rows(row, batch).await?;
            row += bytes.len() / view.row_bytes();
            if view.format == format {
                self.write(&bytes)?;
                continue;
            }
            for converted in convert_rows(view, &bytes, format, importance) {
                self.write(&converted)?;
            }
        }
        Ok(())
    }
}

/// Rows of a file in another format, in order, each piece by a core. `importance` is that of the columns, or empty.
fn convert_rows(view: &TensorView<'_>, rows: &[u8], format: WeightFormat, importance: &[f32]) -> Vec<Vec<u8>> {
    let (row_bytes, cols, from) = (view.row_bytes(), view.cols, view.format);
    let convert = |rows: &[u8]| {
        let mut values = vec![0.0; cols];
        let mut converted = Vec::with_capacity(rows.len() / row_bytes * format.row_bytes(cols).unwrap_or(0));
        for row in rows.chunks_exact(row_bytes) {
            from.dequantize(row, &mut values);
            format.quantize_weighted(&values, importance, &mut converted);
        }
        converted
    };
    let share = (rows.len() / row_bytes).div_ceil(threads()).max(1) * row_bytes;
    on_threads(rows.chunks(share), convert)
}
