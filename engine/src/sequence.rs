//! A sequence of tokens: their ids, their keys and values, and the steps that extend it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::{Mapping, Plan, Readback, Step};
use crate::model::SequenceState;
use crate::ops::{NO_TOKEN, TokenSink};

/// The most steps of a sequence in flight: submitted, and their tokens not yet read by the host.
pub(crate) const IN_FLIGHT: usize = 2;

/// A sequence of tokens with its KV cache. It is the only owner of its ids and its cache. A [`Runner`](crate::Runner),
/// which several sequences can share, extends it.
pub struct Sequence {
    pub(crate) engine: Engine,
    /// Which runner its plans are of.
    pub(crate) runner: Arc<()>,
    /// Another one after each rewind. A generation goes on only where it began.
    pub(crate) version: Arc<()>,
    /// The tokens that the host has read, without those of steps in flight.
    ids: Vec<u32>,
    /// Positions whose keys and values are in the cache once all submitted steps are done.
    computed: usize,
    pub(crate) state: SequenceState,
    pub(crate) plans: Plans,
    /// One per step in flight.
    readbacks: Vec<Readback>,
    in_flight: VecDeque<InFlight>,
}

/// The plans of a sequence, over the activations of its runner.
pub(crate) struct Plans {
    pub(crate) prefill: Plan,
    /// For a small batch of prompt tokens; `None` without kernels for that.
    pub(crate) small_batch: Option<Plan>,
    pub(crate) decode: Plan,
    pub(crate) greedy: Plan,
    pub(crate) sample: Plan,
}

/// A submitted step whose token the host has not read yet.
struct InFlight {
    submission: wgpu::SubmissionIndex,
    readback: usize,
    mapping: Mapping,
}

impl Sequence {
    /// An empty sequence of a runner.
    pub(crate) async fn new(engine: &Engine, runner: &Arc<()>, state: SequenceState, plans: Plans) -> Result<Self> {
        let mut readbacks = Vec::new();
        for _ in 0..IN_FLIGHT {
            readbacks.push(Readback::new(&engine.inner.gpu, 4).await?);
        }
        Ok(Self {
            engine: engine.clone(),
            runner: runner.clone(),
            version: Arc::new(()),
            ids: Vec::new(),
            computed: 0,
            state,
            plans,
            readbacks,
            in_flight: VecDeque::new(),
        })
    }

    /// The tokens whose keys and values are in the cache.
    pub fn tokens(&self) -> &[u32] {
        &self.ids[..self.ids.len().min(self.computed)]
    }

    /// Removes all tokens after the first `len`. This costs nothing: attention does not read cache positions past the
    /// sequence. A generation of this sequence that has begun cannot go on after it.
    pub fn rewind(&mut self, len: usize) {
        self.version = Arc::new(());
        self.computed = len.min(self.tokens().len());
        self.ids.truncate(self.computed);
    }

    /// Appends tokens whose keys and values are in the cache.
    pub(crate) fn extend(&mut self, ids: &[u32]) {
        debug_assert_eq!(self.ids.len(), self.computed, "steps in flight come first");
        self.ids.extend_from_slice(ids);
        self.computed = self.ids.len();
    }

    /// Sets the tokens that the repetition penalty applies to at the start of a reply.
    pub(crate) fn set_seen(&self, ids: &[u32]) {
        let inner = &self.engine.inner;
        let bits = TokenSink::bits_of(ids, inner.config.vocab_size);
        inner.gpu.write(&self.state.sink.seen, 0, bytemuck::cast_slice(&bits));
    }

    /// Sets the input token of the next decode step.
    pub(crate) fn set_token(&self, id: u32) {
        self.engine.inner.gpu.write(&self.state.sink.token, 0, bytemuck::bytes_of(&id));
    }

    /// Steps in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Reserves the position of the next decode step's input token, and returns it.
    pub(crate) fn advance(&mut self) -> usize {
        self.computed += 1;
        self.computed - 1
    }

    /// Records a step in flight. `submit` gets the plans and a function that encodes the copy of the step's token to a
    /// readback buffer.
    pub(crate) fn submitted(
        &mut self,
        step: &Step,
        submit: impl FnOnce(&Plans, &dyn Fn(&mut wgpu::CommandEncoder)) -> wgpu::SubmissionIndex,
    ) {
        let readback = step.draw as usize % IN_FLIGHT;
        let results = self.state.sink.results.memory();
        let copy = |encoder: &mut wgpu::CommandEncoder| {
            self.readbacks[readback].copy(encoder, results, TokenSink::result_offset(step.draw), 4);
        };
        let submission = submit(&self.plans, &copy);
        let mapping = self.readbacks[readback].request(4);
        self.in_flight.push_back(InFlight { submission, readback, mapping });
    }

    /// Waits for the token of the oldest step in flight, and appends it to the sequence.
    pub(crate) async fn take_token(&mut self) -> Result<u32> {
        let token = self.take_result().await?;
        let inner = &self.engine.inner;
        match token {
            NO_TOKEN => Err(Error::NoToken { model: self.engine.name().to_owned() }),
            _ if token as usize >= inner.config.vocab_size => {
                let reason = format!("it chose the token {token} out of {}", inner.config.vocab_size);
                Err(Error::Gpu { reason })
            }
            _ => {
                self.ids.push(token);
                Ok(token)
            }
        }
    }

    /// Waits for the token of the oldest step in flight. A step leaves the queue only when its readback is free again,
    /// so dropping the future is safe at any time.
    async fn take_result(&mut self) -> Result<u32> {
        let Some(step) = self.in_flight.front_mut() else {
            return Err(Error::Gpu { reason: "no step is in flight".into() });
        };
        let token = self.readbacks[step.readback]
            .take(
                &self.engine.inner.gpu,
                step.submission.clone(),
                &mut step.mapping,
                bytemuck::pod_read_unaligned::<u32>,
            )
            .await;
        // A buffer cannot be mapped again before its mapping is over.
        if step.mapping.is_over() {
            self.in_flight.pop_front();
        }
        token
    }

    /// Waits for the steps in flight of an earlier reply, and discards their tokens.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        // First, so that the earlier reply cannot go on without these tokens where this future is dropped.
        self.version = Arc::new(());
        while !self.in_flight.is_empty() {
            self.take_result().await?;
        }
        self.rewind(self.ids.len());
        Ok(())
    }
}
