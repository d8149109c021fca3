//! A tensor of a file, whose rows are read when they are asked for.

use std::ops::Range;
use std::path::Path;

use super::bytes::Bytes;
use super::source::{Source, read_exact};
use crate::error::Result;
use crate::quant::WeightFormat;

/// A tensor as the file has it. Its rows are GGML's blocks or little-endian floats.
#[derive(Clone)]
pub struct TensorView<'a> {
    /// The name in the file.
    pub name: String,
    /// The format of its values.
    pub format: WeightFormat,
    /// Rows; 1 for norms.
    pub rows: usize,
    /// Columns, a whole number of the format's blocks.
    pub cols: usize,
    pub(super) path: &'a Path,
    pub(super) source: &'a dyn Source,
    /// Where its rows are in the source, in bytes. A [synthetic](super::ModelFiles::synthetic) matrix has fewer rows
    /// there, which repeat.
    pub(super) range: Range<u64>,
}

impl<'a> TensorView<'a> {
    /// A tensor in memory: `rows` times `format.row_bytes(cols)` bytes, or fewer rows that repeat.
    pub fn in_memory(name: &'a str, format: WeightFormat, rows: usize, cols: usize, bytes: &'a Bytes) -> Self {
        let (path, range) = (Path::new(name), 0..bytes.len() as u64);
        Self { name: name.to_owned(), format, rows, cols, path, source: bytes, range }
    }

    /// Bytes of a row in the file, at least 1.
    pub fn row_bytes(&self) -> usize {
        // The columns were checked to be whole blocks when the file was opened.
        self.format.row_bytes(self.cols).unwrap_or(0).max(1)
    }

    /// Reads at most `max` rows from `row` on, and at least one: fewer than `max` at the end of the tensor, or where the
    /// rows of a synthetic matrix begin again. `row` is below `rows`, and `max` at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where the source cannot be read.
    pub async fn read_rows(&self, row: usize, max: usize) -> Result<Bytes> {
        let row_bytes = self.row_bytes() as u64;
        let stored = ((self.range.end - self.range.start) / row_bytes).max(1);
        let first = row as u64 % stored;
        let count = (stored - first).min(max.min(self.rows - row) as u64);
        let start = self.range.start + first * row_bytes;
        read_exact(self.source, self.path, start..start + count * row_bytes).await
    }

    /// Reads a vector as f32.
    ///
    /// # Errors
    ///
    /// As [`TensorView::read_rows`].
    pub async fn floats(&self) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.cols];
        self.format.dequantize(&self.read_rows(0, 1).await?, &mut values);
        Ok(values)
    }
}

impl std::fmt::Debug for TensorView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, format, rows, cols, path, range, .. } = self;
        write!(f, "TensorView({name}, {rows} × {cols} {format}, bytes {range:?} of {})", path.display())
    }
}
