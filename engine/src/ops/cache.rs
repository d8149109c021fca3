//! Keys and values of one layer: what `wgsl/lib/cache.wesl` reads and writes.

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Slice};

/// How the cache stores a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheFormat {
    /// f32: as exact as the computation.
    F32,
    /// f16: half the memory and bandwidth.
    #[default]
    F16,
}

impl CacheFormat {
    /// Bytes a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Keys and values of one layer, each `[kv_heads, capacity, head_dim]`.
#[derive(Debug)]
pub struct CacheLayer {
    keys: wgpu::Buffer,
    values: wgpu::Buffer,
    format: CacheFormat,
    capacity: usize,
}

impl CacheLayer {
    /// An empty cache for `capacity` positions.
    ///
    /// # Errors
    /// [`Error::Adapter`] if a layer's keys exceed a binding, and the errors of buffers.
    pub async fn new(
        gpu: &Gpu,
        format: CacheFormat,
        kv_heads: usize,
        capacity: usize,
        head_dim: usize,
    ) -> Result<Self> {
        let bytes = Self::check_size(gpu, format, kv_heads, capacity, head_dim)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        Ok(Self {
            keys: gpu.buffer("keys", bytes, usage).await?,
            values: gpu.buffer("values", bytes, usage).await?,
            format,
            capacity,
        })
    }

    /// Bytes of a layer's keys, which its values take once more; to be asked before a model is loaded for nothing.
    ///
    /// # Errors
    /// [`Error::Adapter`] if they exceed a binding.
    pub fn check_size(
        gpu: &Gpu,
        format: CacheFormat,
        kv_heads: usize,
        capacity: usize,
        head_dim: usize,
    ) -> Result<u64> {
        let bytes = (kv_heads * capacity * head_dim * format.bytes()) as u64;
        let limit = gpu.capabilities().max_binding_bytes;
        if bytes > limit {
            let reason = format!(
                "a context of {capacity} tokens needs {bytes} bytes for the keys of a layer, but a binding holds {limit}; \
                 choose a shorter context"
            );
            return Err(Error::Adapter { adapter: gpu.info().name.clone(), reason });
        }
        Ok(bytes)
    }

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The keys' buffer.
    pub fn key_buffer(&self) -> &wgpu::Buffer {
        &self.keys
    }

    /// The values' buffer.
    pub fn value_buffer(&self) -> &wgpu::Buffer {
        &self.values
    }

    pub(crate) fn keys(&self) -> Slice<'_> {
        Slice::all(&self.keys)
    }

    pub(crate) fn values(&self) -> Slice<'_> {
        Slice::all(&self.values)
    }

    /// The shader flags of the format.
    pub(crate) fn features(&self) -> Vec<&'static str> {
        match self.format {
            CacheFormat::F32 => Vec::new(),
            CacheFormat::F16 => vec!["kv_f16"],
        }
    }

    /// Copies all of another layer of the same shape.
    pub(crate) fn copy_from(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) {
        encoder.copy_buffer_to_buffer(&other.keys, 0, &self.keys, 0, self.keys.size());
        encoder.copy_buffer_to_buffer(&other.values, 0, &self.values, 0, self.values.size());
    }
}
