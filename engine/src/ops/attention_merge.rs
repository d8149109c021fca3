//! `wgsl/attention_merge.wesl`

use lapidary_shaders::kernels::attention_merge::{Bindings, KERNEL, MAX_SPLITS, Params, WIDTH};

use super::{Attention, Operand, u32_of};
use crate::gpu::{Buffer, Capabilities, Count, Grid, Recording, Slice};

/// The partial results of each split of the keys: `[heads, splits, head_dim + 4]`.
#[derive(Clone, Debug)]
pub struct Partials {
    buffer: Buffer,
    heads: usize,
    head_dim: usize,
    splits: usize,
}

impl Partials {
    /// Declares partial results for one token, with the keys of each KV head split over two or more workgroups.
    pub fn new(splits: usize, heads: usize, head_dim: usize) -> Self {
        assert!(splits > 1, "one split leaves nothing to merge");
        assert!(splits <= MAX_SPLITS as usize, "{splits} splits, but at most {MAX_SPLITS} can be merged");
        let bytes = 4 * (heads * splits * (head_dim + 4)) as u64;
        Self { buffer: Buffer::new("partials", bytes), heads, head_dim, splits }
    }

    /// The number of splits.
    pub fn splits(&self) -> usize {
        self.splits
    }

    /// Its buffer: per head and split `head_dim` sums, their maximum score, their total weight, and two words of padding, all
    /// f32.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice {
        (&self.buffer).into()
    }

    pub(crate) fn assert_shape(&self, heads: usize, head_dim: usize) {
        assert!((self.heads, self.head_dim) == (heads, head_dim), "room for {} heads of {}", self.heads, self.head_dim);
    }
}

/// The number of workgroups to split the keys of each KV head over in decode: enough to keep a device busy, and few
/// enough to merge quickly. 1 if one workgroup per KV head suffices.
pub fn attention_splits(capabilities: &Capabilities, kv_heads: usize) -> usize {
    match capabilities.software {
        false => MAX_SPLITS as usize,
        true if kv_heads >= capabilities.cores => 1,
        true => 8,
    }
}

/// Merges the partial results of [`attention_split`](super::attention_split).
///
/// `attention`: as there; `out`: `[1, heads · head_dim]`, as integers only if `head_dim` is a multiple of 32.
pub fn attention_merge(r: &mut Recording, attention: Attention, partials: &Partials, out: Operand<'_>) {
    let Attention { heads, head_dim, .. } = attention;
    partials.assert_shape(heads, head_dim);
    out.assert_cols("out", heads * head_dim);
    let params = Params {
        heads: u32_of(heads),
        head_dim4: u32_of(head_dim / 4),
        splits: u32_of(partials.splits),
        window: attention.window_or_all(),
    };
    assert!(params.head_dim4 <= WIDTH, "a head of {head_dim} values");
    let rounds = matches!(out, Operand::Int8(_));
    assert!(!rounds || head_dim.is_multiple_of(32), "a group of 32 would span two heads of {head_dim}");
    let bindings = Bindings { partials: partials.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Fixed(params.heads));
    r.dispatch(&KERNEL, out.flags(), params.words(), bindings.slots(), grid);
}
