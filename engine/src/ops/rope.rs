//! `wgsl/rope.wesl`

use lapidary_shaders::kernels::rope::{Bindings, KERNEL, Params};

use super::{CacheLayer, assert_cols, u32_of};
use crate::gpu::{Count, Grid, Recording, Tensor};

/// The shape of a [`rope`].
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Values in a head.
    pub head_dim: usize,
    /// The factor of rotated queries.
    pub query_scale: f32,
    /// Epsilon of the norms of q and k. Not used without norm weights.
    pub eps: f32,
}

impl Rope {
    pub(crate) fn assert_shape(self, qkv: &Tensor, cos_sin: &Tensor, cache: &CacheLayer) {
        let Self { heads, kv_heads, head_dim, .. } = self;
        assert_cols("qkv", qkv, (heads + 2 * kv_heads) * head_dim);
        assert!(head_dim % 4 == 0 && head_dim <= 256, "a head of {head_dim} values");
        assert!(cos_sin.cols() >= cache.tables().context() * head_dim, "the table ends before the cache");
    }
}

/// Rotates queries in place and scales them, and writes rotated keys and values to the cache, from the step's position on of the
/// sequence in its slot.
///
/// `qkv`: `[T, (heads + 2 · kv_heads) · head_dim]`, queries, keys and values of a token side by side; `cos_sin`: from
/// [`cos_sin`]; `qk_weight`: `[1, 2 · head_dim]`, the norm weights of q and then of k, for models that norm them.
pub fn rope(
    r: &mut Recording,
    rope: Rope,
    qkv: &Tensor,
    cos_sin: &Tensor,
    qk_weight: Option<&Tensor>,
    cache: &CacheLayer,
) {
    let Rope { heads, kv_heads, head_dim, query_scale, eps } = rope;
    rope.assert_shape(qkv, cos_sin, cache);
    let params = Params {
        heads: u32_of(heads),
        kv_heads: u32_of(kv_heads),
        head_dim: u32_of(head_dim),
        stride: u32_of(qkv.stride()),
        table_len: cache.table_len(),
        query_scale,
        eps,
    };
    let bindings = Bindings {
        qkv: qkv.slice(),
        cos_sin: cos_sin.slice(),
        // Without a norm the kernel does not read its weights, but WebGPU requires every slot to be bound.
        qk_weight: qk_weight.unwrap_or(cos_sin).slice(),
        k_cache: cache.keys(),
        v_cache: cache.values(),
        pages: cache.pages(),
    };
    let norm: &[_] = if qk_weight.is_some() { &["qk_norm"] } else { &[] };
    let features = [cache.features(), norm].concat();
    let grid = Grid::Xy(Count::Fixed(u32_of(heads + 2 * kv_heads)), Count::EACH_TOKEN);
    r.dispatch(&KERNEL, &features, params.words(), bindings.slots(), grid);
}

/// `(cos, sin)` of `position / position_scale · theta^(-2i / head_dim)` for every position and `i < head_dim / 2`:
/// `[1, positions · head_dim]` values, of which [`rope_table`] declares the tensor.
///
/// The frequency and the angle are rounded to f32 as in Hugging Face's implementation, so that large positions agree
/// with it. Sine and cosine are exact.
pub fn cos_sin(positions: usize, head_dim: usize, theta: f32, position_scale: f32) -> Vec<f32> {
    let frequencies: Vec<f32> = (0..head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            (1.0 / f64::from(theta).powf(f64::from(exponent))) as f32 / position_scale
        })
        .collect();
    (0..positions)
        .flat_map(|position| {
            frequencies.iter().flat_map(move |frequency| {
                let angle = f64::from(position as f32 * frequency);
                [angle.cos() as f32, angle.sin() as f32]
            })
        })
        .collect()
}

/// Declares a tensor for the angles of this many positions; fill it with [`cos_sin`].
pub fn rope_table(positions: usize, head_dim: usize) -> Tensor {
    Tensor::new("cos_sin", 1, positions * head_dim)
}
