//! `wgsl/quantize.wesl`

use lapidary_shaders::kernels::quantize::{Bindings, GROUP_BYTES, GROUPS_PER_WORKGROUP, KERNEL, Params};

use super::u32_of;
use crate::error::Result;
use crate::gpu::{Count, Gpu, Grid, Recorder, Slice, Tensor};

/// Room for activations as 8-bit integers, in groups of 32 with a scale each. Its shape is that of what was quantised last.
#[derive(Clone, Debug)]
pub struct Int8Tensor {
    buffer: wgpu::Buffer,
}

impl Int8Tensor {
    /// Room for `[rows, cols]`.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu, label: &str, rows: usize, cols: usize) -> Result<Self> {
        let bytes = u64::from(GROUP_BYTES) * rows as u64 * cols.div_ceil(32) as u64;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        Ok(Self { buffer: gpu.buffer(label, bytes, usage).await? })
    }

    /// Its buffer: for every 32 numbers as many signed bytes, the scale, and the scaled sums of the first and last 16 bytes,
    /// as f32, in 12 words.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice<'_> {
        Slice::all(&self.buffer)
    }
}

/// What weights are multiplied by; the kernel before a product writes it as the product wants it.
#[derive(Clone, Copy, Debug)]
pub enum Factor<'a> {
    /// `[T, n]` as f32.
    Float(&'a Tensor),
    /// The same rounded to 8-bit integers, as by [`quantize`].
    Int8(&'a Int8Tensor),
}

impl<'a> Factor<'a> {
    pub(crate) fn slice(self) -> Slice<'a> {
        match self {
            Self::Float(tensor) => tensor.slice(),
            Self::Int8(tensor) => tensor.slice(),
        }
    }

    /// The shader flags of the kind.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Float(_) => &[],
            Self::Int8(_) => &["int8_out"],
        }
    }

    pub(crate) fn assert_cols(self, cols: usize) {
        if let Self::Float(tensor) = self {
            super::assert_cols("out", tensor, cols);
        }
    }
}

/// `out = x`, rounded to 8-bit integers, 32 to a scale.
///
/// `x`: `[T, n]`; `out`: room for as much.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn quantize(r: &mut Recorder<'_>, x: &Tensor, out: &Int8Tensor) -> Result<()> {
    let groups = u32_of(x.stride() / 32);
    let bindings = Bindings { x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: groups, per_group: GROUPS_PER_WORKGROUP });
    r.dispatch(&KERNEL, &[], Params { groups }.words(), bindings.slots(), grid).await
}
