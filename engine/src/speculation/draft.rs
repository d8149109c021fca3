//! A smaller model that guesses the tokens of another.

use web_time::Instant;

use crate::engine::Engine;
use crate::error::Result;
use crate::gpu::{Readback, Step};
use crate::ops::{MAX_SMALL_BATCH, TokenSink};
use crate::runner::{Draw, Runner};
use crate::sequence::Sequence;

/// The smaller model, with the tokens that it has read.
pub(super) struct Draft {
    runner: Runner,
    sequence: Sequence,
    /// `None` while it is read: where that future is dropped, the buffer stays mapped, and the next read makes another one.
    readback: Option<Readback>,
}

impl Draft {
    pub(super) async fn new(engine: &Engine) -> Result<Self> {
        let runner = Runner::new(engine).await?;
        let sequence = runner.sequence()?;
        Ok(Self { runner, sequence, readback: None })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// What it draws after `taken` with the random numbers from this draw on, and the milliseconds of a token. From 1 to
    /// [`MAX_SMALL_BATCH`] tokens; all have room in its context.
    pub(super) async fn guess(&mut self, taken: &[u32], tokens: usize, draw: &Draw) -> Result<(Vec<u32>, f64)> {
        let Self { runner, sequence, readback } = self;
        let shared = sequence.tokens().iter().zip(taken).take_while(|(a, b)| a == b).count();
        // The last token is always computed, for its logits.
        sequence.rewind(shared.min(taken.len() - 1));
        // What is new is mostly a token or two. Of a longer text the beginning is computed first.
        while taken.len() - sequence.tokens().len() > MAX_SMALL_BATCH {
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
        let Runner { engine, plans, slots, activations, ring, .. } = runner;
        let (gpu, new) = (&engine.inner.gpu, &taken[start..]);
        let (decode, choice) = (&plans.decode, plans.choice(&draw.sampling));
        let step = |i: usize, position: usize| {
            Draw { sampling: draw.sampling.clone(), seed: draw.seed, number: draw.number + i }.step(position, slot)
        };
        let first = Step { n_tokens: new.len() as u32, ..step(0, start) };
        let (body, logits) = if let [only] = new {
            sequence.set_token(*only);
            (&decode.body, &decode.logits)
        } else {
            activations.begin(gpu, new, start, slot);
            (plans.prefill_of(new.len()), &plans.prompt_logits)
        };
        // No token needs anything from the host, so all of them are one submit.
        let mut steps = vec![(body, first), (logits, first), (choice, first)];
        for i in 1..tokens {
            let step = step(i, taken.len() + i - 1);
            steps.extend([(&decode.body, step), (&decode.logits, step), (choice, step)]);
        }
        gpu.submit_commands([gpu.encode_steps(ring, &steps, |_| {})]);
        let results = &slots.sink.results;
        let buffer = match readback.take() {
            Some(buffer) => buffer,
            None => Readback::new(gpu, results.bytes()).await?,
        };
        let words: Vec<u32> = buffer.read(gpu, results.memory(), results.bytes(), bytemuck::pod_collect_to_vec).await?;
        *readback = Some(buffer);
        let words = (0..tokens as u32).map(|i| words[TokenSink::result_word(slot as usize, first.draw + i)]);
        let drawn = words.map(|word| engine.token_of(word)).collect::<Result<Vec<u32>>>()?;
        sequence.extend(new);
        sequence.extend(&drawn[..tokens - 1]);
        Ok((drawn, started.elapsed().as_secs_f64() * 1e3 / tokens as f64))
    }
}
