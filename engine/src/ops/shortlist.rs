//! `wgsl/shortlist.wesl`

use lapidary_shaders::kernels::shortlist::{self, Bindings, KERNEL, Params};

use super::u32_of;
use crate::gpu::{Buffer, Count, Grid, Recording, Tensor};

/// The number of stretches that the logits are split into; each has its own list.
pub const LISTS: usize = shortlist::LISTS as usize;

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
        let bytes = 8 * (LISTS * logits.div_ceil(LISTS)) as u64;
        Self {
            lists: Buffer::new("lists", bytes),
            lengths: Buffer::new("lengths", 4 * LISTS as u64),
            candidates: Buffer::new("candidates", bytes),
        }
    }

    /// Logits in a stretch of `usable_vocab` logits, which must have room here.
    pub(crate) fn stretch(&self, usable_vocab: usize) -> u32 {
        let stretch = usable_vocab.div_ceil(LISTS);
        assert!(8 * (LISTS * stretch) as u64 <= self.lists.bytes(), "no room for the lists of {usable_vocab} logits");
        u32_of(stretch)
    }

    /// `[LISTS][stretch]` of 8 bytes: a token, and its logit as an integer key of the same order.
    pub fn lists(&self) -> &Buffer {
        &self.lists
    }

    /// `[LISTS]`: the length of each list, 4 bytes.
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
    let grid = Grid::Xy(Count::Fixed(shortlist::LISTS), Count::Fixed(1));
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid);
}
