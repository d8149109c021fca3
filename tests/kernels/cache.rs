//! A KV cache whose pages are not in the order of positions.

use std::ops::Range;

use lapidary_engine::Gpu;
use lapidary_engine::gpu::Buffer;
use lapidary_engine::ops::{CacheFormat, CacheLayer, PAGE, PageTables};
use lapidary_tests::*;

/// A layer's cache for sequences, each with room for `context` positions.
pub(crate) struct Cache {
    pub(crate) layer: CacheLayer,
    format: CacheFormat,
    kv_heads: usize,
    head_dim: usize,
    slots: usize,
}

impl Cache {
    pub(crate) fn new(
        gpu: &Gpu,
        format: CacheFormat,
        kv_heads: usize,
        head_dim: usize,
        slots: usize,
        context: usize,
    ) -> Self {
        let table_len = context.div_ceil(PAGE);
        let tables = PageTables::new(slots, context, slots * table_len);
        let layer = CacheLayer::new(format, kv_heads, head_dim, &tables);
        block_on(gpu.allocate(tables.buffer())).unwrap();
        let cache = Self { layer, format, kv_heads, head_dim, slots };
        for slot in 0..slots {
            let pages: Vec<u32> = (0..table_len).map(|tile| cache.page(slot, tile) as u32).collect();
            tables.write(gpu, slot, 0, &pages);
        }
        cache
    }

    /// The pages of a sequence are apart, and the last ones come first.
    fn page(&self, slot: usize, tile: usize) -> usize {
        (self.layer.tables().table_len() - 1 - tile) * self.slots + slot
    }

    /// The keys of a sequence's positions, as `[positions, kv_heads * head_dim]`. Asserts that everything else of the sequence is
    /// zero.
    pub(crate) fn keys(&self, gpu: &Gpu, slot: usize, positions: Range<usize>) -> Vec<f32> {
        self.rows(gpu, self.layer.buffers()[0], slot, positions)
    }

    /// The same of the values.
    pub(crate) fn values(&self, gpu: &Gpu, slot: usize, positions: Range<usize>) -> Vec<f32> {
        self.rows(gpu, self.layer.buffers()[1], slot, positions)
    }

    fn rows(&self, gpu: &Gpu, buffer: &Buffer, slot: usize, positions: Range<usize>) -> Vec<f32> {
        let bytes = block_on(gpu.read(buffer, buffer.bytes())).unwrap();
        let numbers: Vec<f32> = match self.format {
            CacheFormat::F32 => bytemuck::pod_collect_to_vec(&bytes),
            CacheFormat::F16 => {
                bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
        };
        let mut rows = Vec::new();
        for position in 0..self.layer.tables().table_len() * PAGE {
            for head in 0..self.kv_heads {
                let page = self.page(slot, position / PAGE);
                let row = (page * self.kv_heads + head) * PAGE + position % PAGE;
                let row = &numbers[row * self.head_dim..][..self.head_dim];
                if positions.contains(&position) {
                    rows.extend_from_slice(row);
                } else {
                    assert!(
                        row.iter().all(|value| *value == 0.0),
                        "wrote position {position}, which is not the step's"
                    );
                }
            }
        }
        rows
    }
}
