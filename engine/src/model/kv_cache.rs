//! The keys and values of every layer, at full length.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::ops::{CacheFormat, CacheLayer};

/// One [`CacheLayer`] per layer, all with the same capacity. The sequence counts the filled positions, so rewinding
/// costs nothing.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<CacheLayer>,
}

impl KvCache {
    /// Declares a cache for `capacity` positions.
    pub fn new(config: &Config, format: CacheFormat, capacity: usize) -> Self {
        let layer = || CacheLayer::new(format, config.num_kv_heads, capacity, config.head_dim);
        Self { layers: (0..config.num_layers).map(|_| layer()).collect() }
    }

    /// Checks that a device can bind each of its buffers.
    ///
    /// # Errors
    /// [`Error::Adapter`](crate::Error::Adapter) if not.
    pub fn check_size(&self, gpu: &Gpu) -> Result<()> {
        self.layers.iter().try_for_each(|layer| layer.check_size(gpu))
    }

    pub(crate) fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.layers.iter().flat_map(CacheLayer::buffers)
    }

    /// Copies all of another cache of the same shape. Both have memory.
    pub(crate) fn copy_from(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) {
        for (to, from) in self.layers.iter().zip(&other.layers) {
            to.copy_from(encoder, from);
        }
    }
}
