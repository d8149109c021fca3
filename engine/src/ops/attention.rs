//! `wgsl/attention.wesl`

use lapidary_shaders::kernels::attention::{Bindings, KERNEL, Params};

use super::{CacheLayer, assert_cols, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Grid, Recorder, Tensor};

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
    /// Whether the step has one token (decode); then rows are the heads of a group and no more.
    pub one_token: bool,
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
    let Attention { heads, kv_heads, head_dim, window, soft_cap, one_token } = attention;
    assert!(q.cols() >= heads * head_dim, "q has {} columns, not {}", q.cols(), heads * head_dim);
    assert_cols("out", out, heads * head_dim);
    assert!(head_dim % 4 == 0 && head_dim <= 256, "a head of {head_dim} numbers");
    let group = u32_of(heads / kv_heads);
    // Rows that share a load of keys and values. In decode, no more than there are.
    let (rows, feature) = match if one_token { group } else { 8 } {
        1 => (1, "rows_1"),
        2 => (2, "rows_2"),
        3 | 4 => (4, "rows_4"),
        _ => (8, "rows_8"),
    };
    let params = Params {
        heads: u32_of(heads),
        kv_heads: u32_of(kv_heads),
        head_dim4: u32_of(head_dim / 4),
        q_stride4: u32_of(q.stride() / 4),
        out_stride4: u32_of(out.stride() / 4),
        capacity: u32_of(cache.capacity()),
        window: u32_of(window.unwrap_or(cache.capacity()).min(cache.capacity())),
        soft_cap: soft_cap.unwrap_or(0.0),
    };
    let bindings = Bindings { q: q.slice(), k_cache: cache.keys(), v_cache: cache.values(), out: out.slice() };
    let mut features = cache.features();
    features.push(feature);
    let grid = Grid::Xy(Count::Tokens { per_token: group, per_group: rows }, Count::Fixed(u32_of(kv_heads)));
    r.dispatch(&KERNEL, &features, params.words(), bindings.slots(), grid).await
}
