//! Weights from a file to the device, in batches of megabytes.

use super::bytes::Bytes;
use super::convert::convert;
use super::view::TensorView;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Tensor};
use crate::quant::{BINDING_ALIGN, Matrix, ROW_GROUP, Shard, WeightFormat};

/// Bytes that may wait in wgpu's staging memory before a submit hands them to the device.
const MAX_PENDING_BYTES: u64 = 64 << 20;
/// Bytes that are read and repacked at a time, in the file's format or the GPU's, whichever takes more.
const BATCH_BYTES: usize = 4 << 20;

/// Uploads tensors, reports progress and stops when asked to.
pub struct Uploader<'a> {
    gpu: &'a Gpu,
    /// Largest binding to make.
    max_shard_bytes: u64,
    /// Bytes of the file that are done, of how many; returns whether to go on.
    progress: &'a mut (dyn FnMut(u64, u64) -> bool + Send),
    total: u64,
    done: u64,
    pending: u64,
}

impl<'a> Uploader<'a> {
    /// `total` is the number of bytes in the file that will be uploaded; `progress` gets the bytes done and `total`, and
    /// returns whether to go on.
    pub fn new(
        gpu: &'a Gpu,
        max_shard_bytes: u64,
        total: u64,
        progress: &'a mut (dyn FnMut(u64, u64) -> bool + Send),
    ) -> Self {
        let max_shard_bytes = max_shard_bytes.min(gpu.capabilities().max_binding_bytes);
        Self { gpu, max_shard_bytes, progress, total, done: 0, pending: 0 }
    }

    /// Uploads matrices below each other as one, in `format`, converting them row by row if the file has them otherwise.
    /// All have the same columns and the same format in the file.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the progress callback said so, [`Error::Io`] if the file cannot be read, and the errors of
    /// buffers.
    pub async fn matrix(&mut self, views: &[TensorView<'_>], format: WeightFormat) -> Result<Matrix> {
        let Some(view) = views.first() else { return Ok(Matrix { format, rows: 0, cols: 0, shards: Vec::new() }) };
        let total_rows: usize = views.iter().map(|view| view.rows).sum();
        let layout = format.gpu_row(view.cols);
        let (quant_bytes, scale_bytes) = (16 * layout.quant_vec4s as u64, 4 * layout.scale_words as u64);
        // The scales of a shard are never larger than its quants, so the quants decide how many rows a binding holds; the
        // buffer holds both.
        let in_buffer =
            self.gpu.capabilities().max_buffer_bytes.saturating_sub(BINDING_ALIGN) / (quant_bytes + scale_bytes).max(1);
        let shard_rows = (self.max_shard_bytes / quant_bytes.max(1)).min(in_buffer) as usize / ROW_GROUP * ROW_GROUP;
        if shard_rows == 0 {
            return Err(Error::Adapter {
                adapter: self.gpu.info().name.clone(),
                reason: format!(
                    "{ROW_GROUP} rows of {} take {quant_bytes} bytes each, more than a binding holds",
                    view.name
                ),
            });
        }
        let mut shards = Vec::new();
        let mut first_row = 0;
        while first_row < total_rows {
            let rows = shard_rows.min(total_rows - first_row);
            let shard = Shard::new(self.gpu, &view.name, format, view.cols, first_row, rows).await?;
            self.shard(views, format, &shard).await?;
            shards.push(shard);
            first_row += rows;
        }
        Ok(Matrix { format, rows: total_rows, cols: view.cols, shards })
    }

    async fn shard(&mut self, views: &[TensorView<'_>], format: WeightFormat, shard: &Shard) -> Result<()> {
        let view = &views[0];
        let layout = format.gpu_row(view.cols);
        let row_bytes = view.row_bytes();
        let gpu_row_bytes = 16 * layout.quant_vec4s;
        // At least one group of rows; more only if they fit.
        let groups = (BATCH_BYTES / (ROW_GROUP * row_bytes.max(gpu_row_bytes))).max(1);
        let batch_rows = groups * ROW_GROUP;
        let (mut batch, mut quants, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        let (quant_words, scale_words) = (4 * layout.quant_vec4s, layout.scale_words);
        for start in (0..shard.rows).step_by(batch_rows) {
            let rows = batch_rows.min(shard.rows - start);
            quants.clear();
            let room = rows.next_multiple_of(ROW_GROUP);
            quants.resize(room * quant_words, 0u32);
            scales.clear();
            scales.resize(room * scale_words, 0u32);
            batch.clear();
            read_rows(views, shard.first_row + start, rows, &mut batch).await?;
            let batch: Vec<&[u8]> = batch.iter().flat_map(|bytes| bytes.chunks_exact(row_bytes)).collect();
            convert(view.format, format, view.cols, &batch, &mut quants, &mut scales);
            self.write(&shard.buffer, 4 * (start * quant_words) as u64, &quants).await?;
            if scale_words > 0 {
                self.write(&shard.buffer, shard.scales_at + 4 * (start * scale_words) as u64, &scales).await?;
            }
            self.done += (rows * row_bytes) as u64;
            if !(self.progress)(self.done.min(self.total), self.total) {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    /// Uploads a vector as f32 with `offset` added: norm weights are `1 + w` on the device.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and the errors of buffers.
    pub async fn vector(&mut self, view: &TensorView<'_>, offset: f32) -> Result<Tensor> {
        let values = floats(view, offset).await?;
        self.done += view.row_bytes() as u64;
        Tensor::from_rows(self.gpu, &view.name, values.len(), &values).await
    }

    /// Submits pending writes and waits until the device has them.
    ///
    /// # Errors
    /// If the device is lost or refused an upload.
    pub async fn finish(&mut self) -> Result<()> {
        self.pending = 0;
        let submission = self.gpu.submit_commands([]);
        self.gpu.finish(submission).await
    }

    /// Reports the whole file as done: vectors report no progress.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the progress callback said so.
    pub fn report_all(&mut self) -> Result<()> {
        if (self.progress)(self.total, self.total) { Ok(()) } else { Err(Error::Cancelled) }
    }

    async fn write(&mut self, buffer: &wgpu::Buffer, offset: u64, words: &[u32]) -> Result<()> {
        self.gpu.queue().write_buffer(buffer, offset, bytemuck::cast_slice(words));
        self.pending += 4 * words.len() as u64;
        if self.pending >= MAX_PENDING_BYTES { self.finish().await } else { Ok(()) }
    }
}

/// Appends `count` rows of matrices below each other, from row `first` of all their rows on.
async fn read_rows(views: &[TensorView<'_>], first: usize, count: usize, batch: &mut Vec<Bytes>) -> Result<()> {
    let mut above = 0;
    for view in views {
        let end = (above + view.rows).min(first + count);
        let mut row = first.max(above);
        while row < end {
            let bytes = view.read_rows(row - above, end - row).await?;
            row += bytes.len() / view.row_bytes();
            batch.push(bytes);
        }
        above += view.rows;
    }
    Ok(())
}

/// A vector of the file as f32, with `offset` added to each number.
///
/// # Errors
/// If the file cannot be read.
pub(crate) async fn floats(view: &TensorView<'_>, offset: f32) -> Result<Vec<f32>> {
    let mut values = view.floats().await?;
    values.iter_mut().for_each(|v| *v += offset);
    Ok(values)
}
