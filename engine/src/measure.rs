//! Measuring a session: which kernels it runs, and how long they take.

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Plan, Step};
use crate::plans::Plans;
use crate::session::Session;

impl Session {
    /// The plans of one greedy decode step.
    fn greedy_step(&self) -> [&Plan; 3] {
        let Plans { decode, greedy, .. } = &self.runner.plans;
        [&decode.body, &decode.logits, greedy]
    }

    /// The kernels of one greedy decode step, one entry per dispatch.
    pub fn decode_kernels(&self) -> Vec<&'static str> {
        self.greedy_step().into_iter().flat_map(Plan::kernels).collect()
    }

    /// The kernels of a prefill step of this many tokens, one entry per dispatch.
    pub fn prefill_kernels(&self, tokens: usize) -> Vec<&'static str> {
        self.runner.plans.prefill_of(tokens).kernels().collect()
    }

    /// Makes the session hold this many tokens without computing them, to measure the speed at that depth. Their keys
    /// and values are arbitrary, so replies after them are meaningless.
    ///
    /// # Errors
    /// [`Error::ContextFull`].
    pub async fn pretend(&mut self, tokens: usize) -> Result<()> {
        self.sequence.drain().await?;
        let inner = &self.runner.engine.inner;
        if tokens > inner.context {
            return Err(Error::ContextFull { tokens, context: inner.context });
        }
        self.sequence.rewind(0);
        self.sequence.reserve(tokens)?;
        self.sequence.extend(&vec![inner.config.bos_id; tokens]);
        Ok(())
    }

    /// Runs one greedy decode step after the session's tokens and discards its token. Returns the kernel and the
    /// milliseconds of each dispatch. Timestamps keep dispatches from overlapping, so the sum exceeds the time of a
    /// normal step.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the adapter has no timestamps; [`Error::ContextFull`].
    pub async fn profile(&mut self) -> Result<Vec<(&'static str, f64)>> {
        self.sequence.drain().await?;
        let inner = &self.runner.engine.inner;
        let (tokens, context) = (self.sequence.tokens(), inner.context);
        if tokens.len() >= context {
            return Err(Error::ContextFull { tokens: tokens.len() + 1, context });
        }
        let position = tokens.len();
        self.sequence.set_token(tokens.last().copied().unwrap_or(inner.config.bos_id));
        self.sequence.reserve(position + 1)?;
        // Contexts are far shorter than 2^32.
        let step = Step { position: position as u32, slot: self.sequence.slot(), ..Step::default() };
        let Plans { decode, greedy, .. } = &self.runner.plans;
        inner.gpu.profile(&mut self.runner.ring, &[&decode.body, &decode.logits, greedy], &step).await
    }

    /// Microseconds that the host takes to encode a greedy decode step, for each of this many tokens. The device is idle: a
    /// software adapter uses all cores of the processor and would disturb the measurement.
    ///
    /// # Errors
    /// If the device is lost.
    pub async fn host_us(&mut self, tokens: usize) -> Result<Vec<f64>> {
        self.sequence.drain().await?;
        let (gpu, first) = (&self.runner.engine.inner.gpu, self.sequence.tokens().len());
        let Plans { decode, greedy, .. } = &self.runner.plans;
        let plans = [&decode.body, &decode.logits, greedy];
        let encode = |i: usize| {
            // Positions may exceed the context, because none of these steps runs.
            let step = Step { position: (first + i) as u32, draw: i as u32, ..Step::default() };
            let later = |i| Step { position: step.position + i, draw: step.draw + i, ..step };
            let started = Instant::now();
            let commands = gpu.encode_step(&mut self.runner.ring, &plans, &step, later, |_| {});
            let elapsed = started.elapsed();
            drop(commands);
            1e6 * elapsed.as_secs_f64()
        };
        Ok((0..tokens).map(encode).collect())
    }
}
