//! Weights from a file to the device, in batches of megabytes.

use super::bytes::Bytes;
use super::convert::convert;
use super::view::TensorView;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Tensor};
use crate::quant::{Matrix, ROW_GROUP, Shard, WeightFormat};

/// Bytes that may wait in wgpu's staging memory before a submit hands them to the device.
const MAX_PENDING_BYTES: u64 = 64 << 20;
/// Bytes that are read and repacked at a time, in the file's format or the GPU's, whichever takes more.
const BATCH_BYTES: usize = 4 << 20;

/// Uploads tensors, reports progress and stops when asked to.
pub struct Uploader<'a> {
    gpu: &'a Gpu,
    /// Bytes of the file that are done, of how many; returns whether to go on.
    progress: &'a mut (dyn FnMut(u64, u64) -> bool + Send),
    total: u64,
    done: u64,
    pending: u64,
}

impl<'a> Uploader<'a> {
    /// `total` is the number of bytes in the file that will be uploaded; `progress` gets the bytes done and `total`, and
    /// returns whether to go on.
    pub fn new(gpu: &'a Gpu, total: u64, progress: &'a mut (dyn FnMut(u64, u64) -> bool + Send)) -> Self {
        Self { gpu, progress, total, done: 0, pending: 0 }
    }

    /// Fills a declared matrix with matrices of the file below each other, converting them row by row if the file has them in
    /// another format. All have the matrix's columns and the same format in the file; their rows add up to the matrix's.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the progress callback said so, [`Error::Io`] if the file cannot be read, and the errors of
    /// buffers.
    pub async fn fill(&mut self, matrix: &Matrix, views: &[TensorView<'_>]) -> Result<()> {
        for shard in &matrix.shards {
            self.gpu.allocate(&shard.buffer).await?;
            self.shard(views, matrix.format, shard).await?;
        }
        Ok(())
    }

    async fn shard(&mut self, views: &[TensorView<'_>], format: WeightFormat, shard: &Shard) -> Result<()> {
        let view = &views[0];
        let layout = format.gpu_row(view.cols);
        let row_bytes = view.row_bytes();
        let gpu_row_bytes = layout.quant_bytes() as usize;
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

    /// Fills a declared row with vectors of the file side by side, as f32, with `offset` added to each value: norm weights
    /// are `1 + w` on the device.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and the errors of buffers.
    pub async fn fill_row(&mut self, row: &Tensor, views: &[TensorView<'_>], offset: f32) -> Result<()> {
        let mut values = Vec::with_capacity(row.cols());
        for view in views {
            values.extend(view.floats().await?.into_iter().map(|value| value + offset));
            self.done += view.row_bytes() as u64;
        }
        row.upload(self.gpu, &values).await
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

    async fn write(&mut self, buffer: &Buffer, offset: u64, words: &[u32]) -> Result<()> {
        self.gpu.write(buffer, offset, bytemuck::cast_slice(words));
        self.pending += 4 * words.len() as u64;
        if self.pending >= MAX_PENDING_BYTES { self.finish().await } else { Ok(()) }
    }
}

/// Appends `count` rows of matrices below each other, from row `first` of all their rows on.
pub(crate) async fn read_rows(
    views: &[TensorView<'_>],
    first: usize,
    count: usize,
    batch: &mut Vec<Bytes>,
) -> Result<()> {
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
