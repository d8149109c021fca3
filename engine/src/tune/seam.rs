//! Times the seam before gates and ups, as a dispatch of its own or folded into their product.

use super::{agree, time};
use crate::error::Result;
use crate::gpu::{Gpu, Recorder, StepRing, StepUniform, Tensor};
use crate::model::{FeedForward, Hidden, Kernels, Mode, Products, record_hidden};
use crate::ops::{Int8Tensor, Seam};
use crate::quant::{Matrix, WeightFormat};

/// Paces of numbers.
const BLOCK: f32 = 0.7;
const RESIDUAL: f32 = 0.3;
const POST_NORM: f32 = 0.5;
const NEXT_NORM: f32 = 0.9;

/// Feed-forward blocks of one token, with the seam before them.
pub(super) struct SeamBench {
    /// Gates and ups, more than most caches hold.
    gate_ups: Vec<Matrix>,
    down: Matrix,
    block: Tensor,
    residual: Tensor,
    new_residual: Tensor,
    post_norm: Tensor,
    next_norm: Tensor,
    normed: Tensor,
    gates_ups: Tensor,
    hidden: Tensor,
    int8: Int8Tensor,
    hidden_int8: Int8Tensor,
    out: Tensor,
    /// What floats make of the first block: its result, and the residual stream.
    expected: Vec<f32>,
}

impl SeamBench {
    /// About as in a layer of the 2B; whole numbers of every format's blocks.
    const COLS: usize = 2048;
    const HIDDEN: usize = 4096;
    const BYTES: u64 = 96 << 20;

    pub(super) async fn new(gpu: &Gpu, format: WeightFormat) -> Result<Self> {
        let noise = async || Matrix::noise(gpu, format, 2 * Self::HIDDEN, Self::COLS).await;
        let mut gate_ups = vec![noise().await?];
        for _ in 1..Self::BYTES.div_ceil(gate_ups[0].bytes()) {
            gate_ups.push(noise().await?);
        }
        let mut bench = Self {
            gate_ups,
            down: Matrix::noise(gpu, format, Self::COLS, Self::HIDDEN).await?,
            block: Tensor::from_rows(gpu, "block", Self::COLS, &row(BLOCK)).await?,
            residual: Tensor::from_rows(gpu, "residual", Self::COLS, &row(RESIDUAL)).await?,
            new_residual: Tensor::zeros(gpu, "new_residual", 1, Self::COLS).await?,
            post_norm: Tensor::from_rows(gpu, "post_norm", Self::COLS, &row(POST_NORM)).await?,
            next_norm: Tensor::from_rows(gpu, "next_norm", Self::COLS, &row(NEXT_NORM)).await?,
            normed: Tensor::zeros(gpu, "normed", 1, Self::COLS).await?,
            gates_ups: Tensor::zeros(gpu, "gates_ups", 1, 2 * Self::HIDDEN).await?,
            hidden: Tensor::zeros(gpu, "hidden", 1, Self::HIDDEN).await?,
            int8: Int8Tensor::new(gpu, "int8", 1, Self::COLS).await?,
            hidden_int8: Int8Tensor::new(gpu, "hidden_int8", 1, Self::HIDDEN).await?,
            out: Tensor::zeros(gpu, "out", 1, Self::COLS).await?,
            expected: Vec::new(),
        };
        bench.expected = bench.result(gpu, Kernels::FLOAT).await?;
        Ok(bench)
    }

    /// Records the block of some gates and ups up to its last product; says whether the residual stream moves.
    async fn record<'a>(&'a self, r: &mut Recorder<'_>, kernels: Kernels, gate_up: &'a Matrix) -> Result<Hidden<'a>> {
        let products = Products { mode: Mode::Decode, kernels, int8: &self.int8 };
        let seam = Seam {
            y: &self.block,
            post_weight: &self.post_norm,
            residual: &self.residual,
            next_weight: &self.next_norm,
            eps: 1e-6,
        };
        let block = FeedForward {
            seam,
            new_residual: &self.new_residual,
            gate_up: vec![(gate_up, 0)],
            down: &self.down,
            normed: &self.normed,
            gates_ups: &self.gates_ups,
            hidden: &self.hidden,
            hidden_int8: &self.hidden_int8,
        };
        record_hidden(r, &products, &block).await
    }

    /// What the first block makes, all of it, and behind that the residual stream.
    async fn result(&self, gpu: &Gpu, kernels: Kernels) -> Result<Vec<f32>> {
        let mut ring = StepRing::new(gpu).await?;
        let mut r = Recorder::new(gpu, &ring);
        let hidden = self.record(&mut r, kernels, &self.gate_ups[0]).await?;
        let products = Products { mode: Mode::Decode, kernels, int8: &self.int8 };
        products.record(&mut r, hidden.factor, &[(&self.down, 0)], &self.out).await?;
        let plan = r.finish();
        // The seam apart writes where it reads.
        gpu.queue().write_buffer(&self.residual.buffer, 0, bytemuck::cast_slice(&row(RESIDUAL)));
        gpu.run(&mut ring, &plan, &StepUniform::default()).await?;
        let residual = if hidden.moved { &self.new_residual } else { &self.residual };
        Ok([self.out.read(gpu, 1).await?, residual.read(gpu, 1).await?].concat())
    }

    /// Milliseconds of the blocks, infinite if they are wrong.
    pub(super) async fn run(&self, gpu: &Gpu, kernels: Kernels) -> Result<f64> {
        // Apart, or the larger numbers of one would hide what is wrong with the other.
        let (found, cols) = (self.result(gpu, kernels).await?, Self::COLS);
        if !agree(&found[..cols], &self.expected[..cols]) || !agree(&found[cols..], &self.expected[cols..]) {
            log::warn!("{} computes wrong feed-forward blocks with {kernels:?}", gpu.info().name);
            return Ok(f64::INFINITY);
        }
        let mut ring = StepRing::new(gpu).await?;
        let mut r = Recorder::new(gpu, &ring);
        for gate_up in &self.gate_ups {
            self.record(&mut r, kernels, gate_up).await?;
        }
        let plan = r.finish();
        time(gpu, &mut ring, &plan, &StepUniform::default()).await
    }
}

/// Any numbers of differing sizes do.
fn row(pace: f32) -> Vec<f32> {
    (0..SeamBench::COLS).map(|i| (i as f32 * pace).sin() * (1 + i % 7) as f32).collect()
}
