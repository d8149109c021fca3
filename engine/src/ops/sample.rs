//! `wgsl/sample.wesl`

use lapidary_shaders::kernels::sample::{Bindings, KERNEL, Params};

use super::{Shortlist, TokenSink};
use crate::gpu::{Grid, Recording};

/// Samples a token of the shortlist with the step's temperature, top-k, top-p, min-p, seed and draw.
///
/// `shortlist`: of the first `usable_vocab` logits.
pub fn sample(r: &mut Recording, shortlist: &Shortlist, usable_vocab: usize, sink: &TokenSink) {
    let params = Params { stretch: shortlist.stretch(usable_vocab), seen_words: sink.seen_words() };
    let bindings = Bindings {
        lists: shortlist.lists().into(),
        lengths: shortlist.lengths().into(),
        candidates: shortlist.candidates().into(),
        tokens: (&sink.tokens).into(),
        results: (&sink.results).into(),
        seen: (&sink.seen).into(),
    };
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), Grid::ONE);
}
