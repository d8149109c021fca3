//! The device buffers of one sequence of tokens.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::ops::{CacheFormat, CacheLayer, TokenSink};

/// The buffers of one sequence: everything that a forward pass writes and a later one reads.
#[derive(Debug)]
pub struct SequenceState {
    /// Keys and values of each layer, all with the same capacity. The sequence counts the filled positions, so rewinding costs
    /// nothing.
    pub cache: Vec<CacheLayer>,
    /// The newest token, and the tokens that the repetition penalty applies to.
    pub sink: TokenSink,
}

impl SequenceState {
    /// Declares the buffers of an empty sequence with room for `capacity` positions.
    pub fn new(config: &Config, format: CacheFormat, capacity: usize) -> Self {
        let layer = || CacheLayer::new(format, config.num_kv_heads, capacity, config.head_dim);
        Self { cache: (0..config.num_layers).map(|_| layer()).collect(), sink: TokenSink::new(config.vocab_size) }
    }

    /// Checks that a device can bind each of its buffers.
    ///
    /// # Errors
    /// [`Error::Adapter`](crate::Error::Adapter) if not.
    pub fn check_size(&self, gpu: &Gpu) -> Result<()> {
        self.cache.iter().try_for_each(|layer| layer.check_size(gpu))
    }

    /// Allocates all of its buffers.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn allocate(&self, gpu: &Gpu) -> Result<()> {
        for buffer in self.buffers() {
            gpu.allocate(buffer).await?;
        }
        Ok(())
    }

    /// Copies the keys and values of another sequence of the same shape. Both have memory.
    pub(crate) fn copy_cache(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) {
        for (to, from) in self.cache.iter().zip(&other.cache) {
            to.copy_from(encoder, from);
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.buffers().map(Buffer::bytes).sum()
    }

    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.cache.iter().flat_map(CacheLayer::buffers).chain(self.sink.buffers())
    }
}
