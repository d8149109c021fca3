//! The keys and values of every layer, at full length.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{CacheFormat, CacheLayer};

/// One [`CacheLayer`] a layer, all with room for the same number of positions. How many of them are filled is the session's
/// to know, so rewinding costs nothing.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) layers: Vec<CacheLayer>,
}

impl KvCache {
    /// An empty cache for `capacity` positions.
    ///
    /// # Errors
    /// The errors of [`CacheLayer::new`].
    pub async fn new(gpu: &Gpu, config: &Config, format: CacheFormat, capacity: usize) -> Result<Self> {
        let mut layers = Vec::with_capacity(config.num_layers);
        for _ in 0..config.num_layers {
            layers.push(CacheLayer::new(gpu, format, config.num_kv_heads, capacity, config.head_dim).await?);
        }
        Ok(Self { layers })
    }

    /// Bytes of a cache for `capacity` positions.
    pub fn bytes(config: &Config, format: CacheFormat, capacity: usize) -> u64 {
        2 * (config.num_layers * config.num_kv_heads * config.head_dim * format.bytes()) as u64 * capacity as u64
    }

    pub(crate) fn copy_from(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) {
        for (to, from) in self.layers.iter().zip(&other.layers) {
            to.copy_from(encoder, from);
        }
    }
}
