//! A smaller model that guesses the tokens of another.

use web_time::Instant;

use crate::engine::Engine;
use crate::error::Result;
use crate::runner::{Draw, Runner};
use crate::sequence::{IN_FLIGHT, Sequence};

/// The smaller model, with the tokens that it has read.
pub(super) struct Draft {
    runner: Runner,
    sequence: Sequence,
}

impl Draft {
    pub(super) async fn new(engine: &Engine) -> Result<Self> {
        let runner = Runner::new(engine).await?;
        let sequence = runner.sequence().await?;
        Ok(Self { runner, sequence })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// What it draws after `taken` with the random numbers from this draw on, and the milliseconds of a token, without the time in
    /// which it reads what is new in `taken`. At least one token; all have room in its context.
    pub(super) async fn guess(&mut self, taken: &[u32], tokens: usize, draw: &Draw) -> Result<(Vec<u32>, Option<f64>)> {
        let Self { runner, sequence } = self;
        let draw = |i: usize| Draw { sampling: draw.sampling.clone(), seed: draw.seed, number: draw.number + i };
        sequence.drain().await?;
        let prefilled = runner.prefill(sequence, taken).await?;
        runner.submit_first(sequence, taken, &prefilled, &draw(0))?;
        let (mut guess, mut submitted, mut first) = (Vec::new(), 1, None);
        while guess.len() < tokens {
            while submitted < tokens && sequence.in_flight() < IN_FLIGHT {
                runner.submit_next(sequence, &draw(submitted))?;
                submitted += 1;
            }
            guess.push(sequence.take_token().await?);
            first.get_or_insert_with(Instant::now);
        }
        let further = guess.len() - 1;
        let ms = first.filter(|_| further > 0).map(|first| first.elapsed().as_secs_f64() * 1e3 / further as f64);
        Ok((guess, ms))
    }
}
