//! Sequences that begin with the same tokens.

use std::collections::VecDeque;

use super::Active;
use crate::ops::PAGE;
use crate::sequence::Sequence;

/// The sequence that shares the longest beginning: one of those kept, or else one of the active ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Likest {
    pub(super) kept: Option<usize>,
    pub(super) active: Option<usize>,
    /// Tokens in common, at least [`FEWEST`].
    pub(super) len: usize,
}

/// Fewer tokens than this in the last page are computed again: a copy of the page costs more.
const FEWEST: usize = 8;

impl Likest {
    /// The same after another kept sequence was removed.
    pub(super) fn after_removing(self, removed: usize) -> Self {
        Self { kept: self.kept.map(|i| i - usize::from(removed < i)), ..self }
    }
}

/// The sequence that shares the longest beginning with these tokens; `None` if none shares enough.
pub(super) fn likest(active: &[Active], kept: &VecDeque<Sequence>, tokens: &[u32]) -> Option<Likest> {
    let kept = kept.iter().enumerate().map(|(i, sequence)| (sequence, Some(i), None));
    let active = active.iter().enumerate().map(|(i, active)| (&active.sequence, None, Some(i)));
    let shared = |sequence: &Sequence| {
        let len = sequence.tokens().iter().zip(tokens).take_while(|(a, b)| a == b).count();
        if len % PAGE < FEWEST { len / PAGE * PAGE } else { len }
    };
    let all = kept.chain(active).map(|(sequence, kept, active)| Likest { kept, active, len: shared(sequence) });
    all.filter(|likest| likest.len > 0).reduce(|best, next| if next.len > best.len { next } else { best })
}
