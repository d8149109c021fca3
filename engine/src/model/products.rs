//! Which kernels multiply by weights.

use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::{
    Factor, Int8Tensor, Rows, Sharing, Width, matmul, matmul_coop, matmul_int8, matmul_small, matvec, matvec_int8,
    quantize,
};
use crate::quant::{Matrix, WeightFormat};

/// One token a step or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One token a step: mat-vec.
    Decode,
    /// Up to [`FEW_TOKENS`](crate::ops::FEW_TOKENS) a step.
    Few,
    /// Up to a chunk of tokens a step: tiled matmul.
    Prefill,
}

/// What multiplies weights by one token's activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matvec {
    /// Activations stay f32.
    Float(Rows),
    /// Weights that are integers meet activations of 8 bits; others as with `Float`.
    Int8(Sharing),
}

impl Matvec {
    /// Every kernel.
    pub const ALL: [Self; 6] = [
        Self::Float(Rows::ThirtyTwo),
        Self::Float(Rows::Eight),
        Self::Int8(Sharing::Solo),
        Self::Int8(Sharing::Workgroup(Width::W64)),
        Self::Int8(Sharing::Workgroup(Width::W128)),
        Self::Int8(Sharing::Workgroup(Width::W256)),
    ];

    /// Whether it rounds activations to 8-bit integers.
    pub fn rounds(self) -> bool {
        matches!(self, Self::Int8(_))
    }

    /// For people and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float(Rows::ThirtyTwo) => "float",
            Self::Float(Rows::Eight) => "float, 8 rows",
            Self::Int8(Sharing::Solo) => "int8 solo",
            Self::Int8(Sharing::Workgroup(Width::W64)) => "int8 by 64",
            Self::Int8(Sharing::Workgroup(Width::W128)) => "int8 by 128",
            Self::Int8(Sharing::Workgroup(Width::W256)) => "int8 by 256",
        }
    }

    /// Whether a workgroup can make the seam before gates and ups.
    pub fn can_fold(self) -> bool {
        self != Self::Int8(Sharing::Solo)
    }

    /// How floats are multiplied, also beside integers: matrices of a model may be of several formats.
    pub(crate) fn rows(self) -> Rows {
        match self {
            Self::Float(rows) => rows,
            Self::Int8(_) => Kernels::ROWS,
        }
    }
}

/// What multiplies weights by many tokens' activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matmul {
    /// Activations stay f32.
    Float,
    /// Weights that are integers meet activations of 8 bits; others as with `Float`.
    Int8,
    /// Both become f16 for the cooperative matrices of the device; weights that are f32 stay as with `Float`.
    Coop,
}

impl Matmul {
    /// Every kernel.
    pub const ALL: [Self; 3] = [Self::Float, Self::Int8, Self::Coop];

    /// For people and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int8 => "int8",
            Self::Coop => "cooperative",
        }
    }
}

/// What multiplies weights by a few tokens' activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Few {
    /// What multiplies many.
    AsMany,
    /// Activations stay f32.
    Float(Width),
    /// Weights that are integers meet activations of 8 bits; others as with `Float`.
    Int8(Width),
}

impl Few {
    /// Every kernel.
    pub const ALL: [Self; 7] = [
        Self::AsMany,
        Self::Float(Width::W64),
        Self::Float(Width::W128),
        Self::Float(Width::W256),
        Self::Int8(Width::W64),
        Self::Int8(Width::W128),
        Self::Int8(Width::W256),
    ];

    /// For people and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsMany => "as many",
            Self::Float(Width::W64) => "float by 64",
            Self::Float(Width::W128) => "float by 128",
            Self::Float(Width::W256) => "float by 256",
            Self::Int8(Width::W64) => "int8 by 64",
            Self::Int8(Width::W128) => "int8 by 128",
            Self::Int8(Width::W256) => "int8 by 256",
        }
    }
}

/// The kernel of each mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernels {
    /// For one token.
    pub matvec: Matvec,
    /// For a few.
    pub few: Few,
    /// For many.
    pub matmul: Matmul,
    /// Whether the product of gates and ups makes the seam before it, for one token: a dispatch less, and more work in all.
    pub folds_seam: bool,
}

impl Kernels {
    /// What floats are multiplied with where nothing was measured.
    pub const ROWS: Rows = Rows::ThirtyTwo;
    /// Nothing is rounded.
    pub const FLOAT: Self =
        Self { matvec: Matvec::Float(Self::ROWS), few: Few::AsMany, matmul: Matmul::Float, folds_seam: false };
}

/// Products of a step's activations with weights.
pub(crate) struct Products<'a> {
    pub(crate) mode: Mode,
    pub(crate) kernels: Kernels,
    /// Room for the widest activations as integers.
    pub(crate) int8: &'a Int8Tensor,
}

impl<'a> Products<'a> {
    pub(crate) fn wants_int8(&self, weights: &Matrix) -> bool {
        let kernel = match self.mode {
            Mode::Decode => self.kernels.matvec.rounds(),
            Mode::Few if self.kernels.few != Few::AsMany => matches!(self.kernels.few, Few::Int8(_)),
            Mode::Few | Mode::Prefill => self.kernels.matmul == Matmul::Int8,
        };
        kernel && weights.format().is_integer()
    }

    /// How the kernel before products with these matrices should write: as integers if all want them, else to `float`.
    pub(crate) fn factor(&self, matrices: &[(&Matrix, usize)], float: &'a Tensor) -> Factor<'a> {
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
        let mut int8 = self.int8;
        match x {
            Factor::Int8(x) => int8 = x,
            Factor::Float(x) if matrices.iter().any(|(weights, _)| self.wants_int8(weights)) => {
                quantize(r, x, int8).await?;
            }
            Factor::Float(_) => {}
        }
        for &(weights, first_out) in matrices {
            if self.wants_int8(weights) {
                match (self.mode, self.kernels.matvec, self.kernels.few) {
                    (Mode::Decode, Matvec::Int8(sharing), _) => {
                        matvec_int8(r, weights, int8, sharing, out, first_out).await?;
                    }
                    (Mode::Few, _, Few::Int8(width)) => {
                        matmul_small(r, weights, Factor::Int8(int8), width, out, first_out).await?
                    }
                    _ => matmul_int8(r, weights, int8, out, first_out).await?,
                }
                continue;
            }
            let Factor::Float(x) = x else {
                unreachable!("`factor` asks for integers only if every matrix wants them")
            };
            let coop = self.kernels.matmul == Matmul::Coop
                && weights.format() != WeightFormat::F32
                && r.gpu.capabilities().cooperative_size.is_some();
            match (self.mode, self.kernels.few) {
                (Mode::Decode, _) => matvec(r, weights, x, self.kernels.matvec.rows(), out, first_out).await?,
                (Mode::Few, Few::Float(width) | Few::Int8(width)) => {
                    matmul_small(r, weights, Factor::Float(x), width, out, first_out).await?;
                }
                _ if coop => matmul_coop(r, weights, x, out, first_out).await?,
                _ => matmul(r, weights, x, out, first_out).await?,
            }
        }
        Ok(())
    }
}
