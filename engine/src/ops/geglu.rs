//! `wgsl/geglu.wesl`

use lapidary_shaders::kernels::geglu::{
    Bindings, FLOAT_VEC4S_PER_WORKGROUP, INT8_GROUPS_PER_WORKGROUP, KERNEL, Params,
};

use super::{Operand, u32_of};
use crate::gpu::{Count, Grid, ROW_ALIGN, Recording, Tensor};

/// `out = gelu(gate) · up`, element by element, with the tanh approximation of GELU.
///
/// `out`: `[T, n]`; `gate_up`: [`gate_up_cols`]`(n)` columns, the gates first, the ups from column [`first_up`]`(n)`
/// on, zeros between.
pub fn geglu(r: &mut Recording, gate_up: &Tensor, out: Operand<'_>) {
    assert!(gate_up.cols().is_multiple_of(2 * ROW_ALIGN), "gate_up has {} columns", gate_up.cols());
    let stride4 = u32_of(gate_up.cols() / 2 / 4);
    let bindings = Bindings { gate_up: gate_up.slice(), out: out.slice() };
    let grid = Grid::Flat(match out {
        Operand::Float(_) => Count::Tokens { per_token: stride4, per_group: FLOAT_VEC4S_PER_WORKGROUP },
        Operand::F16(_) => panic!("only to_f16 writes f16"),
        Operand::Int8(_) => Count::Tokens { per_token: stride4 / 8, per_group: INT8_GROUPS_PER_WORKGROUP },
    });
    r.dispatch(&KERNEL, out.flags(), Params { stride4 }.words(), bindings.slots(), grid);
}

/// Columns of the input of a [`geglu`] with `n` outputs.
pub fn gate_up_cols(n: usize) -> usize {
    2 * first_up(n)
}

/// The first column of the ups: the number of gates, padded as rows are.
pub fn first_up(n: usize) -> usize {
    n.next_multiple_of(ROW_ALIGN)
}
