//! A weight matrix on the device.

use super::WeightFormat;
use crate::gpu::Slice;

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
