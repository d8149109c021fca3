//! Products of weights with activations, by one of the [ways](super::ways) to compute them.

use lapidary_shaders::kernels::product;

use super::{Operand, Rounding, Way, assert_cols, u32_of};
use crate::gpu::{Count, Grid, Recording, Slice, Tensor};
use crate::quant::{Matrix, Shard};

/// `out[t, first_out..] = weights · x[t]`, one dispatch per shard; in decode `out[0, first_out..] = weights · x[last token]`.
///
/// `weights`: `[m, n]`, in a format that `way` [supports](Way::supports); `x`: `[T, n]`, as `way` [rounds](Way::round) it;
/// `out`: `[T, first_out + m]` or wider, in decode one row.
pub fn product(r: &mut Recording, way: &Way, weights: &Matrix, x: Operand<'_>, out: &Tensor, first_out: usize) {
    way.assert_operand(x, weights.cols);
    assert!(first_out + weights.rows <= out.cols(), "out has {} columns, too few", out.cols());
    for shard in &weights.shards {
        let params = product::Params {
            rows: u32_of(shard.rows),
            groups: u32_of(weights.groups()),
            first_out: u32_of(first_out + shard.first_row),
            out_stride: u32_of(out.stride()),
        };
        let rows = Count::Fixed(params.rows.div_ceil(way.rows));
        let grid = match way.tokens {
            0 => Grid::Flat(rows),
            tokens => Grid::Xy(rows, Count::Tokens { per_token: 1, per_group: tokens }),
        };
        let features = [&[weights.format.name()], way.flags].concat();
        let bindings = bindings(shard, x, out.slice());
        let constants = match way.rounding {
            Rounding::F16 => [way.constants, &r.capabilities().coop_constants()].concat(),
            _ => way.constants.to_vec(),
        };
        r.dispatch_with(way.kernel, &features, &constants, params.words(), bindings.slots(), grid);
    }
}

/// `out[0] = gelu(gates · x[last token]) · (ups · x[last token])`, in one dispatch.
///
/// `gate_up`: `[2n, cols]`, the gates' rows first, in one shard; `x`: `[T, cols]`; `out`: `[1, n]`, another buffer than
/// `x`. If `way` quantizes activations, `x` and `out` are integers and n is a multiple of 32.
pub fn product_geglu(r: &mut Recording, way: &Way, gate_up: &Matrix, x: Operand<'_>, out: Operand<'_>) {
    way.assert_operand(x, gate_up.cols);
    let shard = only_shard(gate_up);
    let n = shard.rows / 2;
    match out {
        Operand::Float(out) => assert_cols("out", out, n),
        Operand::Int8(_) => assert!(n.is_multiple_of(32), "{n} outputs do not fill groups of 32"),
        Operand::F16(_) => panic!("{way:?} writes no f16"),
    }
    assert!(matches!(out, Operand::Int8(_)) == way.quantizes_activations(), "{way:?} writes to {out:?}");
    let (rows, groups) = (u32_of(n), u32_of(gate_up.groups()));
    let params = product::Params { rows, groups, first_out: 0, out_stride: 0 };
    let grid = Grid::Flat(Count::Fixed(rows.div_ceil(way.geglu_rows)));
    let features = [&[gate_up.format.name(), "geglu"], way.flags].concat();
    let bindings = bindings(shard, x, out.slice());
    r.dispatch_with(way.kernel, &features, way.constants, params.words(), bindings.slots(), grid);
}

/// The shard of a matrix that has only one.
pub(super) fn only_shard(weights: &Matrix) -> &Shard {
    let [shard] = &weights.shards[..] else { panic!("{} shards: all rows must be in one", weights.shards.len()) };
    shard
}

fn bindings(shard: &Shard, x: Operand<'_>, out: Slice) -> product::Bindings<Slice> {
    product::Bindings { quants: shard.quants(), scales: shard.scales(), x: x.slice(), out }
}
