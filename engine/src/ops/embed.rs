//! `wgsl/embed.wesl`

use lapidary_shaders::kernels::embed::{Bindings, GROUPS_PER_WORKGROUP, KERNEL, Params};

use super::{TokenSink, assert_cols, u32_of};
use crate::gpu::{Buffer, Count, Grid, Recording, Tensor};
use crate::quant::Matrix;

/// The token ids that [`embed`] looks up, each below the size of the vocabulary.
#[derive(Clone, Copy, Debug)]
pub enum TokenIds<'a> {
    /// T ids, one per token of the step.
    Chunk(&'a Buffer),
    /// The newest id of each sequence, by slot.
    Newest(&'a TokenSink),
}

/// `out[t] = scale · table[id of t]`, one dispatch per shard of the table.
///
/// `table`: `[vocab, n]`; `out`: `[T, n]`.
pub fn embed(r: &mut Recording, table: &Matrix, ids: TokenIds<'_>, scale: f32, out: &Tensor) {
    let (tokens, newest) = match ids {
        TokenIds::Chunk(tokens) => (tokens, 0),
        TokenIds::Newest(sink) => (&sink.tokens, 1),
    };
    assert_cols("out", out, table.cols);
    for shard in &table.shards {
        let params = Params {
            first_row: u32_of(shard.first_row),
            rows: u32_of(shard.rows),
            groups: u32_of(table.groups()),
            cols: u32_of(table.cols),
            scale,
            newest,
        };
        let bindings =
            Bindings { quants: shard.quants(), scales: shard.scales(), tokens: tokens.into(), out: out.slice() };
        let grid =
            Grid::Xy(Count::Fixed(u32_of(table.groups().div_ceil(GROUPS_PER_WORKGROUP as usize))), Count::EACH_TOKEN);
        r.dispatch(&KERNEL, &[table.format.name()], params.words(), bindings.slots(), grid);
    }
}
