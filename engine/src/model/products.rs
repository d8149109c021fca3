//! Which kernels multiply by weights.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::{Factor, Int8Tensor, Sharing, matmul, matmul_int8, matvec, matvec_int8, quantize};
use crate::quant::Matrix;

/// One token a step or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One token a step: mat-vec.
    Decode,
    /// Up to a chunk of tokens a step: tiled matmul.
    Prefill,
}

/// The kernel of each mode for weights that are integers; other weights are always multiplied as floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernels {
    /// For one token: on activations as integers, or as floats where `None`.
    pub matvec_int8: Option<Sharing>,
    /// For many: whether activations are integers.
    pub matmul_int8: bool,
}

impl Kernels {
    /// Activations stay f32.
    pub const FLOAT: Self = Self { matvec_int8: None, matmul_int8: false };

    /// Every kernel for one token, by name.
    pub const MATVECS: [(&str, Option<Sharing>); 3] =
        [("float", None), ("int8 solo", Some(Sharing::Solo)), ("int8 subgroup", Some(Sharing::Subgroup))];
    /// Every kernel for many tokens, by name.
    pub const MATMULS: [(&str, bool); 2] = [("float", false), ("int8", true)];

    /// The name of the kernel for one token.
    pub fn matvec_name(self) -> &'static str {
        Self::MATVECS.iter().find(|(_, sharing)| *sharing == self.matvec_int8).map_or("", |(name, _)| name)
    }

    /// The name of the kernel for many.
    pub fn matmul_name(self) -> &'static str {
        Self::MATMULS.iter().find(|(_, int8)| *int8 == self.matmul_int8).map_or("", |(name, _)| name)
    }
}

/// Products of a step's activations with weights.
pub(crate) struct Products<'a> {
    pub(crate) mode: Mode,
    pub(crate) kernels: Kernels,
    /// Room for the widest activations as integers.
    pub(crate) int8: &'a Int8Tensor,
}

impl Products<'_> {
    fn wants_int8(&self, weights: &Matrix) -> bool {
        let kernel = match self.mode {
            Mode::Decode => self.kernels.matvec_int8.is_some(),
            Mode::Prefill => self.kernels.matmul_int8,
        };
        kernel && weights.format().is_integer()
    }

    /// How the kernel before products with these matrices should write: as integers if all want them, else to `float`.
    pub(crate) fn factor<'f>(&'f self, matrices: &[(&Matrix, usize)], float: &'f Tensor) -> Factor<'f> {
        let all = matrices.iter().all(|(weights, _)| self.wants_int8(weights));
        if all { Factor::Int8(self.int8) } else { Factor::Float(float) }
    }

    /// `out[.., first_out..] = weights · x` for each `(weights, first_out)`. In decode only the step's last token counts.
    ///
    /// # Errors
    /// The errors of [`Recorder`].
    pub(crate) async fn record(
        &self,
        r: &mut Recorder<'_>,
        x: Factor<'_>,
        matrices: &[(&Matrix, usize)],
        out: &Tensor,
    ) -> Result<()> {
        if let Factor::Float(x) = x
            && matrices.iter().any(|(weights, _)| self.wants_int8(weights))
        {
            quantize(r, x, self.int8).await?;
        }
        for &(weights, first_out) in matrices {
            match (self.mode, x) {
                (Mode::Decode, _) if self.wants_int8(weights) => {
                    let sharing = self.kernels.matvec_int8.unwrap_or(Sharing::Subgroup);
                    matvec_int8(r, weights, self.int8, sharing, out, first_out).await?;
                }
                (Mode::Prefill, _) if self.wants_int8(weights) => {
                    matmul_int8(r, weights, self.int8, out, first_out).await?;
                }
                (Mode::Decode, Factor::Float(x)) => matvec(r, weights, x, out, first_out).await?,
                (Mode::Prefill, Factor::Float(x)) => matmul(r, weights, x, out, first_out).await?,
                (_, Factor::Int8(_)) => unreachable!("`factor` asks for integers only if every matrix wants them"),
            }
        }
        Ok(())
    }
}
