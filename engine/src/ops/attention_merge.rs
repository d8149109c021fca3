//! `wgsl/attention_merge.wesl`

use lapidary_shaders::kernels::attention_merge::{Bindings, COLUMNS, KERNEL, MAX_SPLITS, Params, WIDTH};

use super::{Attention, Operand, Partials, u32_of};
use crate::gpu::{Capabilities, Count, Grid, Recording, stride_of};

/// Workgroups of attention that keep a GPU busy, of one sequence.
const WORKGROUPS: usize = 256;

/// The number of workgroups to split the keys of each KV head over in decode of one or more sequences: enough to keep a device
/// busy, and few enough to merge quickly. 1 if one workgroup per KV head suffices.
pub fn attention_splits(capabilities: &Capabilities, kv_heads: usize, sequences: usize) -> usize {
    match capabilities.software {
        false if sequences == 1 => (WORKGROUPS / kv_heads).clamp(16, MAX_SPLITS as usize),
        false => 32,
        true if kv_heads >= capabilities.cores && capabilities.broadcasts() => 1,
        true => 8,
    }
}

/// Merges the partial results of [`attention_split`](super::attention_split).
///
/// `attention`: as there; `out`: `[T, heads · head_dim]`, as integers only if `head_dim` is a multiple of 32.
pub fn attention_merge(r: &mut Recording, attention: Attention, partials: &Partials, out: Operand<'_>) {
    let Attention { heads, head_dim, .. } = attention;
    partials.assert_shape(heads, head_dim);
    out.assert_cols("out", heads * head_dim);
    let params = Params {
        heads: u32_of(heads),
        head_dim4: u32_of(head_dim / 4),
        splits: u32_of(partials.splits()),
        window: attention.window_or_all(),
        out_stride4: u32_of(stride_of(heads * head_dim) / 4),
    };
    assert!(params.head_dim4 <= COLUMNS, "a head of {head_dim} values");
    let rounds = matches!(out, Operand::Int8(_));
    assert!(!rounds || head_dim.is_multiple_of(32), "a group of 32 would span two heads of {head_dim}");
    let bindings = Bindings { partials: partials.slice(), out: out.slice() };
    let grid = Grid::Xy(Count::Tokens { per_token: params.heads, per_group: 1 }, Count::Fixed(1));
    let width = if r.capabilities().software { COLUMNS } else { WIDTH };
    r.dispatch_with(&KERNEL, out.flags(), &[("width", width)], params.words(), bindings.slots(), grid);
}
