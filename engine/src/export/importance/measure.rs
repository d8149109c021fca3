//! Measures the inputs of every product while a model reads a text.

use std::collections::HashMap;

use super::Importance;
use crate::engine::{Engine, Progress};
use crate::error::{Error, Result};
use crate::gpu::{Dispatch, Plan, Recording, StepRing, Tensor};
use crate::load::{LayerTensor, TensorId};
use crate::model::{Activations, Body, Capacity, Kernels, Model, SequenceBuffers, Source, record_body};
use crate::ops::Mode;

/// Tokens that are read together, each such window for itself, as llama.cpp's tool does.
const WINDOW: usize = 512;

impl Importance {
    /// Measures over a text's tokens, window by window of at most 512 tokens. The first token of each window becomes `<bos>`. A
    /// remainder shorter than half a window is left out, unless it is all there is.
    ///
    /// `progress` gets the number of windows that are done and of all, and returns whether to go on.
    ///
    /// # Errors
    /// [`Error::Setting`] without tokens; [`Error::Cancelled`]; the errors of buffers and pipelines, and if the device is lost.
    pub async fn measure(
        engine: &Engine,
        tokens: &[u32],
        progress: &mut (dyn FnMut(Progress) -> bool + Send),
    ) -> Result<Self> {
        let inner = &engine.inner;
        let window =
            WINDOW.min(inner.context).min(Activations::most_tokens(&inner.config, inner.gpu.capabilities(), false));
        let windows: Vec<&[u32]> = tokens
            .chunks(window)
            .enumerate()
            .filter(|(i, ids)| *i == 0 || 2 * ids.len() >= window)
            .map(|(_, ids)| ids)
            .collect();
        let bad = windows.iter().flat_map(|ids| *ids).find(|id| **id as usize >= inner.config.vocab_size);
        if bad.is_some() || tokens.is_empty() {
            let value = bad.map_or_else(|| "no tokens".to_owned(), |id| format!("the token id {id}"));
            return Err(Error::Setting { field: "the text of the importance", value, expected: "tokens of the model" });
        }
        let mut reader = Reader::new(engine, window).await?;
        for (i, ids) in windows.iter().enumerate() {
            let mut ids = ids.to_vec();
            ids[0] = inner.config.bos_id;
            reader.read(&ids).await?;
            if !progress(Progress { done: i as u64 + 1, total: windows.len() as u64 }) {
                return Err(Error::Cancelled);
            }
        }
        let means = |(id, sums): (TensorId, Vec<f64>)| {
            let tokens = reader.tokens as f64;
            (id, sums.into_iter().map(|sum| (sum / tokens) as f32).collect())
        };
        let columns: HashMap<TensorId, Vec<f32>> = reader.sums.into_iter().map(means).collect();
        if !columns.values().flatten().all(|mean| mean.is_finite()) {
            let reason = "its activations are not all numbers, so it cannot be measured; take another file of it";
            return Err(Error::BadFile { path: engine.name().into(), reason: reason.into() });
        }
        Ok(Self { columns })
    }
}

/// A product whose input is read before it runs.
struct Input {
    /// The number of dispatches before it.
    at: usize,
    /// The matrices that it is multiplied by.
    tensors: Vec<TensorId>,
}

/// Runs windows of tokens and sums the squares of the products' inputs.
struct Reader<'a> {
    engine: &'a Engine,
    activations: Activations,
    plan: Plan,
    ring: StepRing,
    inputs: Vec<Input>,
    sums: HashMap<TensorId, Vec<f64>>,
    tokens: usize,
}

impl<'a> Reader<'a> {
    async fn new(engine: &'a Engine, window: usize) -> Result<Self> {
        let inner = &engine.inner;
        let (gpu, config) = (&inner.gpu, &inner.config);
        let ring = StepRing::new(gpu).await?;
        let buffers = SequenceBuffers::new(config, inner.cache_format, Capacity::for_one(window));
        buffers.allocate(gpu).await?;
        let pages: Vec<u32> = (0..Capacity::for_one(window).pages as u32).collect();
        buffers.tables.write(gpu, 0, 0, &pages);
        let activations = Activations::new(config, gpu.capabilities(), window, 1);
        // These kernels leave the inputs as floats.
        let model = Model { kernels: Kernels::FLOAT, ..inner.model() };
        let mut recording = Recording::new(gpu.capabilities());
        record_body(&mut recording, Body::Prompt(Mode::Prefill), model, &buffers, &activations);
        let recording = recording.one_per_segment();
        let mut inputs: Vec<Input> = Vec::new();
        for (at, dispatch) in recording.dispatches().enumerate() {
            let Some(tensors) = multiplied(dispatch, &model) else { continue };
            // The shards of a matrix have the same input.
            if inputs.last().is_none_or(|last| last.tensors != tensors) {
                inputs.push(Input { at, tensors });
            }
        }
        let plan = recording.finish(gpu, &ring).await?;
        Ok(Self { engine, activations, plan, ring, inputs, sums: HashMap::new(), tokens: 0 })
    }

    /// Reads a window of tokens, of at most the length that this was made for.
    async fn read(&mut self, ids: &[u32]) -> Result<()> {
        let gpu = &self.engine.inner.gpu;
        let step = self.activations.begin(gpu, ids, 0, 0);
        let mut done = 0;
        for input in &self.inputs {
            if input.at > done {
                gpu.run_segments(&mut self.ring, &self.plan, done..input.at, &step).await?;
                done = input.at;
            }
            let values = tensor_of(&self.activations, &input.tensors).read(gpu, ids.len()).await?;
            add(&mut self.sums, &input.tensors, ids.len(), &values);
        }
        gpu.run_segments(&mut self.ring, &self.plan, done..self.plan.segments(), &step).await?;
        // The head multiplies what the last norm gives.
        let head = [TensorId::Embedding];
        let values = tensor_of(&self.activations, &head).read(gpu, ids.len()).await?;
        add(&mut self.sums, &head, ids.len(), &values);
        self.tokens += ids.len();
        Ok(())
    }
}

/// The matrices that a dispatch multiplies by; `None` if it is no product.
fn multiplied(dispatch: &Dispatch, model: &Model<'_>) -> Option<Vec<TensorId>> {
    let quants = dispatch.binding("quants").filter(|_| dispatch.kernel.name != "embed")?;
    model.weights.sources().into_iter().find_map(|source| match source {
        Source::Matrix(matrix, tensors) => {
            matrix.shards.iter().any(|shard| shard.buffer.is(&quants.buffer)).then_some(tensors)
        }
        Source::Norm(..) => None,
    })
}

/// The activations that are multiplied by these matrices.
fn tensor_of<'a>(activations: &'a Activations, tensors: &[TensorId]) -> &'a Tensor {
    match tensors.first() {
        Some(TensorId::Layer(_, LayerTensor::Output)) => &activations.heads,
        Some(TensorId::Layer(_, LayerTensor::Down)) => &activations.ffn_inner,
        _ => &activations.normed,
    }
}

/// Adds the squares of the values of each column, of `rows` rows, for each of the matrices.
fn add(sums: &mut HashMap<TensorId, Vec<f64>>, tensors: &[TensorId], rows: usize, values: &[f32]) {
    let cols = values.len() / rows.max(1);
    let mut squares = vec![0.0_f64; cols];
    for row in values.chunks_exact(cols.max(1)) {
        for (square, value) in squares.iter_mut().zip(row) {
            *square += f64::from(*value) * f64::from(*value);
        }
    }
    for id in tensors {
        let sums = sums.entry(*id).or_insert_with(|| vec![0.0; cols]);
        sums.iter_mut().zip(&squares).for_each(|(sum, square)| *sum += square);
    }
}
