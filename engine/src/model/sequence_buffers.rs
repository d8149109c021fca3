//! The device buffers of the sequences of a runner.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::ops::{CacheFormat, CacheLayer, PAGE, PageTables, TokenSink};

/// How many sequences share a runner, and how long they can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Sequences.
    pub slots: usize,
    /// The most tokens of one sequence.
    pub context: usize,
    /// Pages of the KV cache, of [`PAGE`] tokens each, for all sequences together.
    pub pages: usize,
}

impl Capacity {
    /// One sequence.
    pub fn for_one(context: usize) -> Self {
        Self { slots: 1, context, pages: context.div_ceil(PAGE) }
    }
}

/// The buffers of sequences: everything that a forward pass writes and a later one reads. Each sequence has a slot, and pages of
/// the cache as it grows.
#[derive(Debug)]
pub struct SequenceBuffers {
    /// Keys and values of each layer. The sequence counts the filled positions, so rewinding costs nothing.
    pub cache: Vec<CacheLayer>,
    /// The pages of each sequence.
    pub tables: PageTables,
    /// The newest token of each sequence, and the tokens that the repetition penalty applies to.
    pub sink: TokenSink,
    /// A page of a layer, on its way to another page.
    scratch: Buffer,
}

impl SequenceBuffers {
    /// Declares the buffers of empty sequences.
    pub fn new(config: &Config, format: CacheFormat, capacity: Capacity) -> Self {
        let tables = PageTables::new(capacity.slots, capacity.context, capacity.pages);
        let layer = || CacheLayer::new(format, config.num_kv_heads, config.head_dim, &tables);
        let cache: Vec<CacheLayer> = (0..config.num_layers).map(|_| layer()).collect();
        let scratch = Buffer::new("page", cache.first().map_or(0, CacheLayer::page_bytes));
        Self { cache, sink: TokenSink::new(config.vocab_size, capacity.slots), tables, scratch }
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

    /// Copies a page to another one.
    pub(crate) fn duplicate_page(&self, encoder: &mut wgpu::CommandEncoder, from: u32, to: u32) {
        self.cache.iter().for_each(|layer| layer.duplicate_page(encoder, from, to, &self.scratch));
    }

    /// Copies pages of the buffers of another runner of the same model, `from[i]` to `to[i]`. Both have memory.
    pub(crate) fn copy_pages(&self, encoder: &mut wgpu::CommandEncoder, other: &Self, from: &[u32], to: &[u32]) {
        let mut i = 0;
        while i < from.len() {
            // Neighbouring pages are one copy.
            let run =
                (i + 1..from.len()).take_while(|&j| from[j] == from[j - 1] + 1 && to[j] == to[j - 1] + 1).count() + 1;
            for (target, source) in self.cache.iter().zip(&other.cache) {
                target.copy_pages(encoder, source, from[i], to[i], run);
            }
            i += run;
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.buffers().map(Buffer::bytes).sum()
    }

    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        let cache = self.cache.iter().flat_map(CacheLayer::buffers);
        cache.chain([self.tables.buffer(), &self.scratch]).chain(self.sink.buffers())
    }
}
