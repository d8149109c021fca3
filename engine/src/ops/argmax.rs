//! `wgsl/argmax.wesl`

use lapidary_shaders::kernels::argmax::{Bindings, KERNEL, Params};

use super::{STRETCHES, u32_of};
use crate::gpu::{Buffer, Count, Grid, Recording, Tensor};

/// Declares a buffer for the results of [`argmax`]: 8 bytes per stretch.
pub fn argmax_candidates() -> Buffer {
    Buffer::new("best", 8 * STRETCHES as u64)
}

/// Finds the largest logit and its token in each of [`STRETCHES`] stretches.
///
/// `logits`: `[rows, vocab]`, of whose row at the step's `row` the first `usable_vocab` count; `best`: [`argmax_candidates`].
pub fn argmax(r: &mut Recording, logits: &Tensor, usable_vocab: usize, best: &Buffer) {
    assert!(usable_vocab <= logits.cols(), "a usable vocabulary of {usable_vocab} of {} logits", logits.cols());
    let stretch = u32_of(usable_vocab.div_ceil(STRETCHES));
    let params = Params { vocab_size: u32_of(usable_vocab), stretch, stride: u32_of(logits.stride()) };
    let bindings = Bindings { logits: logits.slice(), best: best.into() };
    let grid = Grid::Xy(Count::Fixed(u32_of(STRETCHES)), Count::Fixed(1));
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid);
}
