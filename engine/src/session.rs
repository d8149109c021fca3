//! A sequence of tokens, its KV cache, and what it takes to extend it.

use std::collections::VecDeque;
use std::ops::Range;

use web_time::Instant;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::generation::Generation;
use crate::gpu::{Mapping, Plan, Readback, Recorder, StepRing, StepUniform};
use crate::model::{Few, Head, KvCache, Mode, State, folds_seam, record_body, record_head};
use crate::ops::{FEW_TOKENS, NO_TOKEN};
use crate::quant::Matrix;
use crate::sampling::Sampling;

/// Rows of logits made at once when a caller wants all of them.
const LOGIT_ROWS: usize = 32;
/// Steps that may run on the device while the host still waits for an earlier token.
pub(crate) const IN_FLIGHT: usize = 2;
/// A submit should take no longer than this, in milliseconds: drivers kill long ones, desktops freeze, and a caller who
/// cancels waits for it.
const SUBMIT_MS: f64 = 60.0;

/// A sequence of tokens and its KV cache. Owns all the buffers that a step needs; the weights stay with the engine.
pub struct Session {
    pub(crate) engine: Engine,
    pub(crate) state: State,
    cache: KvCache,
    pub(crate) ring: StepRing,
    prefill: Plan,
    /// The same for a few tokens, where there are kernels for those.
    few: Option<Plan>,
    pub(crate) decode: Plan,
    pub(crate) greedy: Plan,
    pub(crate) sample: Plan,
    /// Tokens whose keys and values are in the cache.
    pub(crate) ids: Vec<u32>,
    /// One for each step in flight.
    pub(crate) readbacks: Vec<Readback>,
    pub(crate) in_flight: VecDeque<InFlight>,
    pace: Pace,
}

/// A submitted step whose token the host has not seen yet.
pub(crate) struct InFlight {
    pub(crate) submission: wgpu::SubmissionIndex,
    pub(crate) readback: usize,
    pub(crate) mapping: Mapping,
}

/// How much to submit at once, learned from how long it takes.
struct Pace {
    parts: usize,
    tokens: usize,
    /// Milliseconds of the fastest part of the chunk under way: the first dispatches compile pipelines.
    part_ms: f64,
}

impl Session {
    pub(crate) async fn new(engine: &Engine) -> Result<Self> {
        let inner = &engine.inner;
        let gpu = &inner.gpu;
        let cache = KvCache::new(gpu, &inner.config, inner.cache_format, inner.context).await?;
        let state = State::new(gpu, &inner.config, inner.prefill_chunk.max(1), 1).await?;
        let ring = StepRing::new(gpu).await?;

        let body = async |mode| {
            let mut r = Recorder::new(gpu, &ring);
            record_body(&mut r, mode, inner.model(), &cache, &state).await?;
            Ok::<_, Error>(r.finish())
        };
        let head = async |head| {
            let mut r = Recorder::new(gpu, &ring);
            record_head(&mut r, head, inner.model(), &state, inner.usable_vocab).await?;
            Ok::<_, Error>(r.finish())
        };
        let prefill = body(Mode::Prefill).await?;
        let few = if inner.kernels.few == Few::AsMany { None } else { Some(body(Mode::Few).await?) };
        let decode = body(Mode::Decode).await?;
        let greedy = head(Head::Greedy).await?;
        let sample = head(Head::Sample).await?;

        let mut readbacks = Vec::new();
        for _ in 0..IN_FLIGHT {
            readbacks.push(Readback::new(gpu, 4).await?);
        }
        gpu.check()?;
        let pace = Pace { parts: 1, tokens: inner.prefill_chunk.min(32), part_ms: f64::INFINITY };
        Ok(Self {
            engine: engine.clone(),
            state,
            cache,
            ring,
            prefill,
            few,
            decode,
            greedy,
            sample,
            ids: Vec::new(),
            readbacks,
            in_flight: VecDeque::new(),
            pace,
        })
    }

    /// The tokens whose keys and values the session holds.
    pub fn tokens(&self) -> &[u32] {
        &self.ids
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The kernels of one decoded token, one entry a dispatch.
    pub fn decode_kernels(&self) -> Vec<&'static str> {
        self.decode.kernels().chain(self.greedy.kernels()).collect()
    }

    /// Dispatches of one greedily decoded token where the matrices of every layer share a format and each fits a binding:
    /// seven a layer (one less where the seam is folded into the product behind it, one more where workgroups share the keys
    /// of a head and what they found is merged), two before and four after them. What
    /// [`Session::decode_kernels`] has beyond is owed to the file and the adapter.
    pub fn planned_dispatches(&self) -> usize {
        let inner = &self.engine.inner;
        let (config, kernels) = (&inner.config, inner.kernels);
        let rounds = |weights: &Matrix| kernels.matvec.rounds() && weights.format().is_integer();
        // The head's input is rounded apart from the norm before it.
        let rounding = rounds(&inner.weights.embedding);
        let int8 = inner.weights.layers.first().is_some_and(|layer| rounds(&layer.down));
        let folds = folds_seam(kernels, int8, inner.gpu.capabilities(), config.hidden_size);
        let layer = 7 + usize::from(self.state.partials.is_some()) - usize::from(folds);
        2 + layer * config.num_layers + 4 + usize::from(rounding)
    }

    /// The kernels of a step of so many tokens of a prompt, one entry a dispatch.
    pub fn prefill_kernels(&self, tokens: usize) -> Vec<&'static str> {
        prefill_plan(&self.prefill, &self.few, tokens).kernels().collect()
    }

    /// Makes the session hold this many tokens that it never computed, to measure how fast it is at that depth. What their
    /// keys and values are does not matter to speed; replies after them are nonsense.
    ///
    /// # Errors
    /// [`Error::ContextFull`].
    pub async fn pretend(&mut self, tokens: usize) -> Result<()> {
        self.drain().await?;
        let context = self.engine.inner.context;
        if tokens > context {
            return Err(Error::ContextFull { tokens, context });
        }
        self.ids.clear();
        self.ids.resize(tokens, self.engine.inner.config.bos_id);
        Ok(())
    }

    /// Runs one step of greedy decoding after the session's tokens and forgets it again; gives the kernel and milliseconds
    /// of each of its dispatches. Stamps keep dispatches apart, so the sum is more than a token really takes.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the adapter has no timestamps; [`Error::ContextFull`].
    pub async fn profile(&mut self) -> Result<Vec<(&'static str, f64)>> {
        self.drain().await?;
        let (position, context) = (self.ids.len(), self.engine.inner.context);
        if position >= context {
            return Err(Error::ContextFull { tokens: position + 1, context });
        }
        let token = self.ids.last().copied().unwrap_or(self.engine.inner.config.bos_id);
        let gpu = &self.engine.inner.gpu;
        gpu.queue().write_buffer(&self.state.tokens, 0, bytemuck::bytes_of(&token));
        // Contexts are far shorter than 2^32.
        let step = StepUniform { position: position as u32, ..StepUniform::default() };
        gpu.profile(&mut self.ring, &[&self.decode, &self.greedy], &step).await
    }

    /// Microseconds that the host takes to encode the steps of some greedy tokens, the device idle; one entry a token.
    ///
    /// # Errors
    /// If the device is lost.
    pub async fn host_us(&mut self, tokens: usize) -> Result<Vec<f64>> {
        self.drain().await?;
        let (gpu, first) = (&self.engine.inner.gpu, self.ids.len());
        let plans = [&self.decode, &self.greedy];
        let encode = |i: usize| {
            // Steps after the last that there is room for do no harm, as none runs.
            let step = StepUniform { position: (first + i) as u32, draw: i as u32, ..StepUniform::default() };
            1e3 * gpu.encode_ms(&mut self.ring, &plans, &step)
        };
        Ok((0..tokens).map(encode).collect())
    }

    /// Forgets all tokens from `len` on. Free: what is in the cache beyond stays unseen.
    pub fn rewind(&mut self, len: usize) {
        self.ids.truncate(len);
    }

    /// A session of its own with the same tokens.
    ///
    /// # Errors
    /// If there is no memory for a second cache.
    pub async fn fork(&self) -> Result<Self> {
        let mut fork = Self::new(&self.engine).await?;
        let gpu = &self.engine.inner.gpu;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        fork.cache.copy_from(&mut encoder, &self.cache);
        let submission = gpu.submit_commands([encoder.finish()]);
        gpu.finish(submission).await?;
        fork.ids.clone_from(&self.ids);
        Ok(fork)
    }

    /// [`Session::fork`], blocking.
    ///
    /// # Errors
    /// As for `fork`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fork_blocking(&self) -> Result<Self> {
        pollster::block_on(self.fork())
    }

    /// Continues `prompt` as `sampling` says. Tokens that the session holds already are not computed again: a second turn
    /// costs only what is new.
    ///
    /// Nothing runs until [`Generation::next`]; dropping the generation cancels it.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`], [`Error::ContextFull`], [`Error::Setting`].
    pub fn generate<'s>(&'s mut self, prompt: &[u32], sampling: &Sampling) -> Result<Generation<'s>> {
        sampling.check()?;
        self.check_tokens(prompt)?;
        Ok(Generation::new(self, prompt.to_vec(), sampling.clone()))
    }

    /// The logits of the token that would follow `prompt`, after the soft-cap: as many as the vocabulary has tokens.
    ///
    /// # Errors
    /// As for [`Session::generate`].
    pub async fn next_logits(&mut self, prompt: &[u32]) -> Result<Vec<f32>> {
        let sampling = Sampling { max_tokens: Some(1), ..Sampling::greedy() };
        self.generate(prompt, &sampling)?.next().await?;
        self.state.logits.read(&self.engine.inner.gpu, 1).await
    }

    /// [`Session::next_logits`], blocking.
    ///
    /// # Errors
    /// As for `next_logits`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn next_logits_blocking(&mut self, prompt: &[u32]) -> Result<Vec<f32>> {
        pollster::block_on(self.next_logits(prompt))
    }

    /// Logits of every position of `tokens` from `first` on, from an empty cache: `sink` gets each position's row of the
    /// vocabulary's size, in order, and returns whether to go on.
    ///
    /// # Errors
    /// As for [`Session::generate`], and [`Error::Cancelled`].
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        first: usize,
        mut sink: impl FnMut(usize, &[f32]) -> bool,
    ) -> Result<()> {
        self.check_tokens(tokens)?;
        self.drain().await?;
        self.rewind(0);
        let engine = self.engine.clone();
        let inner = &engine.inner;
        let gpu = &inner.gpu;
        let rows = LOGIT_ROWS.min(inner.prefill_chunk);
        let state = State::new(gpu, &inner.config, rows, rows).await?;
        let mut r = Recorder::new(gpu, &self.ring);
        record_body(&mut r, Mode::Prefill, inner.model(), &self.cache, &state).await?;
        record_head(&mut r, Head::AllLogits, inner.model(), &state, inner.usable_vocab).await?;
        let plan = r.finish();
        let stride = state.logits.stride();
        let readback = Readback::new(gpu, 4 * (rows * stride) as u64).await?;
        for (i, chunk) in tokens.chunks(rows).enumerate() {
            gpu.queue().write_buffer(&state.tokens, 0, bytemuck::cast_slice(chunk));
            let position = i * rows;
            let step =
                StepUniform { n_tokens: chunk.len() as u32, position: position as u32, ..StepUniform::default() };
            // The last part is the head, which early positions do not need.
            let wanted = position + chunk.len() > first;
            for part in 0..plan.parts() - usize::from(!wanted) {
                gpu.run_parts(&mut self.ring, &plan, part..part + 1, &step).await?;
            }
            self.ids.extend_from_slice(chunk);
            if !wanted {
                continue;
            }
            let bytes = 4 * (chunk.len() * stride) as u64;
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            readback.copy(&mut encoder, &state.logits.buffer, 0, bytes);
            let submission = gpu.submit_commands([encoder.finish()]);
            let mut mapping = readback.request(bytes);
            let go_on = readback
                .take(gpu, submission, &mut mapping, |bytes| {
                    let padded: &[f32] = bytemuck::cast_slice(bytes);
                    padded
                        .chunks_exact(stride)
                        .enumerate()
                        .skip(first.saturating_sub(position))
                        .all(|(row, logits)| sink(position + row, &logits[..inner.config.vocab_size]))
                })
                .await?;
            if !go_on {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    /// [`Session::logits`], blocking.
    ///
    /// # Errors
    /// As for `logits`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn logits_blocking(
        &mut self,
        tokens: &[u32],
        first: usize,
        sink: impl FnMut(usize, &[f32]) -> bool,
    ) -> Result<()> {
        pollster::block_on(self.logits(tokens, first, sink))
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocab_size = self.engine.inner.config.vocab_size;
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { id, vocab_size });
        }
        let context = self.engine.inner.context;
        if tokens.len() > context {
            return Err(Error::ContextFull { tokens: tokens.len(), context });
        }
        Ok(())
    }

    /// Waits for steps that an earlier generation left running.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        while !self.in_flight.is_empty() {
            self.take_result().await?;
        }
        Ok(())
    }

    /// Brings the cache to hold `prompt`, up to what the step of the first token still has to compute.
    pub(crate) async fn prefill(&mut self, prompt: &[u32]) -> Result<Prefilled> {
        let shared = self.ids.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        // The last token always runs, for its logits.
        self.rewind(shared.min(prompt.len() - 1));
        let computed = prompt.len() - self.ids.len();
        let engine = self.engine.clone();
        let gpu = &engine.inner.gpu;
        loop {
            let start = self.ids.len();
            let end = prompt.len().min(start + self.pace.tokens);
            let chunk = &prompt[start..end];
            gpu.queue().write_buffer(&self.state.tokens, 0, bytemuck::cast_slice(chunk));
            if computed == 1 {
                return Ok(Prefilled { computed, last: start..end, body_done: false });
            }
            let step = StepUniform { n_tokens: chunk.len() as u32, position: start as u32, ..StepUniform::default() };
            let plan = prefill_plan(&self.prefill, &self.few, chunk.len());
            let mut part = 0;
            while part < plan.parts() {
                let parts = part..plan.parts().min(part + self.pace.parts);
                let started = Instant::now();
                gpu.run_parts(&mut self.ring, plan, parts.clone(), &step).await?;
                self.pace.learn(started.elapsed().as_secs_f64() * 1e3, &parts, plan.parts());
                part = parts.end;
            }
            self.pace.end_chunk(chunk.len(), engine.inner.prefill_chunk);
            if end == prompt.len() {
                return Ok(Prefilled { computed, last: start..end, body_done: true });
            }
            self.ids.extend_from_slice(chunk);
        }
    }

    /// Submits a step that ends in a token.
    pub(crate) fn submit_step(&mut self, step: &StepUniform, with_body: bool, greedy: bool) {
        let head = if greedy { &self.greedy } else { &self.sample };
        let plans: &[_] = if with_body { &[&self.decode, head] } else { &[head] };
        let readback = step.draw as usize % IN_FLIGHT;
        let offset = 4 * (step.draw as usize % State::RESULTS) as u64;
        let gpu = &self.engine.inner.gpu;
        let slot = self.ring.write_reply(gpu, step);
        let commands = gpu.encode(plans, step.n_tokens, slot, |encoder| {
            self.readbacks[readback].copy(encoder, &self.state.results, offset, 4);
        });
        let submission = gpu.submit_commands([commands]);
        let mapping = self.readbacks[readback].request(4);
        self.in_flight.push_back(InFlight { submission, readback, mapping });
    }

    /// The token of the oldest step in flight.
    pub(crate) async fn take_token(&mut self) -> Result<u32> {
        let token = self.take_result().await?;
        let vocab_size = self.engine.inner.config.vocab_size;
        match token {
            NO_TOKEN => Err(Error::NoToken { model: self.engine.name().to_owned() }),
            _ if token as usize >= vocab_size => {
                Err(Error::Gpu { reason: format!("it chose the token {token} out of {vocab_size}") })
            }
            _ => Ok(token),
        }
    }

    /// What the oldest step in flight chose. A step leaves the queue only once its readback is free again, so a caller may
    /// give up waiting at any time.
    async fn take_result(&mut self) -> Result<u32> {
        let Some(step) = self.in_flight.front_mut() else {
            return Err(Error::Gpu { reason: "no step is in flight".into() });
        };
        let gpu = &self.engine.inner.gpu;
        let token = self.readbacks[step.readback]
            .take(gpu, step.submission.clone(), &mut step.mapping, bytemuck::pod_read_unaligned::<u32>)
            .await;
        // Until then its buffer cannot be asked for anything else.
        if step.mapping.is_over() {
            self.in_flight.pop_front();
        }
        token
    }

    /// What the repetition penalty knows at the start of a reply.
    pub(crate) fn upload_seen(&self, prompt: &[u32]) {
        let inner = &self.engine.inner;
        let mut seen = vec![0u32; inner.config.vocab_size.div_ceil(32)];
        for id in prompt {
            seen[*id as usize / 32] |= 1 << (id % 32);
        }
        inner.gpu.queue().write_buffer(&self.state.seen, 0, bytemuck::cast_slice(&seen));
    }
}

/// The plan of a step of so many tokens of a prompt.
fn prefill_plan<'p>(prefill: &'p Plan, few: &'p Option<Plan>, tokens: usize) -> &'p Plan {
    few.as_ref().filter(|_| tokens <= FEW_TOKENS).unwrap_or(prefill)
}

/// What [`Session::prefill`] left.
pub(crate) struct Prefilled {
    /// Tokens of the prompt that were not in the cache.
    pub(crate) computed: usize,
    /// The positions of the last chunk, whose tokens are in the device's token buffer.
    pub(crate) last: Range<usize>,
    /// Whether the last chunk went through all layers; if not, it is one token, for the decode kernels.
    pub(crate) body_done: bool,
}

impl Pace {
    /// Aims at [`SUBMIT_MS`] by the number of parts.
    fn learn(&mut self, ms: f64, parts: &Range<usize>, all: usize) {
        // The first part is only the embedding.
        let layers = parts.end - parts.start.max(1).min(parts.end);
        if layers > 0 {
            self.part_ms = self.part_ms.min(ms / layers as f64);
        }
        if ms > SUBMIT_MS {
            self.parts = (self.parts / 2).max(1);
        } else if ms < SUBMIT_MS / 3.0 && parts.len() == self.parts {
            self.parts = (self.parts * 2).min(all);
        }
    }

    /// Chooses the tokens of the next chunk: the more, the more often each weight that is read gets used, as long as one part
    /// stays short.
    fn end_chunk(&mut self, tokens: usize, most: usize) {
        let part_ms = std::mem::replace(&mut self.part_ms, f64::INFINITY);
        if tokens < self.tokens || part_ms.is_infinite() {
            return;
        }
        if part_ms > 2.0 * SUBMIT_MS {
            self.tokens = (self.tokens / 2).max(32).min(most);
        } else if part_ms < SUBMIT_MS / 3.0 && self.tokens < most {
            self.tokens = (self.tokens * 2).min(most);
            self.parts = (self.parts / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fast device: a layer takes 0.2 ms, whatever the chunk.
    fn chunk(pace: &mut Pace, tokens: usize) {
        let all = 27;
        let mut part = 0;
        while part < all {
            let parts = part..all.min(part + pace.parts);
            pace.learn(0.2 * parts.len() as f64, &parts, all);
            part = parts.end;
        }
        pace.end_chunk(tokens, 512);
    }

    #[test]
    fn chunks_grow_also_after_short_ones() {
        let mut pace = Pace { parts: 1, tokens: 32, part_ms: f64::INFINITY };
        for _ in 0..4 {
            chunk(&mut pace, 20);
        }
        assert_eq!((pace.tokens, pace.parts), (32, 27));
        for _ in 0..5 {
            let tokens = pace.tokens;
            chunk(&mut pace, tokens);
        }
        assert_eq!(pace.tokens, 512);
        // A chunk is one submit again.
        chunk(&mut pace, 512);
        assert_eq!(pace.parts, 27);
    }

    #[test]
    fn chunks_shrink_where_a_layer_is_slow() {
        let mut pace = Pace { parts: 4, tokens: 128, part_ms: f64::INFINITY };
        for part in (0..27).step_by(4) {
            pace.learn(1000.0, &(part..27.min(part + 4)), 27);
        }
        pace.end_chunk(128, 512);
        assert_eq!((pace.tokens, pace.parts), (64, 1));
    }
}
