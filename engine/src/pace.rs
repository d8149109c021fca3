//! How much of a prompt to compute per submit.

use std::ops::Range;

/// The longest that a submit should take, in milliseconds. Drivers kill long submits, the desktop freezes meanwhile,
/// and cancelling waits for the submit's end.
const SUBMIT_MS: f64 = 60.0;
/// The most tokens of a chunk, unless the caller sets another number. A software adapter gains nothing from more.
pub(crate) fn default_prefill_chunk(software: bool) -> usize {
    if software { 256 } else { 512 }
}

/// Tokens of the first chunk of the first prompt on a graphics card, until the time of a layer is known.
const FIRST_CHUNK: usize = 256;
/// The same on other adapters, and the smallest chunk on a slow device.
const SMALLEST_CHUNK: usize = 32;

/// How much to compute per submit, adapted to how long submits take.
pub(crate) struct Pace {
    /// Segments of a plan per submit.
    segments: usize,
    /// Tokens per chunk, up to `most`.
    tokens: usize,
    most: usize,
    /// Milliseconds of the fastest layer of the current chunk. The mean would include the time to compile pipelines,
    /// which the first dispatches take.
    layer_ms: f64,
}

impl Pace {
    /// Starts with small submits, and chunks of at most `most` tokens.
    pub(crate) fn new(most: usize, discrete: bool) -> Self {
        let first = if discrete { FIRST_CHUNK } else { SMALLEST_CHUNK };
        Self { segments: 1, tokens: most.min(first), most, layer_ms: f64::INFINITY }
    }

    /// The most tokens of the next chunk.
    pub(crate) fn chunk(&self) -> usize {
        self.tokens
    }

    /// The segments to submit next, starting with `first`, of a plan of `all` segments.
    pub(crate) fn segments(&self, first: usize, all: usize) -> Range<usize> {
        first..all.min(first + self.segments)
    }

    /// Adapts the number of segments to the time that a submit took. The aim is [`SUBMIT_MS`].
    pub(crate) fn learn(&mut self, ms: f64, segments: &Range<usize>, all: usize) {
        // The first segment is the embedding, not a layer.
        let layers = segments.end - segments.start.max(1).min(segments.end);
        if layers > 0 {
            self.layer_ms = self.layer_ms.min(ms / layers as f64);
        }
        if ms > SUBMIT_MS {
            self.segments = (self.segments / 2).max(1);
        } else if ms < SUBMIT_MS / 3.0 && segments.len() == self.segments {
            self.segments = (self.segments * 2).min(all);
        }
    }

    /// Chooses the size of the next chunk after one of `tokens`. A larger chunk uses each weight that it reads for more
    /// tokens, but one layer of it must still fit a submit.
    pub(crate) fn end_chunk(&mut self, tokens: usize) {
        let layer_ms = std::mem::replace(&mut self.layer_ms, f64::INFINITY);
        if tokens < self.tokens || layer_ms.is_infinite() {
            return;
        }
        if layer_ms > 2.0 * SUBMIT_MS {
            self.tokens = (self.tokens / 2).max(SMALLEST_CHUNK).min(self.most);
        } else if layer_ms < SUBMIT_MS / 3.0 && self.tokens < self.most {
            self.tokens = (self.tokens * 2).min(self.most);
            self.segments = (self.segments / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fast device: a layer takes 0.2 ms for any chunk.
    fn chunk(pace: &mut Pace, tokens: usize) {
        let all = 27;
        let mut first = 0;
        while first < all {
            let segments = pace.segments(first, all);
            pace.learn(0.2 * segments.len() as f64, &segments, all);
            first = segments.end;
        }
        pace.end_chunk(tokens);
    }

    #[test]
    fn chunks_grow_after_short_ones() {
        let mut pace = Pace::new(512, false);
        for _ in 0..4 {
            chunk(&mut pace, 20);
        }
        assert_eq!((pace.tokens, pace.segments), (32, 27));
        for _ in 0..5 {
            let tokens = pace.tokens;
            chunk(&mut pace, tokens);
        }
        assert_eq!(pace.tokens, 512);
        // A whole chunk is one submit again.
        chunk(&mut pace, 512);
        assert_eq!(pace.segments, 27);
    }

    #[test]
    fn chunks_shrink_where_a_layer_is_slow() {
        let mut pace = Pace { segments: 4, tokens: 128, most: 512, layer_ms: f64::INFINITY };
        for first in (0..27).step_by(4) {
            pace.learn(1000.0, &(first..27.min(first + 4)), 27);
        }
        pace.end_chunk(128);
        assert_eq!((pace.tokens, pace.segments), (64, 1));
    }
}
