//! `wgsl/attention.wesl`, `wgsl/attention_coop.wesl` and `wgsl/attention_decode.wesl`

use lapidary_shaders::kernels::attention::{Bindings, KERNEL, Params};
use lapidary_shaders::kernels::attention_merge::MAX_SPLITS;
use lapidary_shaders::kernels::{attention_coop, attention_decode};

use super::ways::workgroup_bytes;
use super::{CacheFormat, CacheLayer, Operand, Rope, Rounding, assert_cols, u32_of};
use crate::gpu::{Buffer, Capabilities, Count, Grid, Recording, Slice, Tensor, stride_of};

/// The shape of an [`attention`].
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Values in a head, a multiple of 8 up to 256.
    pub head_dim: usize,
    /// Keys that a query attends to, its own included; all if `None`.
    pub window: Option<usize>,
    /// Scores become `cap · tanh(score / cap)`; unchanged if `None`.
    pub soft_cap: Option<f32>,
}

/// Causal attention of rotated, scaled queries of one sequence over the cache, which already holds the step's keys and values.
///
/// `q`: `[T, heads · head_dim]` or wider, the queries first; `out`: `[T, heads · head_dim]`. `rounding`: that of the products
/// with weights. With [`Rounding::F16`], queries and the weights of keys are rounded to f16 too, and cooperative matrices
/// multiply them where [they can](Attention::fits_matrices).
pub fn attention(
    r: &mut Recording,
    attention: Attention,
    q: &Tensor,
    cache: &CacheLayer,
    out: &Tensor,
    rounding: Rounding,
) {
    assert_cols("out", out, attention.heads * attention.head_dim);
    assert!(q.cols() >= attention.heads * attention.head_dim, "q has {} columns, too few", q.cols());
    if rounding == Rounding::F16 && attention.fits_matrices(cache.format(), r.capabilities()) {
        return attention_on_matrices(r, attention, q, cache, out);
    }
    let params = Params { out_stride4: u32_of(out.stride() / 4), splits: 1, ..attention.params(q, cache) };
    let group = u32_of(attention.heads / attention.kv_heads);
    let blocks = Count::Tokens { per_token: group, per_group: 8 };
    // Only `split` reads the last two, but WebGPU requires every slot to be bound.
    let bindings = Bindings {
        q: q.slice(),
        k_cache: cache.keys(),
        v_cache: cache.values(),
        pages: cache.pages(),
        out: out.slice(),
        cos_sin: q.slice(),
        qk_weight: q.slice(),
    };
    let features = [cache.features(), &["rows_8"]].concat();
    let grid = Grid::Xy(blocks, Count::Fixed(params.kv_heads));
    r.dispatch(&KERNEL, &features, params.words(), bindings.slots(), grid);
}

fn attention_on_matrices(r: &mut Recording, attention: Attention, q: &Tensor, cache: &CacheLayer, out: &Tensor) {
    let Attention { heads, kv_heads, head_dim, soft_cap, .. } = attention;
    let params = attention_coop::Params {
        heads: u32_of(heads),
        kv_heads: u32_of(kv_heads),
        head_dim: u32_of(head_dim),
        q_stride4: u32_of(q.stride() / 4),
        out_stride: u32_of(out.stride()),
        table_len: cache.table_len(),
        window: attention.window_or_all(),
        soft_cap: soft_cap.unwrap_or(0.0),
    };
    let bindings = attention_coop::Bindings {
        q: q.slice(),
        k_cache: cache.keys(),
        v_cache: cache.values(),
        pages: cache.pages(),
        out: out.slice(),
    };
    // Rows of two matrices.
    let rows = 2 * r.capabilities().cooperative_size.unwrap_or(8);
    let blocks = Count::Tokens { per_token: u32_of(heads / kv_heads), per_group: rows };
    let grid = Grid::Xy(blocks, Count::Fixed(params.kv_heads));
    let constants = r.capabilities().coop_constants();
    r.dispatch_with(&attention_coop::KERNEL, &[], &constants, params.words(), bindings.slots(), grid);
}

/// The partial results of each split of the keys: `[T, heads, splits, head_dim + 4]`.
#[derive(Clone, Debug)]
pub struct Partials {
    buffer: Buffer,
    heads: usize,
    head_dim: usize,
    splits: usize,
}

impl Partials {
    /// Declares partial results for `tokens` tokens, with the keys of each KV head split over two or more workgroups.
    pub fn new(tokens: usize, splits: usize, heads: usize, head_dim: usize) -> Self {
        assert!(splits > 1, "one split leaves nothing to merge");
        assert!(splits <= MAX_SPLITS as usize, "{splits} splits, but at most {MAX_SPLITS} can be merged");
        let bytes = 4 * (tokens * heads * splits * (head_dim + 4)) as u64;
        Self { buffer: Buffer::new("partials", bytes), heads, head_dim, splits }
    }

    /// The number of splits.
    pub fn splits(&self) -> usize {
        self.splits
    }

    /// Its buffer: per token, head and split `head_dim` sums, their maximum score, their total weight, and two words of padding,
    /// all f32.
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

/// How [`attention_split`] splits the keys of a KV head over workgroups.
#[derive(Clone, Copy, Debug)]
pub enum KeySplits<'a> {
    /// No split, only where subgroups [broadcast](crate::gpu::Capabilities::broadcasts). One workgroup takes all keys and writes
    /// the result, `[T, heads · head_dim]`; as integers only if `head_dim` is a multiple of 32.
    One(Operand<'a>),
    /// Each workgroup writes a partial result; [`attention_merge`](super::attention_merge) merges them.
    Many(&'a Partials),
}

/// [`rope`](super::rope) and attention in one dispatch, for one token of each of T sequences: those of the step's `places`, or with
/// T = 1 the sequence in the step's slot at the step's position.
///
/// `qkv`, `cos_sin` and `qk_weight` as for [`rope`](super::rope), except that `qkv` is not changed.
#[expect(clippy::too_many_arguments, reason = "it fuses two kernels")]
pub fn attention_split(
    r: &mut Recording,
    attention: Attention,
    rope: Rope,
    qkv: &Tensor,
    cos_sin: &Tensor,
    qk_weight: Option<&Tensor>,
    cache: &CacheLayer,
    splits: KeySplits<'_>,
) {
    let Attention { heads, kv_heads, head_dim, .. } = attention;
    rope.assert_shape(qkv, cos_sin, cache);
    assert!((rope.heads, rope.kv_heads, rope.head_dim) == (heads, kv_heads, head_dim), "{rope:?}, but {attention:?}");
    let (out, split_count, rounded) = match splits {
        KeySplits::One(out) => {
            out.assert_cols("out", heads * head_dim);
            let rounded = matches!(out, Operand::Int8(_));
            assert!(!rounded || head_dim.is_multiple_of(32), "a group of 32 would span two heads of {head_dim}");
            (out.slice(), 1, rounded)
        }
        KeySplits::Many(partials) => {
            partials.assert_shape(heads, head_dim);
            (partials.slice(), partials.splits(), false)
        }
    };
    let group = u32_of(heads / kv_heads);
    // Only the kernel that broadcasts needs no merge.
    let broadcasts = r.capabilities().broadcasts();
    assert!(broadcasts || split_count > 1, "the device's kernel always splits the keys");
    // The number of query heads that share a load of keys and values.
    let (rows, feature) = match group {
        1 => (1, "rows_1"),
        2 => (2, "rows_2"),
        3 | 4 => (4, "rows_4"),
        _ if broadcasts => (8, "rows_8"),
        _ => (4, "rows_4"),
    };
    let params = Params {
        out_stride4: u32_of(stride_of(heads * head_dim) / 4),
        splits: u32_of(split_count),
        rounded: u32::from(rounded),
        query_scale: rope.query_scale,
        qk_norm: u32::from(qk_weight.is_some()),
        eps: rope.eps,
        ..attention.params(qkv, cache)
    };
    let bindings = Bindings {
        q: qkv.slice(),
        k_cache: cache.keys(),
        v_cache: cache.values(),
        pages: cache.pages(),
        out,
        cos_sin: cos_sin.slice(),
        qk_weight: qk_weight.unwrap_or(cos_sin).slice(),
    };
    let features = [cache.features(), &["split", feature]].concat();
    let blocks = Count::Tokens { per_token: group.div_ceil(rows) * params.splits, per_group: 1 };
    let grid = Grid::Xy(blocks, Count::Fixed(params.kv_heads));
    let kernel = if broadcasts { &KERNEL } else { &attention_decode::KERNEL };
    r.dispatch(kernel, &features, params.words(), bindings.slots(), grid);
}

impl Attention {
    /// Whether cooperative matrices can compute it on a device, over a cache of this format. Those of a software adapter are slower
    /// than its vectors: with them, lavapipe of Mesa 26 takes twice as long for a prompt of 512 tokens of the 270M.
    pub fn fits_matrices(self, cache: CacheFormat, device: &Capabilities) -> bool {
        // Each subgroup needs room for a matrix in workgroup memory.
        let has_room = match device.cooperative_size {
            Some(8) => device.subgroups,
            Some(_) => device.wide_subgroups,
            None => false,
        };
        !device.software
            && cache == CacheFormat::F16
            && self.head_dim.is_multiple_of(16)
            && self.head_dim <= 256
            && has_room
            && workgroup_bytes(&attention_coop::KERNEL, &[], device)
                .is_some_and(|bytes| bytes <= device.max_workgroup_bytes)
    }

    /// The window, or without one a number above any position, to which kernels can still add a position.
    pub(super) fn window_or_all(self) -> u32 {
        const ALL: u32 = 1 << 30;
        self.window.map_or(ALL, |window| u32_of(window).min(ALL))
    }

    /// The parameters of `attention` and `attention_decode`, checked.
    fn params(self, q: &Tensor, cache: &CacheLayer) -> Params {
        let Self { heads, kv_heads, head_dim, soft_cap, .. } = self;
        assert!(head_dim % 8 == 0 && head_dim <= 256, "a head of {head_dim} values");
        Params {
            heads: u32_of(heads),
            kv_heads: u32_of(kv_heads),
            head_dim4: u32_of(head_dim / 4),
            q_stride4: u32_of(q.stride() / 4),
            table_len: cache.table_len(),
            window: self.window_or_all(),
            soft_cap: soft_cap.unwrap_or(0.0),
            ..Params::default()
        }
    }
}
