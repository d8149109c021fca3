//! `wgsl/quantize.wesl`

use lapidary_shaders::kernels::quantize::{Bindings, GROUP_BYTES, GROUPS_PER_WORKGROUP, KERNEL, Params};

use super::u32_of;
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

/// `out = x`, rounded to 8-bit integers with a scale per 32.
///
/// `x`: `[T, n]`; `out`: at least as large.
pub fn quantize(r: &mut Recording, x: &Tensor, out: &Int8Tensor) {
    let groups = u32_of(x.stride() / 32);
    let bindings = Bindings { x: x.slice(), out: out.slice() };
    let grid = Grid::Flat(Count::Tokens { per_token: groups, per_group: GROUPS_PER_WORKGROUP });
    r.dispatch(&KERNEL, &[], Params { groups }.words(), bindings.slots(), grid);
}
