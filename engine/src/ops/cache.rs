//! Keys and values of one layer, and the page tables of the sequences that share them: `wgsl/lib/cache.wesl` and
//! `wgsl/lib/pages.wesl`.

use lapidary_shaders::kernels::attention::TILE;

use super::u32_of;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Slice};

/// Positions per page of the KV cache: a tile of attention's loop over keys, so that a tile is in one page.
pub const PAGE: usize = TILE as usize;

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

/// The page tables of sequences: which page of the cache holds each [`PAGE`] positions of a sequence.
#[derive(Clone, Debug)]
pub struct PageTables {
    buffer: Buffer,
    context: usize,
    pages: usize,
}

impl PageTables {
    /// Declares the tables of `slots` sequences of up to `context` positions, over a cache of `pages` pages.
    pub fn new(slots: usize, context: usize, pages: usize) -> Self {
        let buffer = Buffer::new("page tables", 4 * (slots * context.div_ceil(PAGE)) as u64);
        Self { buffer, context, pages }
    }

    /// Its buffer: `[slots, table_len]` page numbers, 4 bytes each.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Entries per sequence.
    pub fn table_len(&self) -> usize {
        self.context.div_ceil(PAGE)
    }

    /// The most positions of a sequence.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Pages of the cache.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Writes page numbers into a sequence's table, from entry `first` on. The buffer has memory.
    pub fn write(&self, gpu: &Gpu, slot: usize, first: usize, pages: &[u32]) {
        gpu.write(&self.buffer, 4 * (slot * self.table_len() + first) as u64, bytemuck::cast_slice(pages));
    }
}

/// Keys and values of one layer, each `[pages, kv_heads, PAGE, head_dim]`.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    keys: Buffer,
    values: Buffer,
    format: CacheFormat,
    tables: PageTables,
}

impl CacheLayer {
    /// Declares the cache of a layer.
    pub fn new(format: CacheFormat, kv_heads: usize, head_dim: usize, tables: &PageTables) -> Self {
        // A number of pages that no device has must not wrap.
        let page = (kv_heads * PAGE * head_dim * format.bytes()) as u64;
        let bytes = page.saturating_mul(tables.pages() as u64).min(u64::MAX - 16);
        let (keys, values) = (Buffer::new("keys", bytes), Buffer::new("values", bytes));
        Self { keys, values, format, tables: tables.clone() }
    }

    /// Checks that a device can bind it. Call this before the weights are uploaded.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the keys exceed a binding.
    pub fn check_size(&self, gpu: &Gpu) -> Result<()> {
        let (bytes, limit) = (self.keys.bytes(), gpu.capabilities().max_binding_bytes);
        if bytes > limit {
            let reason = format!(
                "a cache for {} tokens needs {bytes} bytes for the keys of a layer, but a binding holds {limit}; \
                 choose a shorter context or fewer tokens for all sequences together",
                self.tables.pages().saturating_mul(PAGE)
            );
            return Err(Error::Adapter { adapter: gpu.info().name.clone(), reason });
        }
        Ok(())
    }

    /// Its buffers, keys first.
    pub fn buffers(&self) -> [&Buffer; 2] {
        [&self.keys, &self.values]
    }

    /// The page tables of its sequences.
    pub fn tables(&self) -> &PageTables {
        &self.tables
    }

    pub(crate) fn table_len(&self) -> u32 {
        u32_of(self.tables.table_len())
    }

    pub(crate) fn keys(&self) -> Slice {
        (&self.keys).into()
    }

    pub(crate) fn values(&self) -> Slice {
        (&self.values).into()
    }

    pub(crate) fn pages(&self) -> Slice {
        (&self.tables.buffer).into()
    }

    /// The format of the numbers.
    pub(crate) fn format(&self) -> CacheFormat {
        self.format
    }

    /// The shader flags of the format.
    pub(crate) fn features(&self) -> &'static [&'static str] {
        match self.format {
            CacheFormat::F32 => &[],
            CacheFormat::F16 => &["kv_f16"],
        }
    }

    /// Copies `count` pages of another layer of the same shape, from page `first` on, to this layer's pages from `to` on. All have
    /// memory.
    pub(crate) fn copy_pages(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        other: &Self,
        first: u32,
        to: u32,
        count: usize,
    ) {
        let page = self.page_bytes();
        for (source, target) in other.buffers().into_iter().zip(self.buffers()) {
            let (at, to) = (u64::from(first) * page, u64::from(to) * page);
            encoder.copy_buffer_to_buffer(source.memory(), at, target.memory(), to, count as u64 * page);
        }
    }

    /// Copies a page of this layer to another one of it, through `scratch`, which holds a page: WebGPU copies between different
    /// buffers only.
    pub(crate) fn duplicate_page(&self, encoder: &mut wgpu::CommandEncoder, from: u32, to: u32, scratch: &Buffer) {
        let page = self.page_bytes();
        for buffer in self.buffers().map(Buffer::memory) {
            encoder.copy_buffer_to_buffer(buffer, u64::from(from) * page, scratch.memory(), 0, page);
            encoder.copy_buffer_to_buffer(scratch.memory(), 0, buffer, u64::from(to) * page, page);
        }
    }

    /// Bytes of the keys of a page.
    pub(crate) fn page_bytes(&self) -> u64 {
        self.keys.bytes() / self.tables.pages as u64
    }
}
