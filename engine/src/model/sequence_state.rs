//! The device buffers of one sequence of tokens.

use super::KvCache;
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::ops::{CacheFormat, TokenSink};

/// The buffers of one sequence: everything that a forward pass writes and a later one reads.
#[derive(Debug)]
pub struct SequenceState {
    /// Keys and values.
    pub cache: KvCache,
    /// The newest token, and the tokens that the repetition penalty applies to.
    pub sink: TokenSink,
}

impl SequenceState {
    /// Declares the buffers of an empty sequence with room for `capacity` positions.
    pub fn new(config: &Config, format: CacheFormat, capacity: usize) -> Self {
        Self { cache: KvCache::new(config, format, capacity), sink: TokenSink::new(config.vocab_size) }
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

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.buffers().map(Buffer::bytes).sum()
    }

    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.cache.buffers().chain(self.sink.buffers())
    }
}
