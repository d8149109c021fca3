//! The plans that a runner's steps submit.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing};
use crate::model::{Activations, Body, Head, SequenceBuffers, record_body, record_choice, record_logits};
use crate::ops::{MAX_SMALL_BATCH, Mode};
use crate::sampling::Sampling;
use crate::sequence::Sequence;

/// What a runner's steps submit.
pub(crate) struct Plans {
    prefill: Plan,
    /// For a small batch of prompt tokens; `None` without kernels for that.
    small_batch: Option<Plan>,
    /// The logits of the last token of a prompt's chunk.
    pub(crate) prompt_logits: Plan,
    /// The logits of each token of a small batch of prompt tokens, by which guessed tokens are checked. `None` where the small
    /// batch is computed less exactly than one token, or more exactly: replies would depend on what was guessed.
    pub(crate) small_batch_logits: Option<Plan>,
    /// For the newest token of one sequence.
    pub(crate) decode: Pass,
    /// For those of a small batch of sequences; `None` without kernels for that, or for one sequence.
    decode_small_batch: Option<Pass>,
    /// For those of more sequences; `None` for one sequence.
    decode_batch: Option<Pass>,
    pub(crate) greedy: Plan,
    sample: Plan,
}

/// All layers, and the logits.
pub(crate) struct Pass {
    pub(crate) body: Plan,
    pub(crate) logits: Plan,
}

impl Plans {
    /// Records them for the activations of a prompt and of decode steps, which are the same in a runner of one sequence.
    pub(crate) async fn new(
        engine: &Engine,
        ring: &StepRing,
        buffers: &SequenceBuffers,
        prompt: &Activations,
        decode: &Activations,
    ) -> Result<Self> {
        let inner = &engine.inner;
        let record = || Recording::new(inner.gpu.capabilities());
        let body = async |body, a: &Activations| {
            let mut r = record();
            record_body(&mut r, body, inner.model(), buffers, a);
            r.finish(&inner.gpu, ring).await
        };
        let logits = async |mode, a: &Activations| {
            let mut r = record();
            record_logits(&mut r, mode, inner.model(), a);
            r.finish(&inner.gpu, ring).await
        };
        let choice = async |head| {
            let mut r = record();
            record_choice(&mut r, head, inner.model(), buffers, decode);
            r.finish(&inner.gpu, ring).await
        };
        let pass = async |mode| {
            Ok::<_, Error>(Pass { body: body(Body::Newest(mode), decode).await?, logits: logits(mode, decode).await? })
        };
        let (small, several) = (inner.kernels.small_batch.is_some(), !std::ptr::eq(prompt, decode));
        let alike = inner.kernels.way(Mode::SmallBatch).rounding == inner.kernels.decode.rounding;
        Ok(Self {
            prefill: body(Body::Prompt(Mode::Prefill), prompt).await?,
            small_batch: if small { Some(body(Body::Prompt(Mode::SmallBatch), prompt).await?) } else { None },
            prompt_logits: logits(Mode::Decode, prompt).await?,
            small_batch_logits: if alike { Some(logits(Mode::SmallBatch, prompt).await?) } else { None },
            decode: pass(Mode::Decode).await?,
            decode_small_batch: if small && several { Some(pass(Mode::SmallBatch).await?) } else { None },
            decode_batch: if several { Some(pass(Mode::Prefill).await?) } else { None },
            greedy: choice(Head::Greedy).await?,
            sample: choice(Head::Sample).await?,
        })
    }

    /// The plan that chooses a token.
    pub(crate) fn choice(&self, sampling: &Sampling) -> &Plan {
        if sampling.is_greedy() { &self.greedy } else { &self.sample }
    }

    /// The plan of a prefill step of this many tokens.
    pub(crate) fn prefill_of(&self, tokens: usize) -> &Plan {
        self.small_batch.as_ref().filter(|_| tokens <= MAX_SMALL_BATCH).unwrap_or(&self.prefill)
    }

    /// What computes the newest token of a sequence and a guess of those after it, and draws the token after each, the first as
    /// `draw` says. Sets the ids of these tokens.
    pub(crate) fn checking<'p>(
        &'p self,
        gpu: &Gpu,
        activations: &Activations,
        sequence: &Sequence,
        guess: &[u32],
        draw: &Step,
        sampling: &Sampling,
    ) -> Vec<(&'p Plan, Step)> {
        let ids: Vec<u32> = sequence.taken().last().into_iter().chain(guess).copied().collect();
        let step = activations.begin(gpu, &ids, draw.position as usize, draw.slot);
        let choice = self.choice(sampling);
        // One after the other, each with a number of its own.
        let draws = (0..step.n_tokens).map(|row| (choice, Step { row, draw: draw.draw + row, ..*draw }));
        let logits = self.small_batch_logits.iter().map(|logits| (logits, step));
        std::iter::once((self.prefill_of(ids.len()), step)).chain(logits).chain(draws).collect()
    }

    /// The plans of a decode step of this many sequences.
    pub(crate) fn decode_of(&self, sequences: usize) -> &Pass {
        let small = self.decode_small_batch.as_ref().filter(|_| sequences <= MAX_SMALL_BATCH);
        match small.or(self.decode_batch.as_ref()) {
            Some(pass) if sequences > 1 => pass,
            _ => &self.decode,
        }
    }
}
