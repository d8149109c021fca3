//! Activations on the device.

use super::buffer::{Buffer, Slice};
use super::context::Gpu;
use crate::error::Result;

/// Rows are padded with zeros to a multiple of this many columns, so that kernels read whole groups of 32.
pub(crate) const ROW_ALIGN: usize = 32;

/// Values from the start of a row of `cols` columns to the start of the next.
pub(crate) fn stride_of(cols: usize) -> usize {
    cols.next_multiple_of(ROW_ALIGN)
}

/// A matrix of f32, `[rows, cols]`, each row padded with zeros to [`Tensor::stride`] values.
/// Kernels never write anything but zero into the padding.
#[derive(Clone, Debug)]
pub struct Tensor {
    buffer: Buffer,
    rows: usize,
    cols: usize,
}

impl Tensor {
    /// Declares a tensor; its memory will be zeros.
    pub fn new(label: &str, rows: usize, cols: usize) -> Self {
        let bytes = 4 * rows as u64 * stride_of(cols) as u64;
        Self { buffer: Buffer::new(label, bytes), rows, cols }
    }

    /// A tensor of `values`, row-major without padding, on the device; `values.len()` is `rows * cols`.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn from_rows(gpu: &Gpu, label: &str, cols: usize, values: &[f32]) -> Result<Self> {
        let tensor = Self::new(label, values.len() / cols.max(1), cols);
        tensor.upload(gpu, values).await?;
        Ok(tensor)
    }

    /// Gives the tensor memory and fills its first rows with `values`, row-major without padding.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn upload(&self, gpu: &Gpu, values: &[f32]) -> Result<()> {
        gpu.allocate(&self.buffer).await?;
        for (row, values) in values.chunks_exact(self.cols.max(1)).enumerate() {
            gpu.write(&self.buffer, 4 * (row * self.stride()) as u64, bytemuck::cast_slice(values));
        }
        Ok(())
    }

    /// The most rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Values from one row to the next.
    pub fn stride(&self) -> usize {
        stride_of(self.cols)
    }

    /// Its buffer.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice {
        (&self.buffer).into()
    }

    /// The first `rows` rows, without padding.
    ///
    /// # Errors
    /// If the device is lost or out of memory.
    pub async fn read(&self, gpu: &Gpu, rows: usize) -> Result<Vec<f32>> {
        let stride = self.stride();
        let bytes = gpu.read(&self.buffer, 4 * (rows * stride) as u64).await?;
        let padded: &[f32] = bytemuck::cast_slice(&bytes);
        Ok(padded.chunks_exact(stride).flat_map(|row| &row[..self.cols]).copied().collect())
    }
}
