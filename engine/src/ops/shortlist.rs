//! `wgsl/shortlist.wesl`

use lapidary_shaders::kernels::shortlist::{Bindings, KERNEL, Params};

use super::{STRETCHES, u32_of};
use crate::gpu::{Buffer, Count, Grid, Recording, Tensor};

/// The candidates that [`shortlist`](shortlist()) lists and [`sample`](super::sample()) samples from.
#[derive(Clone, Debug)]
pub struct Shortlist {
    lists: Buffer,
    lengths: Buffer,
    candidates: Buffer,
}

impl Shortlist {
    /// Room for the lists of up to `logits` logits.
    pub fn new(logits: usize) -> Self {
        let bytes = 8 * (STRETCHES * logits.div_ceil(STRETCHES)) as u64;
        Self {
            lists: Buffer::new("lists", bytes),
            lengths: Buffer::new("lengths", 4 * STRETCHES as u64),
            candidates: Buffer::new("candidates", bytes),
        }
    }

    /// Logits in a stretch of `usable_vocab` logits, which must have room here.
    pub(crate) fn stretch(&self, usable_vocab: usize) -> u32 {
        let stretch = usable_vocab.div_ceil(STRETCHES);
        let bytes = 8 * (STRETCHES * stretch) as u64;
        assert!(bytes <= self.lists.bytes(), "no room for the lists of {usable_vocab} logits");
        u32_of(stretch)
    }

    /// `[STRETCHES][stretch]` of 8 bytes: a token, and its logit as an integer key of the same order.
    pub fn lists(&self) -> &Buffer {
        &self.lists
    }

    /// `[STRETCHES]`: the length of each list, 4 bytes.
    pub fn lengths(&self) -> &Buffer {
        &self.lengths
    }

    /// All of its buffers.
    pub fn buffers(&self) -> [&Buffer; 3] {
        [&self.lists, &self.lengths, &self.candidates]
    }

    /// Scratch of [`sample`](super::sample()), as large as the lists.
    pub(super) fn candidates(&self) -> &Buffer {
        &self.candidates
    }
}

/// Lists the logits of each stretch that can be among the step's top-k. The logits are [finished](super::logits()).
///
/// `logits`: `[rows, vocab]`, of whose row at the step's `row` the first `usable_vocab` count.
pub fn shortlist(r: &mut Recording, logits: &Tensor, usable_vocab: usize, out: &Shortlist) {
    assert!(usable_vocab <= logits.cols(), "a usable vocabulary of {usable_vocab} of {} logits", logits.cols());
    let stride = u32_of(logits.stride());
    let params = Params { vocab_size: u32_of(usable_vocab), stretch: out.stretch(usable_vocab), stride };
    let bindings = Bindings { logits: logits.slice(), lists: (&out.lists).into(), lengths: (&out.lengths).into() };
    let grid = Grid::Xy(Count::Fixed(u32_of(STRETCHES)), Count::Fixed(1));
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid);
}
