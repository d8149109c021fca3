//! `wgsl/quantize.wesl`

use lapidary_shaders::kernels::quantize::{Bindings, GROUP_BYTES, GROUPS_PER_WORKGROUP, KERNEL, Params};

use super::{F16Tensor, u32_of};
use crate::gpu::{Buffer, Count, Grid, Recording, Slice, Tensor};

/// A buffer for activations as 8-bit integers, with a scale per group of 32. The activations quantized last define its
/// shape.
#[derive(Clone, Debug)]
pub struct Int8Tensor {
    buffer: Buffer,
}

impl Int8Tensor {
    /// Declares a buffer for `[rows, cols]`.
    pub fn new(label: &str, rows: usize, cols: usize) -> Self {
        // Per group: 32 signed bytes, a scale, two sums, and padding.
        let bytes = u64::from(GROUP_BYTES) * rows as u64 * cols.div_ceil(32) as u64;
        Self { buffer: Buffer::new(label, bytes) }
    }

    /// Its buffer, 12 words per group: 32 signed bytes, then as f32 the scale and the scaled sums of the first and the
    /// last 16 bytes, then padding.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice {
        (&self.buffer).into()
    }
}

/// The activation operand of a product. The kernel before the product writes it in the format that the product takes.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// `[T, n]` as f32.
    Float(&'a Tensor),
    /// `[T, n]` as 8-bit integers, as by [`quantize`].
    Int8(&'a Int8Tensor),
    /// `[T, n]` as f16, as by [`to_f16`](super::to_f16()). Only products take it.
    F16(&'a F16Tensor),
}

impl<'a> Operand<'a> {
    pub(crate) fn slice(self) -> Slice {
        match self {
            Self::Float(tensor) => tensor.slice(),
            Self::Int8(tensor) => tensor.slice(),
            Self::F16(tensor) => tensor.slice(),
        }
    }

    /// The shader flags of the kind.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Float(_) => &[],
            Self::Int8(_) => &["int8_out"],
            Self::F16(_) => panic!("only to_f16 writes f16"),
        }
    }

    pub(crate) fn assert_cols(self, name: &str, cols: usize) {
        if let Self::Float(tensor) = self {
            super::assert_cols(name, tensor, cols);
        }
    }
}

/// `out = x`, rounded to 8-bit integers with a scale per 32.
///
/// `x`: `[T, n]`; `out`: at least as large.
pub fn quantize(r: &mut Recording, x: &Tensor, out: &Int8Tensor) {
    let groups = u32_of(x.stride() / 32);
    let bindings = Bindings { x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: groups, per_group: GROUPS_PER_WORKGROUP });
    r.dispatch(&KERNEL, &[], Params { groups }.words(), bindings.slots(), grid);
}
