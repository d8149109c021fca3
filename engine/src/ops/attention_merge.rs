//! `wgsl/attention_merge.wesl`

use lapidary_shaders::kernels::attention_merge::{
    Bindings, FLOAT_VEC4S_PER_WORKGROUP, INT8_GROUPS_PER_WORKGROUP, KERNEL, Params,
};

use super::{Attention, Factor, u32_of};
use crate::error::Result;
use crate::gpu::{Count, Gpu, Grid, Recorder, Slice};

/// What workgroups found in their shares of the keys: `[heads, splits, head_dim + 4]`.
#[derive(Clone, Debug)]
pub struct Partials {
    buffer: wgpu::Buffer,
    heads: usize,
    head_dim: usize,
    splits: usize,
}

impl Partials {
    /// Room for a token's heads, whose keys this many workgroups share: two or more.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu, splits: usize, heads: usize, head_dim: usize) -> Result<Self> {
        assert!(splits > 1, "a workgroup that shares with nobody leaves nothing to merge");
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let bytes = 4 * (heads * splits * (head_dim + 4)) as u64;
        Ok(Self { buffer: gpu.buffer("partials", bytes, usage).await?, heads, head_dim, splits })
    }

    /// Shares of the keys.
    pub fn splits(&self) -> usize {
        self.splits
    }

    /// Its buffer: for every head and share `head_dim` sums, their maximum score, their total weight, and two words of
    /// padding, all f32.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice<'_> {
        Slice::all(&self.buffer)
    }

    pub(crate) fn assert_shape(&self, heads: usize, head_dim: usize) {
        assert!((self.heads, self.head_dim) == (heads, head_dim), "room for {} heads of {}", self.heads, self.head_dim);
    }
}

/// One result from the shares of [`attention_split`](super::attention_split).
///
/// `attention`: as there; `out`: `[1, heads · head_dim]`; as integers only where `head_dim` is a multiple of 32.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn attention_merge(
    r: &mut Recorder<'_>,
    attention: Attention,
    partials: &Partials,
    out: Factor<'_>,
) -> Result<()> {
    let Attention { heads, head_dim, .. } = attention;
    partials.assert_shape(heads, head_dim);
    out.assert_cols(heads * head_dim);
    let params = Params {
        heads: u32_of(heads),
        head_dim4: u32_of(head_dim / 4),
        splits: u32_of(partials.splits),
        window: attention.window_or_all(),
    };
    let groups = match out {
        Factor::Float(_) => u32_of(heads * head_dim / 4).div_ceil(FLOAT_VEC4S_PER_WORKGROUP),
        Factor::Int8(_) => {
            assert!(head_dim.is_multiple_of(32), "a group of 32 would span two heads of {head_dim}");
            u32_of(heads * head_dim / 32).div_ceil(INT8_GROUPS_PER_WORKGROUP)
        }
    };
    let bindings = Bindings { partials: partials.slice(), out: out.slice() };
    let grid = Grid::Xy(Count::Fixed(groups), Count::Fixed(1));
    r.dispatch(&KERNEL, out.flags(), params.words(), bindings.slots(), grid).await
}
