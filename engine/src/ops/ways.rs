//! The table of ways to compute [products](super::product()) of weights with activations.
//!
//! A way to multiply is a kernel, or one variant of a kernel, and a row of [`WAYS`]. The row lists the kernel's mode,
//! its rounding, the formats and devices that it supports, and how many rows and tokens a workgroup takes. Tuning,
//! fallbacks, names, the file of tuning results and the tests all use this table, so a new way is one new row.

use std::fmt;

use lapidary_shaders::Kernel;
use lapidary_shaders::kernels::{
    matmul, matmul_coop, matmul_registers, matmul_small, matvec, matvec_int8, matvec_rows, norm_matvec_int8,
};

use super::{F16Tensor, Int8Tensor, Operand, WORKGROUP_BYTES, quantize, to_f16};
use crate::gpu::{Capabilities, Constants, Recording, Tensor};
use crate::quant::WeightFormat;

/// The size of a step, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One token: matrix times vector. If the step has more tokens, only the last one is multiplied.
    Decode,
    /// Up to [`MAX_SMALL_BATCH`] tokens.
    SmallBatch,
    /// Up to a chunk of a prompt.
    Prefill,
}

/// The most tokens of a step in [`Mode::SmallBatch`].
pub const MAX_SMALL_BATCH: usize = matmul_small::MAX_TOKENS as usize;

/// The rounding of the operands before multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// None: activations and sums are f32.
    None,
    /// Activations are rounded to 8-bit integers, one scale per 32, as by [`quantize`](super::quantize()).
    Int8,
    /// Weights and activations are rounded to f16.
    F16,
}

/// A way to multiply.
pub struct Way {
    /// Its name in output and in the file of tuning results; unique within the mode.
    pub name: &'static str,
    /// The size of the steps that it is for.
    pub mode: Mode,
    /// How it rounds its operands.
    pub rounding: Rounding,
    pub(super) kernel: &'static Kernel,
    pub(super) flags: &'static [&'static str],
    pub(super) constants: Constants<'static>,
    /// Rows of weights per workgroup; with GeGLU, pairs of rows in `geglu_rows`.
    pub(super) rows: u32,
    pub(super) geglu_rows: u32,
    /// Tokens per workgroup; 0 for all tokens of the step.
    pub(crate) tokens: u32,
    /// Whether it supports a format on a device.
    supports: fn(WeightFormat, &Capabilities) -> bool,
    /// The name of its fallback in the same mode, which supports all formats and devices.
    otherwise: &'static str,
    /// Whether it can be the fastest way, so that tuning measures it.
    may_be_fastest: fn(WeightFormat, &Capabilities) -> bool,
    /// Whether it has a kernel that fuses the norms before a product into it, for one token: see
    /// [`norm_matvec`](super::norm_matvec()).
    pub(crate) fuses_norms: bool,
}

const W64: Constants<'static> = &[("width", 64)];
const W128: Constants<'static> = &[("width", 128)];
const W256: Constants<'static> = &[("width", 256)];

const MATVEC: Way = Way {
    name: "float",
    mode: Mode::Decode,
    rounding: Rounding::None,
    kernel: &matvec::KERNEL,
    flags: &[],
    constants: &[],
    rows: matvec::ROWS_PER_WORKGROUP,
    geglu_rows: matvec::ROWS_PER_WORKGROUP,
    tokens: 0,
    supports: |_, _| true,
    otherwise: "float",
    may_be_fastest: |_, _| true,
    fuses_norms: false,
};
const MATVEC_INT8: Way = Way {
    rounding: Rounding::Int8,
    kernel: &matvec_int8::KERNEL,
    rows: matvec_int8::OUTPUTS,
    geglu_rows: matvec_int8::GEGLU_OUTPUTS,
    supports: |format, _| format.is_integer(),
    fuses_norms: true,
    // Splitting rows over lanes gains nothing on a CPU.
    may_be_fastest: |_, capabilities| !capabilities.software,
    ..MATVEC
};
/// [`MATVEC_INT8`] by workgroups of this width.
const fn split(name: &'static str, width: Constants<'static>) -> Way {
    Way { name, constants: width, ..MATVEC_INT8 }
}
const ROW_PER_LANE: Way = Way {
    kernel: &matvec_rows::KERNEL,
    rows: matvec_rows::ROWS_PER_WORKGROUP,
    geglu_rows: matvec_rows::GEGLU_OUTPUTS,
    ..MATVEC
};
const SMALL: Way = Way {
    mode: Mode::SmallBatch,
    kernel: &matmul_small::KERNEL,
    rows: matmul_small::ROWS,
    geglu_rows: 0,
    // On a CPU the kernels of a prompt that keep their tiles in registers serve a small batch as well, with tiles of 8 tokens.
    may_be_fastest: |_, capabilities| !capabilities.software,
    ..MATVEC
};
const SMALL_INT8: Way =
    Way { rounding: Rounding::Int8, flags: &["int8"], supports: |format, _| format.is_integer(), ..SMALL };
const MATMUL: Way = Way {
    mode: Mode::Prefill,
    kernel: &matmul::KERNEL,
    rows: matmul::TILE_ROWS,
    tokens: matmul::TILE_TOKENS,
    geglu_rows: 0,
    ..MATVEC
};
const REGISTERS: Way = Way { kernel: &matmul_registers::KERNEL, tokens: matmul_registers::TILE_TOKENS, ..MATMUL };
const REGISTERS_INT8: Way =
    Way { rounding: Rounding::Int8, flags: &["int8"], supports: |format, _| format.is_integer(), ..REGISTERS };

/// Bytes of workgroup memory of a kernel on a device, without arrays that are sized by an override; `None` if it has no variant for
/// the device. They do not depend on the weight format.
pub(super) fn workgroup_bytes(kernel: &Kernel, flags: &[&str], capabilities: &Capabilities) -> Option<u32> {
    let features = [&[WeightFormat::Q4_0.name()], flags, &capabilities.shader_features()].concat();
    kernel.variant(&features).map(|variant| variant.workgroup_bytes)
}

/// Every way to multiply, the basic float kernel of each mode first.
pub static WAYS: &[Way] = &[
    MATVEC,
    Way {
        name: "float, 8 rows",
        constants: &[("rows_per_workgroup", 8)],
        rows: 8,
        geglu_rows: 8,
        supports: |_, capabilities| capabilities.subgroups,
        may_be_fastest: |_, capabilities| !capabilities.software,
        ..MATVEC
    },
    Way {
        name: "float, a row per lane",
        // Only on CPUs. With `may_be_fastest` instead, GPUs would compile and check a kernel that they never use.
        supports: |_, capabilities| capabilities.software,
        ..ROW_PER_LANE
    },
    Way {
        name: "int8, a row per lane",
        rounding: Rounding::Int8,
        flags: &["int8"],
        supports: |format, _| format.is_integer(),
        ..ROW_PER_LANE
    },
    split("int8, split by 64", W64),
    split("int8, split by 128", W128),
    split("int8, split by 256", W256),
    Way { name: "float, split by 64", constants: W64, otherwise: "float, split by 64", ..SMALL },
    Way { name: "float, split by 128", constants: W128, otherwise: "float, split by 128", ..SMALL },
    Way { name: "float, split by 256", constants: W256, otherwise: "float, split by 256", ..SMALL },
    Way { name: "int8, split by 64", constants: W64, otherwise: "float, split by 64", ..SMALL_INT8 },
    Way { name: "int8, split by 128", constants: W128, otherwise: "float, split by 128", ..SMALL_INT8 },
    Way { name: "int8, split by 256", constants: W256, otherwise: "float, split by 256", ..SMALL_INT8 },
    MATMUL,
    Way {
        name: "float, in registers",
        constants: &[("lanes", 16)],
        rows: 16 * matmul_registers::ROWS_PER_LANE,
        // Only on CPUs. By the estimates of Mesa's compilers, `matmul` is faster on GPUs: this kernel takes so many registers
        // that few subgroups fit.
        supports: |_, capabilities| capabilities.software,
        ..REGISTERS
    },
    Way {
        name: "int8, 16 lanes",
        constants: &[("lanes", 16)],
        rows: 16 * matmul_registers::ROWS_PER_LANE,
        may_be_fastest: |_, capabilities| capabilities.software || capabilities.narrow_subgroups,
        ..REGISTERS_INT8
    },
    Way {
        name: "int8, 64 lanes",
        constants: &[("lanes", 64)],
        rows: 64 * matmul_registers::ROWS_PER_LANE,
        may_be_fastest: |_, capabilities| !capabilities.software,
        ..REGISTERS_INT8
    },
    Way {
        name: "cooperative",
        rounding: Rounding::F16,
        kernel: &matmul_coop::KERNEL,
        rows: matmul_coop::TILE_ROWS,
        tokens: matmul_coop::TILE_TOKENS,
        supports: |format, capabilities| {
            format != WeightFormat::F32
                && workgroup_bytes(&matmul_coop::KERNEL, &[], capabilities)
                    .is_some_and(|bytes| bytes <= capabilities.max_workgroup_bytes)
        },
        ..MATMUL
    },
];

impl Way {
    /// The basic float kernel for one token.
    pub const FLOAT_DECODE: &Self = &MATVEC;
    /// The basic float kernel for a chunk of a prompt.
    pub const FLOAT_PREFILL: &Self = &MATMUL;

    /// The ways of a mode, the basic float kernel first.
    pub fn all(mode: Mode) -> impl Iterator<Item = &'static Self> {
        WAYS.iter().filter(move |way| way.mode == mode)
    }

    /// The way of this name; `None` if the mode has none.
    pub fn named(mode: Mode, name: &str) -> Option<&'static Self> {
        Self::all(mode).find(|way| way.name == name)
    }

    /// Whether it differs from another way in constants only.
    pub(crate) fn is_same_variant(&self, other: &Self) -> bool {
        self.kernel.name == other.kernel.name && self.flags == other.flags
    }

    /// Whether it supports weights of this format on such a device.
    pub fn supports(&self, format: WeightFormat, capabilities: &Capabilities) -> bool {
        (self.supports)(format, capabilities)
    }

    /// Whether it supports the format and can be the fastest way on such a device.
    pub(crate) fn is_candidate(&self, format: WeightFormat, capabilities: &Capabilities) -> bool {
        self.supports(format, capabilities) && (self.may_be_fastest)(format, capabilities)
    }

    /// This way, or its fallback if it does not support the format or the device.
    pub fn or_fallback(&'static self, format: WeightFormat, capabilities: &Capabilities) -> &'static Self {
        if self.supports(format, capabilities) {
            return self;
        }
        let fallback = Self::named(self.mode, self.otherwise);
        fallback.unwrap_or_else(|| unreachable!("a test finds the fallback of every way"))
    }

    /// Whether activations are rounded to 8-bit integers.
    pub fn quantizes_activations(&self) -> bool {
        self.rounding == Rounding::Int8
    }

    /// Whether one dispatch can compute the norms of `cols` columns and the product that follows. The kernel needs room for
    /// the columns in workgroup memory.
    pub fn can_fuse_norms(&self, cols: usize, capabilities: &Capabilities) -> bool {
        let x_bytes = 16 * norm_matvec_int8::VEC4S_PER_GROUP as usize * cols.div_ceil(32);
        let fits = |bytes| x_bytes + bytes as usize <= WORKGROUP_BYTES;
        // The variant with the most workgroup memory.
        self.fuses_norms && workgroup_bytes(&norm_matvec_int8::KERNEL, &["geglu"], capabilities).is_some_and(fits)
    }

    /// The activations as this way takes them: `x`, or `x` rounded to one of these buffers.
    pub fn round<'a>(&self, r: &mut Recording, x: &'a Tensor, int8: &'a Int8Tensor, f16: &'a F16Tensor) -> Operand<'a> {
        match self.rounding {
            Rounding::None => Operand::Float(x),
            Rounding::Int8 => {
                quantize(r, x, int8);
                Operand::Int8(int8)
            }
            Rounding::F16 => {
                to_f16(r, x, f16);
                Operand::F16(f16)
            }
        }
    }

    /// Asserts that `x` has `cols` columns and is rounded as this way takes it.
    pub(super) fn assert_operand(&self, x: Operand<'_>, cols: usize) {
        let fits = match x {
            Operand::Float(_) => self.rounding == Rounding::None,
            Operand::Int8(_) => self.rounding == Rounding::Int8,
            Operand::F16(_) => self.rounding == Rounding::F16,
        };
        assert!(fits, "{self:?} is given {x:?}");
        x.assert_cols("x", cols);
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        (self.mode, self.name) == (other.mode, other.name)
    }
}

impl Eq for Way {}

impl std::hash::Hash for Way {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.mode, self.name).hash(state);
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {}", self.mode, self.name)
    }
}

#[cfg(test)]
mod tests {
    use lapidary_shaders::kernels;

    use super::*;

    /// wgpu does not compare a kernel's workgroup memory with what the device has.
    #[test]
    fn kernels_fit_the_workgroup_memory_of_every_device() {
        for variant in kernels::ALL.iter().flat_map(|kernel| kernel.variants) {
            // Those on cooperative matrices are only for devices that have more.
            let has_matrices = variant.features.iter().any(|feature| feature.starts_with("coop_"));
            let bytes = variant.workgroup_bytes as usize;
            assert!(has_matrices || bytes <= WORKGROUP_BYTES, "{}: {bytes} bytes", variant.name());
        }
        for subgroups in [false, true] {
            let capabilities = Capabilities { subgroups, ..Capabilities::webgpu() };
            for way in WAYS {
                if !way.fuses_norms {
                    continue;
                }
                let fits = |groups: &usize| way.can_fuse_norms(32 * groups, &capabilities);
                let widest = (1..10_000).rev().find(fits).unwrap();
                assert!(32 * widest >= 4608, "{way:?}: only {widest} groups of columns");
                let variants = norm_matvec_int8::KERNEL.variants.iter();
                for variant in variants.filter(|variant| variant.uses_subgroups() == subgroups) {
                    let bytes =
                        variant.workgroup_bytes as usize + 16 * norm_matvec_int8::VEC4S_PER_GROUP as usize * widest;
                    assert!(bytes <= WORKGROUP_BYTES, "{}: {bytes} bytes for {widest} groups", variant.name());
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_every_fallback_supports_everything() {
        let mut poorest = Capabilities::webgpu();
        poorest.software = true;
        for (i, way) in WAYS.iter().enumerate() {
            assert_eq!(WAYS.iter().position(|other| other == way), Some(i), "{way:?}");
            for format in WeightFormat::ALL {
                let fallback = way.or_fallback(format, &poorest);
                assert!(fallback.supports(format, &poorest), "{way:?} falls back to {fallback:?} for {format}");
                assert_eq!(
                    fallback.rounding,
                    if way.supports(format, &poorest) { way.rounding } else { Rounding::None }
                );
            }
        }
        assert_eq!(Way::named(Mode::Decode, "float"), Some(Way::FLOAT_DECODE));
        assert_eq!(Way::named(Mode::Prefill, "float"), Some(Way::FLOAT_PREFILL));
    }
}
