//! Runs a model over sequences of tokens.

use std::ops::Range;
use std::sync::Arc;

use web_time::Instant;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::{Step, StepRing};
use crate::leases::Leases;
use crate::model::{Activations, Room, Slots};
use crate::ops::MAX_SMALL_BATCH;
use crate::pace::Pace;
use crate::plans::Plans;
use crate::sampling::Sampling;
use crate::sequence::Sequence;

/// The most sequences of a [`Scheduler`](crate::Scheduler): a step's uniform has a place for each.
pub const MAX_SEQUENCES: usize = 2 * Step::PLACE_PAIRS;

/// The activations of a model, the memory of its sequences, and the order of its submits. [Sequences](Sequence) can share a
/// runner, because its activations hold nothing that a later step of a sequence needs.
pub(crate) struct Runner {
    pub(crate) engine: Engine,
    /// Which runner it is: its sequences hold the same.
    id: Arc<()>,
    /// Of a chunk of a prompt. Its logits are those that every token is chosen from.
    pub(crate) activations: Activations,
    pub(crate) slots: Arc<Slots>,
    free_slots: Leases,
    free_pages: Leases,
    pub(crate) plans: Plans,
    pub(crate) ring: StepRing,
    pub(crate) pace: Pace,
    bytes: u64,
}

impl Runner {
    /// A runner for one sequence of up to the engine's context.
    ///
    /// # Errors
    /// If there is no memory for its buffers.
    pub(crate) async fn new(engine: &Engine) -> Result<Self> {
        Self::with_room(engine, Room::for_one(engine.inner.context)).await
    }

    /// A runner for several sequences, none longer than the engine's context.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is room for none or for more than [`MAX_SEQUENCES`]; if there is no memory for its buffers.
    pub(crate) async fn with_room(engine: &Engine, room: Room) -> Result<Self> {
        let inner = &engine.inner;
        let check = |ok: bool, field, value: usize, expected| {
            if ok { Ok(()) } else { Err(Error::Setting { field, value: value.to_string(), expected }) }
        };
        check((1..=MAX_SEQUENCES).contains(&room.slots), "the number of sequences", room.slots, "from 1 to 64")?;
        check(room.context > 0 && room.pages > 0, "pages of the cache", room.pages, "at least 1")?;
        let slots = Arc::new(Slots::new(&inner.config, inner.cache_format, room));
        slots.check_size(&inner.gpu)?;
        slots.allocate(&inner.gpu).await?;
        let capabilities = inner.gpu.capabilities();
        let ring = StepRing::new(&inner.gpu).await?;
        let (activations, plans, decode_bytes);
        if room.slots == 1 {
            activations = Activations::of_one_sequence(&inner.config, capabilities, inner.prefill_chunk);
            plans = Plans::new(engine, &ring, &slots, &activations, &activations).await?;
            decode_bytes = 0;
        } else {
            // Buffers of their own, so that a decode step can come between two layers of a prompt.
            let decode = Activations::new(&inner.config, capabilities, room.slots, room.slots);
            activations = Activations::new(&inner.config, capabilities, inner.prefill_chunk, 1).sharing_logits(&decode);
            plans = Plans::new(engine, &ring, &slots, &activations, &decode).await?;
            decode_bytes = decode.bytes();
        }
        let bytes = slots.bytes() + activations.bytes() + decode_bytes;
        inner.gpu.check()?;
        let pace = Pace::new(inner.prefill_chunk, capabilities.discrete);
        let (free_slots, free_pages) = (Leases::new(room.slots), Leases::new(room.pages));
        let (engine, id) = (engine.clone(), Arc::new(()));
        Ok(Self { engine, id, activations, slots, free_slots, free_pages, plans, ring, pace, bytes })
    }

    /// A new, empty sequence for this runner, which has room for it.
    ///
    /// # Errors
    /// The errors of buffers.
    pub(crate) async fn sequence(&self) -> Result<Sequence> {
        let Some(slot) = self.free_slots.take() else {
            return Err(Error::Internal { reason: "a runner has no room for another sequence".into() });
        };
        Sequence::new(&self.engine, &self.id, &self.slots, slot, &self.free_pages).await
    }

    /// Bytes of its buffers on the device. The weights are the engine's.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sequences that there is still room for.
    pub(crate) fn free_slots(&self) -> usize {
        self.free_slots.free()
    }

    /// Pages of the cache that no sequence has.
    pub(crate) fn free_pages(&self) -> usize {
        self.free_pages.free()
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
            sequence.reserve(end)?;
            self.run_chunk(chunk, start, sequence.slot()).await?;
            if end == prompt.len() {
                return Ok(Prefilled { computed, last: start..end, body_done: true });
            }
            sequence.extend(chunk);
        }
    }

    /// Runs all layers on a chunk of a prompt, in submits whose length [`Pace`] chooses.
    async fn run_chunk(&mut self, chunk: &[u32], position: usize, slot: u32) -> Result<()> {
        let mut chunk = self.begin_chunk(chunk, position, slot);
        while !chunk.is_done() {
            self.run_segments(&mut chunk).await?;
        }
        Ok(())
    }

    /// Begins a chunk of a prompt, whose positions are reserved.
    pub(crate) fn begin_chunk(&self, chunk: &[u32], position: usize, slot: u32) -> Chunk {
        let step = self.activations.begin(&self.engine.inner.gpu, chunk, position, slot);
        Chunk { step, next: 0, all: self.plans.prefill_of(chunk.len()).segments() }
    }

    /// Runs the next layers of a chunk and waits for them, as many as [`Pace`] chooses.
    pub(crate) async fn run_segments(&mut self, chunk: &mut Chunk) -> Result<()> {
        let plan = self.plans.prefill_of(chunk.step.n_tokens as usize);
        let segments = self.pace.segments(chunk.next, chunk.all);
        // First: where this future is dropped, the layers are submitted and must not run again.
        chunk.next = segments.end;
        let started = Instant::now();
        self.engine.inner.gpu.run_segments(&mut self.ring, plan, segments.clone(), &chunk.step).await?;
        self.pace.learn(started.elapsed().as_secs_f64() * 1e3, &segments, chunk.all);
        if chunk.is_done() {
            self.pace.end_chunk(chunk.step.n_tokens as usize);
        }
        Ok(())
    }

    /// Submits the step that produces the first token after a prompt: what [`Runner::prefill`] left to compute.
    ///
    /// # Errors
    /// [`Error::CacheFull`].
    pub(crate) fn submit_first(
        &mut self,
        sequence: &mut Sequence,
        prompt: &[u32],
        prefilled: &Prefilled,
        draw: &Draw,
    ) -> Result<()> {
        let last = &prompt[prefilled.last.clone()];
        sequence.reserve(prefilled.last.end)?;
        sequence.extend(last);
        let step = Step { n_tokens: last.len() as u32, ..draw.step(prefilled.last.start, sequence.slot()) };
        self.submit(sequence, step, !prefilled.body_done, draw);
        Ok(())
    }

    /// Submits the step that takes the sequence's newest token as input and produces the next one. The host need not
    /// have read the newest token yet.
    ///
    /// # Errors
    /// [`Error::CacheFull`].
    pub(crate) fn submit_next(&mut self, sequence: &mut Sequence, draw: &Draw) -> Result<()> {
        let step = draw.step(sequence.advance(1)?, sequence.slot());
        self.submit(sequence, step, true, draw);
        Ok(())
    }

    /// The most tokens that a step can guess; 0 if this device cannot check guesses.
    pub(crate) fn most_guesses(&self) -> usize {
        let rows = self.activations.logits.rows().min(self.activations.residual.rows()).min(MAX_SMALL_BATCH);
        if self.plans.small_batch_logits.is_some() { rows - 1 } else { 0 }
    }

    /// Submits the step that takes the sequence's newest token and a guess of the tokens after it as inputs, at most
    /// [`Runner::most_guesses`], and draws the token after each. The host has read the newest token.
    ///
    /// # Errors
    /// [`Error::CacheFull`].
    pub(crate) fn submit_guess(&mut self, sequence: &mut Sequence, guess: &[u32], draw: &Draw) -> Result<()> {
        let draw_step = draw.step(sequence.advance(1 + guess.len())?, sequence.slot());
        let Self { engine, plans, activations, ring, .. } = self;
        let gpu = &engine.inner.gpu;
        let steps = plans.checking(gpu, activations, sequence, guess, &draw_step, &draw.sampling);
        sequence.submitted(&draw_step, guess, |copy| gpu.submit_commands([gpu.encode_steps(ring, &steps, copy)]));
        Ok(())
    }

    fn submit(&mut self, sequence: &mut Sequence, step: Step, with_body: bool, draw: &Draw) {
        let gpu = &self.engine.inner.gpu;
        let Plans { prompt_logits, decode, .. } = &self.plans;
        let choice = self.plans.choice(&draw.sampling);
        let ring = &mut self.ring;
        sequence.submitted(&step, &[], |copy| {
            let plans: &[_] =
                if with_body { &[&decode.body, &decode.logits, choice] } else { &[prompt_logits, choice] };
            let last = step.position + step.n_tokens - 1;
            let later = |i| Step { n_tokens: 1, position: last + i, draw: step.draw + i, ..step };
            gpu.submit_commands([gpu.encode_step(ring, plans, &step, later, copy)])
        });
    }
}

/// A chunk of a prompt whose layers are being computed.
pub(crate) struct Chunk {
    step: Step,
    /// The segment of its plan to run next.
    next: usize,
    all: usize,
}

impl Chunk {
    /// Whether all of its layers are computed.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.all
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
    pub(crate) fn step(&self, position: usize, slot: u32) -> Step {
        Step { slot, ..self.sampling.step(self.seed, position, self.number) }
    }
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
