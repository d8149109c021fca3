//! Runs a model over sequences of tokens.

use std::ops::Range;
use std::sync::Arc;

use web_time::Instant;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::{Plan, Recording, Step, StepRing};
use crate::model::{Activations, Head, SequenceState, record_body, record_head};
use crate::ops::{MAX_SMALL_BATCH, Mode};
use crate::pace::Pace;
use crate::sampling::Sampling;
use crate::sequence::{Plans, Sequence};

/// The activations of a model, and the order of its submits. Any number of [sequences](Sequence) can share a runner,
/// because it holds nothing that a later step of a sequence needs.
pub struct Runner {
    pub(crate) engine: Engine,
    /// Which runner it is: its sequences and generations hold the same.
    pub(crate) id: Arc<()>,
    pub(crate) activations: Activations,
    pub(crate) ring: StepRing,
    pace: Pace,
}

impl Runner {
    /// A runner without sequences.
    ///
    /// # Errors
    /// If there is no memory for its buffers.
    pub async fn new(engine: &Engine) -> Result<Self> {
        let inner = &engine.inner;
        let activations = Activations::new(&inner.config, inner.gpu.capabilities(), inner.prefill_chunk, 1);
        let ring = StepRing::new(&inner.gpu).await?;
        let pace = Pace::new(inner.prefill_chunk, inner.gpu.capabilities().discrete);
        Ok(Self { engine: engine.clone(), id: Arc::new(()), activations, ring, pace })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A new, empty sequence for this runner.
    ///
    /// # Errors
    /// If there is no memory for its cache.
    pub async fn sequence(&self) -> Result<Sequence> {
        let inner = &self.engine.inner;
        let state = SequenceState::new(&inner.config, inner.cache_format, inner.context);
        state.allocate(&inner.gpu).await?;
        let body = async |mode| {
            let mut r = Recording::new(inner.gpu.capabilities());
            record_body(&mut r, mode, inner.model(), &state, &self.activations);
            r.finish(&inner.gpu, &self.ring).await
        };
        let head = async |head| {
            let mut r = Recording::new(inner.gpu.capabilities());
            record_head(&mut r, head, inner.model(), &state, &self.activations, inner.usable_vocab);
            r.finish(&inner.gpu, &self.ring).await
        };
        let plans = Plans {
            prefill: body(Mode::Prefill).await?,
            small_batch: match inner.kernels.small_batch {
                Some(_) => Some(body(Mode::SmallBatch).await?),
                None => None,
            },
            decode: body(Mode::Decode).await?,
            greedy: head(Head::Greedy).await?,
            sample: head(Head::Sample).await?,
        };
        inner.gpu.check()?;
        Sequence::new(&self.engine, &self.id, state, plans).await
    }

    /// A new sequence for this runner with the tokens of another of the same engine.
    ///
    /// # Errors
    /// [`Error::Setting`] if the sequence is of another engine; if there is no memory for a second cache.
    pub async fn fork(&self, sequence: &Sequence) -> Result<Sequence> {
        if !Arc::ptr_eq(&self.engine.inner, &sequence.engine.inner) {
            return Err(Error::Setting {
                field: "the sequence to fork",
                value: "of another engine".into(),
                expected: "of this runner's engine",
            });
        }
        let mut fork = self.sequence().await?;
        let gpu = &self.engine.inner.gpu;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        fork.state.copy_cache(&mut encoder, &sequence.state);
        let submission = gpu.submit_commands([encoder.finish()]);
        gpu.finish(submission).await?;
        fork.extend(sequence.tokens());
        Ok(fork)
    }

    /// Computes the keys and values of `prompt`, except what [`Runner::submit_first`] computes. The sequence keeps the
    /// prefix that it shares with the prompt.
    pub(crate) async fn prefill(&mut self, sequence: &mut Sequence, prompt: &[u32]) -> Result<Prefilled> {
        let shared = sequence.tokens().iter().zip(prompt).take_while(|(a, b)| a == b).count();
        // The last token is always computed, for its logits.
        sequence.rewind(shared.min(prompt.len() - 1));
        let computed = prompt.len() - sequence.tokens().len();
        if computed == 1 {
            sequence.set_token(prompt[prompt.len() - 1]);
            return Ok(Prefilled { computed, last: prompt.len() - 1..prompt.len(), body_done: false });
        }
        loop {
            let start = sequence.tokens().len();
            let end = prompt.len().min(start + self.pace.chunk());
            let chunk = &prompt[start..end];
            self.run_chunk(prefill_plan(&sequence.plans, chunk.len()), chunk, start).await?;
            if end == prompt.len() {
                return Ok(Prefilled { computed, last: start..end, body_done: true });
            }
            sequence.extend(chunk);
        }
    }

    /// Runs all layers on a chunk of a prompt, in submits whose length [`Pace`] chooses.
    async fn run_chunk(&mut self, plan: &Plan, chunk: &[u32], position: usize) -> Result<()> {
        let gpu = &self.engine.inner.gpu;
        gpu.write(&self.activations.tokens, 0, bytemuck::cast_slice(chunk));
        // Contexts are far shorter than 2^32.
        let step = Step { n_tokens: chunk.len() as u32, position: position as u32, ..Step::default() };
        let mut first = 0;
        while first < plan.segments() {
            let segments = self.pace.segments(first, plan.segments());
            let started = Instant::now();
            gpu.run_segments(&mut self.ring, plan, segments.clone(), &step).await?;
            self.pace.learn(started.elapsed().as_secs_f64() * 1e3, &segments, plan.segments());
            first = segments.end;
        }
        self.pace.end_chunk(chunk.len());
        Ok(())
    }

    /// Submits the step that produces the first token after a prompt: what [`Runner::prefill`] left to compute.
    pub(crate) fn submit_first(&mut self, sequence: &mut Sequence, prompt: &[u32], prefilled: &Prefilled, draw: &Draw) {
        let last = &prompt[prefilled.last.clone()];
        sequence.extend(last);
        let step = Step { n_tokens: last.len() as u32, ..draw.step(prefilled.last.start) };
        self.submit(sequence, step, !prefilled.body_done, draw);
    }

    /// Submits the step that takes the sequence's newest token as input and produces the next one. The host need not
    /// have read the newest token yet.
    pub(crate) fn submit_next(&mut self, sequence: &mut Sequence, draw: &Draw) {
        let step = draw.step(sequence.advance());
        self.submit(sequence, step, true, draw);
    }

    fn submit(&mut self, sequence: &mut Sequence, step: Step, with_body: bool, draw: &Draw) {
        let gpu = &self.engine.inner.gpu;
        sequence.submitted(&step, |plans, copy| {
            let head = if draw.sampling.is_greedy() { &plans.greedy } else { &plans.sample };
            let plans: &[_] = if with_body { &[&plans.decode, head] } else { &[head] };
            let last = step.position + step.n_tokens - 1;
            let later = |i| Step { n_tokens: 1, position: last + i, draw: step.draw + i, ..step };
            gpu.submit_commands([gpu.encode_step(&mut self.ring, plans, &step, later, copy)])
        });
    }
}

/// How a step's token is sampled.
pub(crate) struct Draw {
    pub(crate) sampling: Sampling,
    pub(crate) seed: u64,
    /// Tokens of this reply that were sampled before.
    pub(crate) number: usize,
}

impl Draw {
    fn step(&self, position: usize) -> Step {
        self.sampling.step(self.seed, position, self.number)
    }
}

/// The plan of a prefill step of this many tokens.
pub(crate) fn prefill_plan(plans: &Plans, tokens: usize) -> &Plan {
    plans.small_batch.as_ref().filter(|_| tokens <= MAX_SMALL_BATCH).unwrap_or(&plans.prefill)
}

/// What [`Runner::prefill`] computed.
pub(crate) struct Prefilled {
    /// Tokens of the prompt that were not in the cache.
    pub(crate) computed: usize,
    /// The positions of the last chunk.
    pub(crate) last: Range<usize>,
    /// Whether the last chunk went through all layers. If not, it is a single token, which the decode plan computes.
    pub(crate) body_done: bool,
}
