//! `wgsl/embed.wesl`

use lapidary_shaders::kernels::embed::{Bindings, GROUPS_PER_WORKGROUP, KERNEL, Params};

use super::{assert_cols, u32_of};
use crate::gpu::{Buffer, Count, Grid, Recording, Tensor};
use crate::quant::Matrix;

/// `out[t] = scale · table[tokens[t]]`, one dispatch per shard of the table.
///
/// `table`: `[vocab, n]`; `tokens`: T ids, each below `vocab`; `out`: `[T, n]`.
pub fn embed(r: &mut Recording, table: &Matrix, tokens: &Buffer, scale: f32, out: &Tensor) {
    assert_cols("out", out, table.cols);
    for shard in &table.shards {
        let params = Params {
            first_row: u32_of(shard.first_row),
            rows: u32_of(shard.rows),
            groups: u32_of(table.groups()),
            scale,
        };
        let bindings =
            Bindings { quants: shard.quants(), scales: shard.scales(), tokens: tokens.into(), out: out.slice() };
        let grid =
            Grid::Xy(Count::Fixed(u32_of(table.groups().div_ceil(GROUPS_PER_WORKGROUP as usize))), Count::EACH_TOKEN);
        r.dispatch(&KERNEL, &[table.format.name()], params.words(), bindings.slots(), grid);
    }
}
