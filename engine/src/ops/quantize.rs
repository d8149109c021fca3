//! `wgsl/quantize.wesl`

use lapidary_shaders::kernels::quantize::{Bindings, GROUP_BYTES, GROUPS_PER_WORKGROUP, KERNEL, Params};

use super::u32_of;
use crate::gpu::{Buffer, Count, Grid, Recording, Slice, Tensor};

/// Room for activations as 8-bit integers, in groups of 32 with a scale each. Its shape is that of what was quantised last.
#[derive(Clone, Debug)]
pub struct Int8Tensor {
    buffer: Buffer,
}

impl Int8Tensor {
    /// Room for `[rows, cols]`.
    pub fn new(label: &str, rows: usize, cols: usize) -> Self {
        // A group of 32 is as many signed bytes, a scale, and two sums.
        let bytes = u64::from(GROUP_BYTES) * rows as u64 * cols.div_ceil(32) as u64;
        Self { buffer: Buffer::new(label, bytes) }
    }

    /// Its buffer: for every 32 numbers as many signed bytes, the scale, and the scaled sums of the first and last 16 bytes,
    /// as f32, in 12 words.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice {
        (&self.buffer).into()
    }
}

/// The activations that weights are multiplied by; the kernel before a product writes them as the product takes them.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// `[T, n]` as f32.
    Float(&'a Tensor),
    /// The same rounded to 8-bit integers, as by [`quantize`].
    Int8(&'a Int8Tensor),
}

impl<'a> Operand<'a> {
    pub(crate) fn slice(self) -> Slice {
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

    pub(crate) fn assert_cols(self, name: &str, cols: usize) {
        if let Self::Float(tensor) = self {
            super::assert_cols(name, tensor, cols);
        }
    }
}

/// `out = x`, rounded to 8-bit integers, 32 to a scale.
///
/// `x`: `[T, n]`; `out`: room for as much.
pub fn quantize(r: &mut Recording, x: &Tensor, out: &Int8Tensor) {
    let groups = u32_of(x.stride() / 32);
    let bindings = Bindings { x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: groups, per_group: GROUPS_PER_WORKGROUP });
    r.dispatch(&KERNEL, &[], Params { groups }.words(), bindings.slots(), grid);
}
