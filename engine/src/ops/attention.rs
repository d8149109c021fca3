//! `wgsl/attention.wesl`

use lapidary_shaders::kernels::attention::{Bindings, KERNEL, Params};

use super::{CacheLayer, Partials, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Slice, Tensor};

/// The numbers of an [`attention`].
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Numbers in a head, a multiple of 4 up to 256.
    pub head_dim: usize,
    /// Keys a query sees, itself included; all where `None`.
    pub window: Option<usize>,
    /// `cap · tanh(score / cap)` where there is one.
    pub soft_cap: Option<f32>,
}

/// Causal attention of rotated, scaled queries over the cache, which holds the step's keys and values already.
///
/// `q`: `[T, heads · head_dim]`, or rows that begin with as many numbers; `out`: `[T, heads · head_dim]`.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn attention(
    r: &mut Recorder<'_>,
    attention: Attention,
    q: &Tensor,
    cache: &CacheLayer,
    out: &Tensor,
) -> Result<()> {
    assert_cols("out", out, attention.heads * attention.head_dim);
    let group = u32_of(attention.heads / attention.kv_heads);
    let blocks = Count::Tokens { per_token: group, per_group: 8 };
    let out_stride4 = u32_of(out.stride() / 4);
    dispatch(r, attention, q, cache, out.slice(), out_stride4, 1, blocks, &["rows_8"]).await
}

/// The same for a step of one token, shared by workgroups; [`attention_merge`](super::attention_merge) does the rest.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn attention_split(
    r: &mut Recorder<'_>,
    attention: Attention,
    q: &Tensor,
    cache: &CacheLayer,
    out: &Partials,
) -> Result<()> {
    out.assert_shape(attention.heads, attention.head_dim);
    let group = u32_of(attention.heads / attention.kv_heads);
    // Rows that share a load of keys and values: no more than there are.
    let (rows, feature) = match group {
        1 => (1, "rows_1"),
        2 => (2, "rows_2"),
        3 | 4 => (4, "rows_4"),
        _ => (8, "rows_8"),
    };
    let splits = u32_of(out.splits());
    let blocks = Count::Fixed(group.div_ceil(rows) * splits);
    dispatch(r, attention, q, cache, out.slice(), 0, splits, blocks, &["split", feature]).await
}

#[expect(clippy::too_many_arguments, reason = "what the two above differ in")]
async fn dispatch(
    r: &mut Recorder<'_>,
    attention: Attention,
    q: &Tensor,
    cache: &CacheLayer,
    out: Slice<'_>,
    out_stride4: u32,
    splits: u32,
    blocks: Count,
    flags: &[&'static str],
) -> Result<()> {
    let Attention { heads, kv_heads, head_dim, window, soft_cap } = attention;
    assert!(q.cols() >= heads * head_dim, "q has {} columns, not {}", q.cols(), heads * head_dim);
    assert!(head_dim % 4 == 0 && head_dim <= 256, "a head of {head_dim} numbers");
    let params = Params {
        heads: u32_of(heads),
        kv_heads: u32_of(kv_heads),
        head_dim4: u32_of(head_dim / 4),
        q_stride4: u32_of(q.stride() / 4),
        out_stride4,
        capacity: u32_of(cache.capacity()),
        window: u32_of(window.unwrap_or(cache.capacity()).min(cache.capacity())),
        soft_cap: soft_cap.unwrap_or(0.0),
        splits,
    };
    let bindings = Bindings { q: q.slice(), k_cache: cache.keys(), v_cache: cache.values(), out };
    let features = [&cache.features()[..], flags].concat();
    let grid = Grid::Xy(blocks, Count::Fixed(u32_of(kv_heads)));
    r.dispatch(&KERNEL, &features, params.words(), bindings.slots(), grid).await
}
