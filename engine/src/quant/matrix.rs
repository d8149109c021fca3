//! A weight matrix on the device.

use super::{ROW_GROUP, WeightFormat};
use crate::error::{Error, Result};
use crate::gpu::{BINDING_ALIGN, Buffer, Capabilities, Gpu, Slice};

/// A matrix of weights, `[rows, cols]`, in shards of whole rows. Each shard fits a binding.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub(crate) format: WeightFormat,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) shards: Vec<Shard>,
}

/// Consecutive rows of a matrix in one buffer: their quants, then their scales.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    pub(crate) buffer: Buffer,
    pub(crate) quant_bytes: u64,
    /// The offset of the scales in bytes, aligned for a binding.
    pub(crate) scales_at: u64,
    pub(crate) scale_bytes: u64,
}

impl Matrix {
    /// Declares a matrix. Its shards fit the bindings of a device with these capabilities, but each has at least 8 rows.
    pub fn new(label: &str, format: WeightFormat, [rows, cols]: [usize; 2], capabilities: &Capabilities) -> Self {
        let row = format.gpu_row(cols);
        // The scales of a shard are never larger than its quants. So the quants limit the rows per binding, and both
        // together the rows per buffer.
        let in_binding = capabilities.max_binding_bytes / row.quant_bytes().max(1);
        let in_buffer = capabilities.max_buffer_bytes.saturating_sub(BINDING_ALIGN) / row.bytes().max(1);
        let most = (in_binding.min(in_buffer) as usize / ROW_GROUP * ROW_GROUP).max(ROW_GROUP);
        let shards =
            (0..rows).step_by(most).map(|first| Shard::new(label, format, cols, first, most.min(rows - first)));
        Self { format, rows, cols, shards: shards.collect() }
    }

    /// Checks that a device can bind every shard.
    ///
    /// # Errors
    /// [`Error::Adapter`] if eight rows exceed a binding.
    pub(crate) fn check_size(&self, gpu: &Gpu) -> Result<()> {
        let limit = gpu.capabilities().max_binding_bytes;
        match self.shards.iter().find(|shard| shard.quant_bytes > limit) {
            Some(Shard { buffer, quant_bytes, .. }) => Err(Error::Adapter {
                adapter: gpu.info().name.clone(),
                reason: format!(
                    "eight rows of {} have {quant_bytes} bytes, but a binding holds {limit}; choose smaller weights",
                    buffer.label()
                ),
            }),
            None => Ok(()),
        }
    }

    /// The format of its values.
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Groups of 32 columns per row, the last one padded.
    pub fn groups(&self) -> usize {
        self.cols.div_ceil(32)
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.buffer.bytes()).sum()
    }
}

impl Shard {
    fn new(label: &str, format: WeightFormat, cols: usize, first_row: usize, rows: usize) -> Self {
        let row = format.gpu_row(cols);
        let padded_rows = rows.next_multiple_of(ROW_GROUP) as u64;
        let quant_bytes = padded_rows * row.quant_bytes();
        let scales_at = quant_bytes.next_multiple_of(BINDING_ALIGN);
        let scale_bytes = padded_rows * row.scale_bytes();
        Self {
            first_row,
            rows,
            buffer: Buffer::new(label, scales_at + scale_bytes),
            quant_bytes,
            scales_at,
            scale_bytes,
        }
    }

    pub(crate) fn quants(&self) -> Slice {
        Slice { buffer: self.buffer.clone(), offset: 0, bytes: self.quant_bytes }
    }

    /// The scales. For formats without scales, the quants, because WebGPU requires every slot to be bound.
    pub(crate) fn scales(&self) -> Slice {
        match self.scale_bytes {
            0 => Slice { buffer: self.buffer.clone(), offset: 0, bytes: 16 },
            bytes => Slice { buffer: self.buffer.clone(), offset: self.scales_at, bytes },
        }
    }
}
