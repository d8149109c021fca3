//! The destination of the sampled tokens of sequences: `wgsl/lib/emit.wesl`.

use lapidary_shaders::kernels::argmax_merge;

use super::u32_of;
use crate::gpu::Buffer;

/// The result if every logit is NaN, in place of a token.
pub const NO_TOKEN: u32 = argmax_merge::NO_TOKEN;

/// The buffers that [`argmax_merge`](super::argmax_merge()) and [`sample`](super::sample()) write their token to, and what
/// [`logits`](super::logits()) reads of the tokens of a sequence.
#[derive(Clone, Debug)]
pub struct TokenSink {
    /// `[slots]`: the newest id of each sequence, the embedding's input in decode. So the next step needs nothing from the host.
    pub tokens: Buffer,
    /// `[slots, RESULTS]`: rings of ids for the host. Draw n goes to word n modulo [`TokenSink::RESULTS`].
    pub results: Buffer,
    /// `[slots, seen_words]`: a bit per token of the vocabulary, of those that the repetition penalty applies to.
    pub seen: Buffer,
    /// The same of the tokens that can be chosen, for steps with a mask. The host writes it.
    pub allowed: Buffer,
    seen_words: usize,
}

impl TokenSink {
    /// Words in a ring of results.
    pub const RESULTS: usize = argmax_merge::RESULTS as usize;

    /// Declares the buffers of `slots` sequences for a vocabulary of this many tokens.
    pub fn new(vocab_size: usize, slots: usize) -> Self {
        let seen_words = vocab_size.div_ceil(32);
        Self {
            tokens: token_ids("newest tokens", slots),
            results: token_ids("results", slots * Self::RESULTS),
            seen: Buffer::new("seen", 4 * (slots * seen_words) as u64),
            allowed: Buffer::new("allowed", 4 * (slots * seen_words) as u64),
            seen_words,
        }
    }

    /// Words of `seen` per sequence.
    pub(crate) fn seen_words(&self) -> u32 {
        u32_of(self.seen_words)
    }

    /// Where the bits of a sequence begin in `seen` and in `allowed`, in bytes.
    pub fn seen_offset(&self, slot: usize) -> u64 {
        4 * (slot * self.seen_words) as u64
    }

    /// Where the token of a sequence's draw is in `results`, in words.
    pub fn result_word(slot: usize, draw: u32) -> usize {
        slot * Self::RESULTS + draw as usize % Self::RESULTS
    }

    /// All of its buffers.
    pub fn buffers(&self) -> [&Buffer; 4] {
        [&self.tokens, &self.results, &self.seen, &self.allowed]
    }
}

/// Declares a buffer for this many token ids.
pub fn token_ids(label: &str, count: usize) -> Buffer {
    Buffer::new(label, 4 * count as u64)
}
