//! A weight matrix on the device.

use super::{ROW_GROUP, WeightFormat};
use crate::error::Result;
use crate::gpu::{Gpu, Slice};

/// A matrix of weights, `[rows, cols]`, in shards of whole rows, each of which fits a binding.
#[derive(Debug)]
pub struct Matrix {
    pub(crate) format: WeightFormat,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) shards: Vec<Shard>,
}

/// Some rows of a matrix in one buffer: their quants, then their scales.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) quant_bytes: u64,
    /// Where the scales begin, aligned for a binding.
    pub(crate) scales_at: u64,
    pub(crate) scale_bytes: u64,
}

/// What a binding's offset must be a multiple of; WebGPU's default limit.
pub(crate) const BINDING_ALIGN: u64 = 256;

impl Matrix {
    /// How its values are stored.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Groups of 32 columns in a row, the last one padded.
    pub fn groups(&self) -> usize {
        self.cols.div_ceil(32)
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.buffer.size()).sum()
    }
}

impl Shard {
    /// Room for `rows` rows, which is zeros until written to.
    ///
    /// # Errors
    /// The errors of buffers.
    pub(crate) async fn new(
        gpu: &Gpu,
        label: &str,
        format: WeightFormat,
        cols: usize,
        first_row: usize,
        rows: usize,
    ) -> Result<Self> {
        let row = format.gpu_row(cols);
        let padded_rows = rows.next_multiple_of(ROW_GROUP);
        let quant_bytes = (16 * padded_rows * row.quant_vec4s) as u64;
        let scales_at = quant_bytes.next_multiple_of(BINDING_ALIGN);
        let scale_bytes = (4 * padded_rows * row.scale_words) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer(label, scales_at + scale_bytes, usage).await?;
        Ok(Self { first_row, rows, buffer, quant_bytes, scales_at, scale_bytes })
    }

    pub(crate) fn quants(&self) -> Slice<'_> {
        Slice { buffer: &self.buffer, offset: 0, bytes: wgpu::BufferSize::new(self.quant_bytes) }
    }

    /// The scales; for formats that have none, something harmless to bind.
    pub(crate) fn scales(&self) -> Slice<'_> {
        match wgpu::BufferSize::new(self.scale_bytes) {
            Some(bytes) => Slice { buffer: &self.buffer, offset: self.scales_at, bytes: Some(bytes) },
            None => Slice { buffer: &self.buffer, offset: 0, bytes: wgpu::BufferSize::new(16) },
        }
    }
}
