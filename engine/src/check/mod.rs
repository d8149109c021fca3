//! Finding the first kernel that a device computes wrongly.
//!
//! A [`Recording`] is data, so the CPU can follow it: each dispatch runs alone on the device, and its outputs are compared with
//! those of the reference implementation (`lapidary_shaders::reference`) for the inputs that the device really had. What the
//! kernel should not have written must be as before. The first dispatch that differs is the culprit, not one that was given
//! wrong inputs. vello finds broken stages of its renderer by the same bisection.

mod attention;
mod inputs;
mod noise;
mod norms;
mod outputs;
mod products;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use self::inputs::{Inputs, ShardRows};
use self::outputs::Output;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Dispatch, Gpu, Plan, Recording, Step, StepRing};
use crate::load::ModelFiles;
use crate::model::{Activations, Body, Capacity, Head, Model, SequenceBuffers, Source, record_body, record_head};
use crate::ops::{CacheFormat, CacheLayer, Mode};

pub(crate) use noise::check_features;
pub use noise::{Extent, check_device};

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Dispatches that were compared.
    pub dispatches: usize,
    /// Variants of kernels that were compared, by name.
    pub variants: BTreeSet<&'static str>,
    /// The first dispatch that is wrong, if any; nothing after it was run.
    pub fault: Option<Fault>,
    /// The dispatches that were compared, with the tokens of their steps.
    texts: BTreeSet<String>,
}

/// A dispatch that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The kernel.
    pub kernel: &'static str,
    /// Its variant, as in the name of its linked source.
    pub variant: &'static str,
    /// The dispatch as text: grid, parameters, buffers.
    pub dispatch: String,
    /// What was being computed.
    pub step: String,
    /// What is wrong with it.
    #[serde(rename = "error")]
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, variant, dispatch, step, reason } = self;
        write!(f, "wrong kernel: {kernel}\n  variant:  {variant}\n  in:       {step}\n")?;
        write!(f, "  dispatch: {dispatch}\n  error:    {reason}")
    }
}

/// A model to check.
pub(crate) struct Subject<'a> {
    pub(crate) gpu: &'a Gpu,
    pub(crate) files: &'a ModelFiles,
    pub(crate) model: Model<'a>,
    /// Tokens of the chunk of a prompt.
    pub(crate) chunk: usize,
    pub(crate) cache_format: CacheFormat,
    /// The model's, for the report.
    pub(crate) name: &'a str,
}

/// Which dispatches are compared.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Compared {
    All,
    /// Those whose kernel and shape the report does not have yet.
    NewShapes,
    /// Those whose variant of a kernel the report does not have yet in such a step.
    NewVariants,
}

/// A step to check.
struct CheckedStep {
    name: &'static str,
    /// One dispatch per segment.
    recording: Recording,
    uniform: Step,
    /// Where its token ids go.
    tokens: Buffer,
}

/// Positions that there is room for: three tiles of keys, the last one not full.
pub(crate) const CONTEXT: usize = 160;
/// Positions are a whole number of these apart in attention's loop over keys.
const KEYS: usize = lapidary_shaders::kernels::attention::TILE as usize;
/// The pages of the first sequence. The second one has the page after each.
const TABLE: [u32; CONTEXT.div_ceil(KEYS)] = [2, 0, 4];
/// Sequences.
const SLOTS: u32 = 2;
/// Tokens of the small batch.
const BATCH: usize = 2;

impl Subject<'_> {
    /// Runs every dispatch of every step and compares those that `compared` says, `repeats` times, which must give the same bits.
    pub(crate) async fn check(
        &self,
        repeats: usize,
        compared: Compared,
        report: &mut Report,
        progress: &mut (dyn FnMut(usize, usize) -> bool + Send),
    ) -> Result<()> {
        let steps = self.steps().await?;
        let all = steps.iter().map(|step| step.recording.dispatches().count()).sum();
        let mut ring = StepRing::new(self.gpu).await?;
        let mut done = 0;
        for step in &steps {
            let plan = step.recording.clone().finish(self.gpu, &ring).await?;
            let vocab = self.model.usable_vocab.max(1) as u32;
            let ids: Vec<u32> =
                (0..step.uniform.n_tokens.max(SLOTS)).map(|i| (i * 7919 + 2 + step.uniform.position) % vocab).collect();
            self.gpu.write(&step.tokens, 0, bytemuck::cast_slice(&ids));
            // The first dispatch that has not run: those that are not compared run together.
            let mut next = 0;
            for (i, dispatch) in step.recording.dispatches().enumerate() {
                done += 1;
                let Step { n_tokens, position, .. } = step.uniform;
                let variant = dispatch.variant().map_or(dispatch.kernel.name, |variant| variant.name());
                let is_new = report.texts.insert(match compared {
                    Compared::NewVariants => format!("{}: {variant}", step.name),
                    Compared::All | Compared::NewShapes => format!("{n_tokens} from {position} on: {dispatch}"),
                });
                if !is_new && compared != Compared::All {
                    continue;
                }
                if next < i {
                    self.gpu.run_segments(&mut ring, &plan, next..i, &step.uniform).await?;
                }
                next = i + 1;
                let run = Run { gpu: self.gpu, plan: &plan, segment: i, step: &step.uniform, dispatch };
                let weights = self.weights_of(dispatch).await?;
                let outcome = run.compare(&mut ring, weights, repeats).await?;
                report.dispatches += 1;
                report.variants.insert(variant);
                if let Err(reason) = outcome {
                    report.fault = Some(Fault {
                        kernel: dispatch.kernel.name,
                        variant,
                        dispatch: dispatch.to_string(),
                        step: format!("{} of {}", step.name, self.name),
                        reason,
                    });
                    return Ok(());
                }
                if !progress(done, all) {
                    return Err(Error::Cancelled);
                }
            }
            let count = step.recording.dispatches().count();
            if next < count {
                self.gpu.run_segments(&mut ring, &plan, next..count, &step.uniform).await?;
            }
        }
        Ok(())
    }

    /// Steps that use every kind of kernel. Their keys are in two tiles or three.
    async fn steps(&self) -> Result<Vec<CheckedStep>> {
        let (config, capabilities) = (self.model.config, self.gpu.capabilities());
        // Two sequences, whose pages are not in the order of their positions.
        let buffers = SequenceBuffers::new(
            config,
            self.cache_format,
            Capacity { slots: SLOTS as usize, context: CONTEXT, pages: 2 * TABLE.len() },
        );
        self.gpu.allocate(buffers.tables.buffer()).await?;
        for (slot, table) in [TABLE, TABLE.map(|page| page + 1)].iter().enumerate() {
            buffers.tables.write(self.gpu, slot, 0, table);
        }
        for (seed, buffer) in buffers.cache.iter().flat_map(CacheLayer::buffers).enumerate() {
            self.gpu.allocate(buffer).await?;
            self.gpu.write(buffer, 0, &noise::cache(self.cache_format, buffer.bytes(), seed));
        }
        let activations = Activations::new(config, capabilities, self.chunk, self.chunk);
        let step = |name, body, head, n_tokens: usize, position: usize| {
            let mut r = Recording::new(capabilities);
            record_body(&mut r, body, self.model, &buffers, &activations);
            record_head(&mut r, head, self.model, &buffers, &activations);
            let mut uniform = Step {
                n_tokens: n_tokens as u32,
                position: position as u32,
                slot: 1,
                draw: position as u32,
                seed_low: 1,
                top_k: 64,
                top_p: 0.95,
                min_p: 0.01,
                repetition_penalty: 1.1,
                ..Step::default()
            };
            // A prompt's positions follow each other, and only these steps have places.
            let places = if matches!(body, Body::Newest(_)) { n_tokens } else { 0 };
            for i in 0..places {
                uniform.set_place(i, (KEYS + 4 - i % KEYS) as u32, (i % 2) as u32);
            }
            let tokens = if matches!(body, Body::Newest(_)) { &buffers.sink.tokens } else { &activations.tokens };
            CheckedStep { name, recording: r.one_per_segment(), uniform, tokens: tokens.clone() }
        };
        Ok(vec![
            step(
                "a chunk of a prompt",
                Body::Prompt(Mode::Prefill),
                Head::AllLogits,
                self.chunk,
                // It begins within a page.
                (KEYS + 1).saturating_sub(self.chunk).max(1),
            ),
            step("a small batch", Body::Prompt(Mode::SmallBatch), Head::Greedy, BATCH, KEYS - 1),
            step("a decoded token", Body::Newest(Mode::Decode), Head::Greedy, 1, KEYS + 1),
            step("a drawn token", Body::Newest(Mode::Decode), Head::Sample, 1, KEYS + 2),
            step("a token of each of two sequences", Body::Newest(Mode::SmallBatch), Head::AllLogits, BATCH, KEYS - 1),
        ])
    }

    /// The rows of the shard that a dispatch multiplies by, as the files have them.
    async fn weights_of(&self, dispatch: &Dispatch) -> Result<Option<ShardRows>> {
        let Some(quants) = dispatch.binding("quants") else { return Ok(None) };
        for source in self.model.weights.sources() {
            let Source::Matrix(matrix, tensors) = source else { continue };
            let Some(shard) = matrix.shards.iter().find(|shard| shard.buffer.is(&quants.buffer)) else { continue };
            let views = tensors.into_iter().map(|tensor| self.files.tensor(tensor)).collect::<Result<Vec<_>>>()?;
            return ShardRows::read(&views, matrix, shard).await.map(Some);
        }
        Err(Error::Internal { reason: format!("{} multiplies by weights of no matrix", dispatch.kernel.name) })
    }
}

/// One dispatch of a plan, which is its segment.
struct Run<'a> {
    gpu: &'a Gpu,
    plan: &'a Plan,
    segment: usize,
    step: &'a Step,
    dispatch: &'a Dispatch,
}

impl Run<'_> {
    /// Runs the dispatch; says what is wrong with what it wrote, if anything.
    async fn compare(
        &self,
        ring: &mut StepRing,
        weights: Option<ShardRows>,
        repeats: usize,
    ) -> Result<Result<(), String>> {
        let inputs = Inputs::read(self.gpu, self.dispatch, self.step, weights).await?;
        let outputs = reference(&inputs)?;
        for (binding, words) in inputs.writable() {
            let mut own = outputs.iter().filter(|output| output.binding == binding);
            if own.any(|output| output.range().end > words.len()) {
                return Ok(Err(format!("it binds {} words as {binding}, too few for its output", words.len())));
            }
        }
        let mut first: Option<Vec<Vec<u32>>> = None;
        for _ in 0..repeats {
            for (binding, words) in inputs.writable() {
                let mut words = words.to_vec();
                // What was there before must not pass for a result.
                for output in outputs.iter().filter(|output| output.binding == binding && !output.is_input) {
                    words[output.range()].fill(f32::NAN.to_bits());
                }
                self.write(binding, &words);
            }
            self.run(ring).await?;
            let mut written = Vec::new();
            for (binding, before) in inputs.writable() {
                let words = self.read(binding).await?;
                if let Err(reason) = judge(binding, before, &words, &outputs) {
                    return Ok(Err(reason));
                }
                written.push(words);
            }
            match &first {
                None => first = Some(written),
                Some(first) if *first == written => {}
                Some(_) => return Ok(Err("it gave other bits for the same inputs when it ran again".to_owned())),
            }
        }
        Ok(Ok(()))
    }

    async fn run(&self, ring: &mut StepRing) -> Result<()> {
        self.gpu.run_segments(ring, self.plan, self.segment..self.segment + 1, self.step).await
    }

    fn write(&self, binding: &str, words: &[u32]) {
        if let Some(slice) = self.dispatch.binding(binding) {
            self.gpu.write(&slice.buffer, slice.offset, bytemuck::cast_slice(words));
        }
    }

    async fn read(&self, binding: &str) -> Result<Vec<u32>> {
        match self.dispatch.binding(binding) {
            Some(slice) => Ok(bytemuck::pod_collect_to_vec(&self.gpu.read(&slice.buffer, slice.bytes).await?)),
            None => Ok(Vec::new()),
        }
    }
}

/// What is wrong with the words of a binding after a dispatch, if anything: of those that it should have written, and of the
/// others, which must be as before.
fn judge(binding: &str, before: &[u32], after: &[u32], outputs: &[Output]) -> Result<(), String> {
    let mut expected = vec![false; after.len()];
    for output in outputs.iter().filter(|output| output.binding == binding) {
        output.compare(&after[output.range()])?;
        expected[output.range()].fill(true);
    }
    let stray = (0..after.len()).find(|i| !expected[*i] && before[*i] != after[*i]);
    match stray {
        Some(i) => Err(format!(
            "it wrote {binding}[{i}], which is not for it to write: {:#x} became {:#x}",
            before[i], after[i]
        )),
        None => Ok(()),
    }
}

/// What a dispatch should write, by the reference implementation of its kernel.
fn reference(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    match inputs.dispatch.kernel.name {
        "embed" => products::embed(inputs),
        "rms_norm" => norms::rms_norm(inputs),
        "add_rms_norm" => norms::add_rms_norm(inputs),
        "matvec" | "matvec_int8" | "matvec_rows" => products::product(inputs, true),
        "matmul" | "matmul_registers" | "matmul_coop" | "matmul_small" => products::product(inputs, false),
        "norm_matvec_int8" => products::norm_matvec(inputs),
        "geglu" => norms::geglu(inputs),
        "quantize" => norms::quantize(inputs),
        "to_f16" => norms::to_f16(inputs),
        "rope" => attention::rope(inputs),
        "attention" => attention::attention(inputs),
        "attention_coop" => attention::attention_coop(inputs),
        "attention_decode" => attention::attention_decode(inputs),
        "attention_merge" => attention::attention_merge(inputs),
        "logits" => tokens::logits(inputs),
        "argmax" => tokens::argmax(inputs),
        "argmax_merge" => tokens::argmax_merge(inputs),
        "shortlist" => tokens::shortlist(inputs),
        "sample" => tokens::sample(inputs),
        other => Err(Error::Internal { reason: format!("the kernel {other} has no reference to check it against") }),
    }
}
