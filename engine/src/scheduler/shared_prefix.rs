//! Sequences that begin with the same tokens.

use std::collections::VecDeque;

use super::Active;
use crate::ops::PAGE;
use crate::sequence::Sequence;

/// A sequence's beginning that another one shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SharedPrefix {
    pub(super) holder: Holder,
    /// Tokens in common, at least one.
    pub(super) len: usize,
}

/// The sequence that has it, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Kept(usize),
    Active(usize),
}

/// Fewer tokens than this in the last page are computed again: a copy of the page costs more.
pub(super) const FEWEST_TO_COPY: usize = 8;

/// The longest beginning of these tokens that a sequence has; `None` if none has any. Of the last page only what has `fewest` tokens
/// counts.
pub(super) fn longest_shared_prefix(
    active: &[Active],
    kept: &VecDeque<Sequence>,
    tokens: &[u32],
    fewest: usize,
) -> Option<SharedPrefix> {
    let kept = kept.iter().enumerate().map(|(i, sequence)| (Holder::Kept(i), sequence));
    let active = active.iter().enumerate().map(|(i, active)| (Holder::Active(i), &active.sequence));
    let shared = |sequence: &Sequence| {
        let len = sequence.shared_with(tokens);
        if len % PAGE < fewest { len / PAGE * PAGE } else { len }
    };
    let all = kept.chain(active).map(|(holder, sequence)| SharedPrefix { holder, len: shared(sequence) });
    all.filter(|prefix| prefix.len > 0).reduce(|best, next| if next.len > best.len { next } else { best })
}
