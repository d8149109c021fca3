//! Numbers for tests.

/// A pseudo-random number below `below` (Marsaglia's xorshift64).
pub(crate) fn random(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    ((*state >> 16) % below as u64) as usize
}
