//! Activations on the device.

use super::context::Gpu;
use super::plan::Slice;
use crate::error::{Error, Result};

/// Columns of a row are padded to a multiple of this, with zeros, so that kernels read whole groups of 32.
pub(crate) const ROW_ALIGN: usize = 32;

/// A matrix of f32 on the device, `[rows, cols]`, each row padded with zeros to [`Tensor::stride`] numbers.
/// Kernels never write anything but zero into the padding.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) buffer: wgpu::Buffer,
    rows: usize,
    cols: usize,
}

impl Tensor {
    /// Zeros.
    ///
    /// # Errors
    /// As for any buffer: out of memory, or larger than the adapter or one of its bindings allows.
    pub async fn zeros(gpu: &Gpu, label: &str, rows: usize, cols: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let bytes = 4 * rows as u64 * cols.next_multiple_of(ROW_ALIGN) as u64;
        let limit = gpu.capabilities().max_binding_bytes;
        if bytes > limit {
            let reason = format!("{label} of {rows} rows needs {bytes} bytes, but a binding holds {limit}");
            return Err(Error::Adapter { adapter: gpu.info().name.clone(), reason });
        }
        Ok(Self { buffer: gpu.buffer(label, bytes, usage).await?, rows, cols })
    }

    /// `values`, row-major without padding; `values.len()` is `rows * cols`.
    ///
    /// # Errors
    /// As for [`Tensor::zeros`].
    pub async fn from_rows(gpu: &Gpu, label: &str, cols: usize, values: &[f32]) -> Result<Self> {
        let rows = values.len() / cols.max(1);
        let tensor = Self::zeros(gpu, label, rows, cols).await?;
        for (row, values) in values.chunks_exact(cols.max(1)).enumerate() {
            let offset = 4 * (row * tensor.stride()) as u64;
            gpu.queue().write_buffer(&tensor.buffer, offset, bytemuck::cast_slice(values));
        }
        Ok(tensor)
    }

    /// Rows that there is room for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        self.cols.next_multiple_of(ROW_ALIGN)
    }

    pub(crate) fn slice(&self) -> Slice<'_> {
        Slice::all(&self.buffer)
    }

    /// The first `rows` rows, without padding.
    ///
    /// # Errors
    /// If the device is lost or out of memory.
    pub async fn read(&self, gpu: &Gpu, rows: usize) -> Result<Vec<f32>> {
        let stride = self.stride();
        let bytes = gpu.read_buffer(&self.buffer, 4 * (rows * stride) as u64).await?;
        let padded: &[f32] = bytemuck::cast_slice(&bytes);
        Ok(padded.chunks_exact(stride).flat_map(|row| &row[..self.cols]).copied().collect())
    }
}
