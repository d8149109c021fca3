//! Measuring a session: which kernels it runs, and how long they take.

use web_time::Instant;

use crate::error::Result;
use crate::gpu::{Plan, Step};
use crate::plans::Plans;
use crate::session::Session;

/// The plans of one greedy decode step.
fn greedy_step(plans: &Plans) -> [&Plan; 3] {
    let Plans { decode, greedy, .. } = plans;
    [&decode.body, &decode.logits, greedy]
}

impl Session {
    /// The kernels of one greedy decode step, one entry per dispatch.
    pub fn decode_kernels(&self) -> Vec<&'static str> {
        greedy_step(self.scheduler.plans()).into_iter().flat_map(Plan::kernels).collect()
    }

    /// The kernels of a prefill step of this many tokens, one entry per dispatch.
    pub fn prefill_kernels(&self, tokens: usize) -> Vec<&'static str> {
        self.scheduler.plans().prefill_of(tokens).kernels().collect()
    }

    /// Makes the session hold this many tokens without computing them, to measure the speed at that depth. Their keys
    /// and values are arbitrary, so replies after them are meaningless.
    ///
    /// # Errors
    /// [`Error::ContextFull`].
    pub async fn pretend(&mut self, tokens: usize) -> Result<()> {
        let (runner, sequence) = self.scheduler.alone().await?;
        sequence.check_fits(tokens)?;
        sequence.rewind(0);
        sequence.reserve(tokens)?;
        sequence.extend(&vec![runner.engine.inner.config.bos_id; tokens]);
        Ok(())
    }

    /// Runs one greedy decode step after the session's tokens and discards its token. Returns the kernel and the
    /// milliseconds of each dispatch. Timestamps keep dispatches from overlapping, so the sum exceeds the time of a
    /// normal step.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the adapter has no timestamps; [`Error::ContextFull`].
    pub async fn profile(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let (runner, sequence) = self.scheduler.alone().await?;
        let inner = &runner.engine.inner;
        let position = sequence.tokens().len();
        sequence.reserve(position + 1)?;
        sequence.set_token(sequence.tokens().last().copied().unwrap_or(inner.config.bos_id));
        // Contexts are far shorter than 2^32.
        let step = Step { position: position as u32, slot: sequence.slot(), ..Step::default() };
        inner.gpu.profile(&mut runner.ring, &greedy_step(&runner.plans), &step).await
    }

    /// Microseconds that the host takes to encode a greedy decode step, for each of this many tokens. The device is idle: a
    /// software adapter uses all cores of the processor and would disturb the measurement.
    ///
    /// # Errors
    /// If the device is lost.
    pub async fn host_us(&mut self, tokens: usize) -> Result<Vec<f64>> {
        let (runner, sequence) = self.scheduler.alone().await?;
        let (gpu, first) = (&runner.engine.inner.gpu, sequence.tokens().len());
        let plans = greedy_step(&runner.plans);
        let encode = |i: usize| {
            // Positions may exceed the context, because none of these steps runs.
            let step = Step { position: (first + i) as u32, draw: i as u32, ..Step::default() };
            let started = Instant::now();
            let commands = gpu.encode_step(&mut runner.ring, &plans, &step, |_| {});
            let elapsed = started.elapsed();
            drop(commands);
            1e6 * elapsed.as_secs_f64()
        };
        Ok((0..tokens).map(encode).collect())
    }
}
