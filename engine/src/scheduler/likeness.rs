//! Sequences that begin with the same tokens.

use std::collections::VecDeque;

use super::Active;
use crate::ops::PAGE;
use crate::sequence::Sequence;

/// The sequence that shares the longest beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Likest {
    pub(super) which: Which,
    /// Tokens in common, at least [`FEWEST`].
    pub(super) len: usize,
}

/// A sequence, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Kept(usize),
    Active(usize),
}

/// Fewer tokens than this in the last page are computed again: a copy of the page costs more.
const FEWEST: usize = 8;

/// The sequence that shares the longest beginning with these tokens; `None` if none shares enough.
pub(super) fn likest(active: &[Active], kept: &VecDeque<Sequence>, tokens: &[u32]) -> Option<Likest> {
    let kept = kept.iter().enumerate().map(|(i, sequence)| (Which::Kept(i), sequence));
    let active = active.iter().enumerate().map(|(i, active)| (Which::Active(i), &active.sequence));
    let shared = |sequence: &Sequence| {
        let len = sequence.tokens().iter().zip(tokens).take_while(|(a, b)| a == b).count();
        if len % PAGE < FEWEST { len / PAGE * PAGE } else { len }
    };
    let all = kept.chain(active).map(|(which, sequence)| Likest { which, len: shared(sequence) });
    all.filter(|likest| likest.len > 0).reduce(|best, next| if next.len > best.len { next } else { best })
}
