//! `wgsl/argmax_merge.wesl`

use lapidary_shaders::kernels::argmax_merge::{Bindings, KERNEL, Params};

use super::TokenSink;
use crate::gpu::{Buffer, Grid, Recording};

/// Chooses the token of the largest of [`argmax`](super::argmax())'s candidates; on a tie, the lowest token.
///
/// `best`: 8 bytes for each of [`STRETCHES`](super::STRETCHES).
pub fn argmax_merge(r: &mut Recording, best: &Buffer, sink: &TokenSink) {
    let params = Params { seen_words: sink.seen_words() };
    let bindings = Bindings {
        best: best.into(),
        tokens: (&sink.tokens).into(),
        results: (&sink.results).into(),
        seen: (&sink.seen).into(),
    };
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), Grid::ONE);
}
