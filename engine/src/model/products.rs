//! The ways to multiply that the steps of a model use.

use crate::error::{Error, Result};
use crate::gpu::{Recording, Tensor};
use crate::ops::{F16Tensor, Int8Tensor, Mode, Operand, Rounding, Way, product};
use crate::quant::Matrix;

/// The way to multiply in each mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernels {
    /// For one token.
    pub decode: &'static Way,
    /// For a small batch of tokens; `None` to multiply it as a chunk of a prompt.
    pub small_batch: Option<&'static Way>,
    /// For a chunk of a prompt.
    pub prefill: &'static Way,
    /// Whether the norms before a block are fused into its first product, for one token. This saves a dispatch and costs
    /// arithmetic.
    pub fuses_norms: bool,
}

impl Kernels {
    /// The basic float kernels, without rounding.
    pub const FLOAT: Self =
        Self { decode: Way::FLOAT_DECODE, small_batch: None, prefill: Way::FLOAT_PREFILL, fuses_norms: false };

    /// Checks that each way is for the steps that it should compute: another one would write past its output.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first that is not.
    pub fn check(self) -> Result<()> {
        let chosen = [
            (Mode::Decode, Some(self.decode), "a way to multiply one token"),
            (Mode::SmallBatch, self.small_batch, "a way to multiply a small batch"),
            (Mode::Prefill, Some(self.prefill), "a way to multiply a chunk of a prompt"),
        ];
        for (mode, way, expected) in chosen {
            if let Some(way) = way.filter(|way| way.mode != mode) {
                return Err(Error::Setting { field: "kernel", value: format!("{way:?}"), expected });
            }
        }
        Ok(())
    }

    /// The way of a mode, before [falling back](Way::or_fallback).
    pub fn way(&self, mode: Mode) -> &'static Way {
        match mode {
            Mode::Decode => self.decode,
            Mode::SmallBatch => self.small_batch.unwrap_or(self.prefill),
            Mode::Prefill => self.prefill,
        }
    }
}

/// Products of a step's activations with weights.
pub(crate) struct Products<'a> {
    pub(crate) mode: Mode,
    pub(crate) kernels: Kernels,
    /// A buffer for the widest activations as integers.
    pub(crate) int8: &'a Int8Tensor,
    /// The same as f16.
    pub(crate) f16: &'a F16Tensor,
}

impl<'a> Products<'a> {
    /// The way to multiply these weights.
    pub(crate) fn way(&self, r: &Recording, weights: &Matrix) -> &'static Way {
        self.kernels.way(self.mode).or_fallback(weights.format(), r.capabilities())
    }

    /// Where the kernel before products with these matrices writes: to the integer buffer if all take integers, else to
    /// `float`.
    pub(crate) fn operand(&self, r: &Recording, matrices: &[(&Matrix, usize)], float: &'a Tensor) -> Operand<'a> {
        let all = matrices.iter().all(|(weights, _)| self.way(r, weights).quantizes_activations());
        if all { Operand::Int8(self.int8) } else { Operand::Float(float) }
    }

    /// The way and the matrix of a product in one dispatch. `None` for matrices of two formats or larger than a binding.
    pub(crate) fn single<'m>(
        &self,
        r: &Recording,
        matrices: &[(&'m Matrix, usize)],
    ) -> Option<(&'static Way, &'m Matrix)> {
        let &[(weights, _)] = matrices else { return None };
        (weights.shards.len() == 1).then(|| (self.way(r, weights), weights))
    }

    /// Whether the norms before a [`single`](Self::single) product are fused into it: where tuning found that faster, the way has a
    /// kernel for it, as only those of one token have, and the columns fit workgroup memory.
    pub(crate) fn fuses_norms(&self, r: &Recording, way: &Way, weights: &Matrix) -> bool {
        self.kernels.fuses_norms && way.can_fuse_norms(weights.cols, r.capabilities())
    }

    /// `out[.., first_out..] = weights · x` for each `(weights, first_out)`. In decode only the step's last token counts.
    pub(crate) fn record(&self, r: &mut Recording, x: Operand<'a>, matrices: &[(&Matrix, usize)], out: &Tensor) {
        let mut rounded: Vec<(Rounding, Operand<'a>)> = Vec::new();
        for &(weights, first_out) in matrices {
            let way = self.way(r, weights);
            let known = rounded.iter().find(|(rounding, _)| *rounding == way.rounding);
            let operand = match (known, x) {
                (Some((_, operand)), _) => *operand,
                (None, Operand::Float(x)) => way.round(r, x, self.int8, self.f16),
                // The kernel before has rounded it.
                (None, x) => x,
            };
            rounded.push((way.rounding, operand));
            product(r, way, weights, operand, out, first_out);
        }
    }
}
