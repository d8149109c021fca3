//! `wgsl/to_f16.wesl`

use lapidary_shaders::kernels::to_f16::{Bindings, EIGHTS_PER_WORKGROUP, KERNEL, Params, X_SCALE};

use super::u32_of;
use crate::gpu::{Buffer, Count, Grid, Recording, Slice, Tensor};

/// A buffer for activations as f16, divided by [`F16_SCALE`]. The activations rounded last define its shape.
#[derive(Clone, Debug)]
pub struct F16Tensor {
    buffer: Buffer,
}

/// What activations are divided by, so that f16 can hold them.
pub const F16_SCALE: f32 = X_SCALE as f32;

impl F16Tensor {
    /// Declares a buffer for `[rows, cols]`.
    pub fn new(label: &str, rows: usize, cols: usize) -> Self {
        let bytes = 2 * rows as u64 * cols.next_multiple_of(32) as u64;
        Self { buffer: Buffer::new(label, bytes) }
    }

    /// Its buffer: rows padded to whole groups of 32, two numbers per word.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(crate) fn slice(&self) -> Slice {
        (&self.buffer).into()
    }
}

/// `out = x / F16_SCALE`, rounded to f16.
///
/// `x`: `[T, n]`; `out`: at least as large.
pub fn to_f16(r: &mut Recording, x: &Tensor, out: &F16Tensor) {
    let eights = u32_of(x.stride() / 8);
    let bindings = Bindings { x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: eights, per_group: EIGHTS_PER_WORKGROUP });
    r.dispatch(&KERNEL, &[], Params { eights }.words(), bindings.slots(), grid);
}
