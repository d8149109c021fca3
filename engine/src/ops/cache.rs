//! Keys and values of one layer: what `wgsl/lib/cache.wesl` reads and writes.

use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Slice};

/// The format of the values in the KV cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheFormat {
    /// f32: as exact as the computation.
    F32,
    /// f16: half the memory and bandwidth.
    #[default]
    F16,
}

impl CacheFormat {
    /// Bytes per value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Keys and values of one layer, each `[kv_heads, capacity, head_dim]`.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    keys: Buffer,
    values: Buffer,
    format: CacheFormat,
    capacity: usize,
}

impl CacheLayer {
    /// Declares a cache for `capacity` positions.
    pub fn new(format: CacheFormat, kv_heads: usize, capacity: usize, head_dim: usize) -> Self {
        let bytes = (kv_heads * capacity * head_dim * format.bytes()) as u64;
        Self { keys: Buffer::new("keys", bytes), values: Buffer::new("values", bytes), format, capacity }
    }

    /// Checks that a device can bind it. Call this before the weights are uploaded.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the keys exceed a binding.
    pub fn check_size(&self, gpu: &Gpu) -> Result<()> {
        let (bytes, limit) = (self.keys.bytes(), gpu.capabilities().max_binding_bytes);
        if bytes > limit {
            let reason = format!(
                "a context of {} tokens needs {bytes} bytes for the keys of a layer, but a binding holds {limit}; \
                 choose a shorter context",
                self.capacity
            );
            return Err(Error::Adapter { adapter: gpu.info().name.clone(), reason });
        }
        Ok(())
    }

    /// Its buffers, keys first.
    pub fn buffers(&self) -> [&Buffer; 2] {
        [&self.keys, &self.values]
    }

    /// The most positions that it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn keys(&self) -> Slice {
        (&self.keys).into()
    }

    pub(crate) fn values(&self) -> Slice {
        (&self.values).into()
    }

    /// The shader flags of the format.
    pub(crate) fn features(&self) -> &'static [&'static str] {
        match self.format {
            CacheFormat::F32 => &[],
            CacheFormat::F16 => &["kv_f16"],
        }
    }

    /// Copies all of another layer of the same shape. Both have memory.
    pub(crate) fn copy_from(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) {
        for (from, to) in other.buffers().into_iter().zip(self.buffers()) {
            encoder.copy_buffer_to_buffer(from.memory(), 0, to.memory(), 0, to.bytes());
        }
    }
}
