//! A smaller model that guesses the tokens of another.

use web_time::Instant;

use crate::engine::Engine;
use crate::error::Result;
use crate::gpu::{Readback, Step};
use crate::model::Capacity;
use crate::ops::{MAX_SMALL_BATCH, TokenSink};
use crate::runner::Runner;
use crate::sampling::Sampling;
use crate::sequence::Sequence;

/// The smaller model, with the tokens that it has read.
pub(super) struct Draft {
    runner: Runner,
    sequence: Sequence,
    readback: Option<Readback>,
}

impl Draft {
    pub(super) async fn new(engine: &Engine) -> Result<Self> {
        let runner = Runner::new(engine, Capacity::for_one(engine.context())).await?;
        let sequence = runner.sequence()?;
        Ok(Self { runner, sequence, readback: None })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// What it draws after `taken`, with the random numbers of this draw and those after it, and the milliseconds of a token. At least
    /// one token; all have room in its context.
    pub(super) async fn guess(
        &mut self,
        taken: &[u32],
        tokens: usize,
        sampling: &Sampling,
        draw: &Step,
    ) -> Result<(Vec<u32>, f64)> {
        let Self { runner, sequence, readback } = self;
        // The last token is always computed, for its logits.
        sequence.rewind(sequence.shared_with(taken).min(taken.len() - 1));
        // What is new is mostly a token or two. Of a longer text the beginning is computed first.
        let most = MAX_SMALL_BATCH.min(runner.activations.residual.rows());
        while taken.len() - sequence.tokens().len() > most {
            let start = sequence.tokens().len();
            let end = (taken.len() - 1).min(start + runner.pace.chunk());
            sequence.reserve(end)?;
            let mut chunk = runner.begin_chunk(&taken[start..end], start, sequence.slot());
            while !chunk.is_done() {
                runner.run_segments(&mut chunk).await?;
            }
            sequence.extend(&taken[start..end]);
        }
        let started = Instant::now();
        let (start, slot) = (sequence.tokens().len(), sequence.slot());
        sequence.reserve(taken.len() + tokens - 1)?;
        let Runner { engine, plans, buffers, activations, ring, .. } = runner;
        let (gpu, new) = (&engine.inner.gpu, &taken[start..]);
        let (decode, choice) = (&plans.decode, plans.choice(sampling));
        let first = Step { n_tokens: new.len() as u32, position: start as u32, slot, ..*draw };
        let (mut body, mut logits) = (&decode.body, &decode.logits);
        if let [only] = new {
            sequence.set_token(*only);
        } else {
            activations.begin(gpu, new, start, slot);
            (body, logits) = (plans.prefill_of(new.len()), &plans.prompt_logits);
        }
        let mut submit = |body, logits, step: &Step| {
            gpu.submit_commands([gpu.encode_step(ring, &[body, logits, choice], step, |_| {})]);
        };
        submit(body, logits, &first);
        // No token needs anything from the host, so nothing waits between them.
        for i in 1..tokens as u32 {
            submit(&decode.body, &decode.logits, &first.later(i));
        }
        let results = &buffers.sink.results;
        let read = |bytes: &[u8]| bytemuck::pod_collect_to_vec(bytes);
        let words: Vec<u32> = Readback::reuse(readback, gpu, results, results.bytes(), read).await?;
        let words = (0..tokens as u32).map(|i| words[TokenSink::result_word(slot as usize, draw.draw + i)]);
        let drawn = words.map(|word| engine.token_of(word)).collect::<Result<Vec<u32>>>()?;
        sequence.extend(new);
        sequence.extend(&drawn[..tokens - 1]);
        Ok((drawn, started.elapsed().as_secs_f64() * 1e3 / tokens as f64))
    }
}
