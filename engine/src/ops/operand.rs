//! The activations that products take and that the kernels before them write.

use super::{F16Tensor, Int8Tensor};
use crate::gpu::{Slice, Tensor};

/// The activation operand of a product. The kernel before the product writes it in the format that the product takes.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// `[T, n]` as f32.
    Float(&'a Tensor),
    /// `[T, n]` as 8-bit integers, as by [`quantize`](super::quantize()).
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
