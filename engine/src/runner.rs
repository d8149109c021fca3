//! Runs a model over sequences of tokens.

use std::sync::Arc;

use web_time::Instant;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::{Step, StepRing};
use crate::leases::Leases;
use crate::model::{Activations, Capacity, SequenceBuffers};
use crate::ops::MAX_SMALL_BATCH;
use crate::pace::Pace;
use crate::plans::Plans;
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
    pub(crate) buffers: Arc<SequenceBuffers>,
    free_slots: Leases,
    free_pages: Leases,
    pub(crate) plans: Plans,
    pub(crate) ring: StepRing,
    pub(crate) pace: Pace,
    bytes: u64,
}

impl Runner {
    /// A runner for sequences, none longer than the engine's context.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is room for none or for more than [`MAX_SEQUENCES`]; if there is no memory for its buffers.
    pub(crate) async fn new(engine: &Engine, capacity: Capacity) -> Result<Self> {
        let inner = &engine.inner;
        let check = |ok: bool, field, value: usize, expected| {
            if ok { Ok(()) } else { Err(Error::Setting { field, value: value.to_string(), expected }) }
        };
        check(
            (1..=MAX_SEQUENCES).contains(&capacity.slots),
            "the number of sequences",
            capacity.slots,
            "from 1 to 64",
        )?;
        check(capacity.context > 0 && capacity.pages > 0, "pages of the cache", capacity.pages, "at least 1")?;
        let buffers = Arc::new(SequenceBuffers::new(&inner.config, inner.cache_format, capacity));
        buffers.check_size(&inner.gpu)?;
        buffers.allocate(&inner.gpu).await?;
        let capabilities = inner.gpu.capabilities();
        let ring = StepRing::new(&inner.gpu).await?;
        let (activations, plans, decode_bytes);
        if capacity.slots == 1 {
            activations = Activations::of_one_sequence(&inner.config, capabilities, inner.prefill_chunk);
            plans = Plans::new(engine, &ring, &buffers, &activations, &activations).await?;
            decode_bytes = 0;
        } else {
            // Buffers of their own, so that a decode step can come between two layers of a prompt.
            let decode = Activations::new(&inner.config, capabilities, capacity.slots, capacity.slots);
            activations = Activations::new(&inner.config, capabilities, inner.prefill_chunk, 1).sharing_logits(&decode);
            plans = Plans::new(engine, &ring, &buffers, &activations, &decode).await?;
            decode_bytes = decode.bytes();
        }
        let bytes = buffers.bytes() + activations.bytes() + decode_bytes;
        inner.gpu.check()?;
        let pace = Pace::new(inner.prefill_chunk, capabilities.discrete);
        let (free_slots, free_pages) = (Leases::new(capacity.slots), Leases::new(capacity.pages));
        let (engine, id) = (engine.clone(), Arc::new(()));
        Ok(Self { engine, id, activations, buffers, free_slots, free_pages, plans, ring, pace, bytes })
    }

    /// A new, empty sequence for this runner, which has room for it.
    ///
    /// # Errors
    /// [`Error::Internal`] if it has none.
    pub(crate) fn sequence(&self) -> Result<Sequence> {
        let Some(slot) = self.free_slots.take() else {
            return Err(Error::Internal { reason: "a runner has no room for another sequence".into() });
        };
        Ok(Sequence::new(&self.engine, &self.id, &self.buffers, slot, &self.free_pages))
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

    /// Begins a chunk of a prompt, whose positions are reserved.
    pub(crate) fn begin_chunk(&self, chunk: &[u32], position: usize, slot: u32) -> Chunk {
        let step = self.activations.begin(&self.engine.inner.gpu, chunk, position, slot);
        Chunk { step, next: 0, all: self.plans.prefill_of(chunk.len()).segments() }
    }

    /// Runs the next layers of a chunk and waits for them, as many as [`Pace`] chooses. In browsers, which tell late what has ended, it
    /// waits once for all layers, in as many submits.
    pub(crate) async fn run_segments(&mut self, chunk: &mut Chunk) -> Result<()> {
        let plan = self.plans.prefill_of(chunk.step.n_tokens as usize);
        let gpu = &self.engine.inner.gpu;
        let (first, started) = (self.pace.segments(chunk.next, chunk.all), Instant::now());
        let submission = loop {
            let segments = self.pace.segments(chunk.next, chunk.all);
            // First: where this future is dropped, the layers are submitted and must not run again.
            chunk.next = segments.end;
            let submission = gpu.submit_segments(&mut self.ring, plan, segments, &chunk.step, 1);
            if cfg!(not(target_arch = "wasm32")) || chunk.is_done() {
                break submission;
            }
        };
        gpu.finish(submission).await?;
        let share = first.len() as f64 / (chunk.next - first.start) as f64;
        self.pace.learn(started.elapsed().as_secs_f64() * 1e3 * share, &first, chunk.all);
        if chunk.is_done() {
            self.pace.end_chunk(chunk.step.n_tokens as usize);
        }
        Ok(())
    }

    /// The most tokens that a step can guess; 0 if this device cannot check guesses.
    pub(crate) fn most_guesses(&self) -> usize {
        let rows = self.activations.logits.rows().min(self.activations.residual.rows()).min(MAX_SMALL_BATCH);
        if self.plans.small_batch_logits.is_some() { rows - 1 } else { 0 }
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
