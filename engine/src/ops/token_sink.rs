//! The destination of a sequence's sampled tokens: `wgsl/lib/emit.wesl`.

use lapidary_shaders::kernels::argmax_merge;

use crate::gpu::Buffer;

/// The result if every logit is NaN, in place of a token.
pub const NO_TOKEN: u32 = argmax_merge::NO_TOKEN;

/// The buffers that [`argmax_merge`](super::argmax_merge()) and [`sample`](super::sample()) write their token to.
#[derive(Clone, Debug)]
pub struct TokenSink {
    /// One id, the embedding's input in decode. So the next step needs nothing from the host.
    pub token: Buffer,
    /// A ring of ids for the host: draw n goes to word n modulo its length.
    pub results: Buffer,
    /// A bit per token of the vocabulary: those that the repetition penalty applies to.
    pub seen: Buffer,
}

impl TokenSink {
    /// Words in the ring of results.
    pub const RESULTS: usize = 64;

    /// Declares the buffers for a vocabulary of this many tokens.
    pub fn new(vocab_size: usize) -> Self {
        Self {
            token: token_ids("token", 1),
            results: token_ids("results", Self::RESULTS),
            seen: Buffer::new("seen", 4 * vocab_size.div_ceil(32) as u64),
        }
    }

    /// The words of `seen` with the bits of these tokens set. All are below `vocab_size`.
    pub fn bits_of(ids: &[u32], vocab_size: usize) -> Vec<u32> {
        let mut words = vec![0u32; vocab_size.div_ceil(32)];
        for id in ids {
            words[*id as usize / 32] |= 1 << (id % 32);
        }
        words
    }

    /// Where the token of a draw is in `results`, in bytes.
    pub fn result_offset(draw: u32) -> u64 {
        4 * (draw as usize % Self::RESULTS) as u64
    }

    /// All of its buffers.
    pub fn buffers(&self) -> [&Buffer; 3] {
        [&self.token, &self.results, &self.seen]
    }
}

/// Declares a buffer for this many token ids.
pub fn token_ids(label: &str, count: usize) -> Buffer {
    Buffer::new(label, 4 * count as u64)
}
