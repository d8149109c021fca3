//! Times the norms before gates and ups, in a separate dispatch or fused into their product.

use super::{agree, fill_with_nan, none_if_out_of_memory};
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing, Tensor};
use crate::load::NoiseRows;
use crate::model::{FeedForward, FfnInner, Kernels, Products, record_ffn_inner};
use crate::ops::{F16Tensor, Int8Tensor, Mode, ResidualNorm};
use crate::quant::{Matrix, WeightFormat};

/// Frequencies of the sines that fill rows.
const BLOCK: f32 = 0.7;
const RESIDUAL: f32 = 0.3;
const POST_NORM: f32 = 0.5;
const NEXT_NORM: f32 = 0.9;

/// Feed-forward blocks of one token, with the norms before them.
pub(super) struct NormBench {
    /// Gates and ups, larger than the caches of GPUs.
    gate_ups: Vec<Matrix>,
    down: Matrix,
    block: Tensor,
    residual: Tensor,
    new_residual: Tensor,
    post_norm: Tensor,
    next_norm: Tensor,
    normed: Tensor,
    gates_ups: Tensor,
    ffn_inner: Tensor,
    int8: Int8Tensor,
    f16: F16Tensor,
    ffn_inner_int8: Int8Tensor,
    out: Tensor,
    /// The first block's output by float kernels, then the residual stream.
    expected: Vec<f32>,
}

impl NormBench {
    /// The size of a layer of the 2B. Rows are a whole number of blocks in every format.
    const COLS: usize = 2304;
    const FFN_INNER: usize = 9216;
    const BYTES: u64 = 512 << 20;

    pub(super) async fn new(gpu: &Gpu, format: WeightFormat) -> Result<Self> {
        let noise = NoiseRows::new(format, Self::COLS);
        let mut bench = Self {
            gate_ups: vec![noise.matrix(gpu, 2 * Self::FFN_INNER).await?],
            down: NoiseRows::new(format, Self::FFN_INNER).matrix(gpu, Self::COLS).await?,
            block: Tensor::from_rows(gpu, "block", Self::COLS, &row(BLOCK)).await?,
            residual: Tensor::from_rows(gpu, "residual", Self::COLS, &row(RESIDUAL)).await?,
            new_residual: Tensor::new("new_residual", 1, Self::COLS),
            post_norm: Tensor::from_rows(gpu, "post_norm", Self::COLS, &row(POST_NORM)).await?,
            next_norm: Tensor::from_rows(gpu, "next_norm", Self::COLS, &row(NEXT_NORM)).await?,
            normed: Tensor::new("normed", 1, Self::COLS),
            gates_ups: Tensor::new("gates_ups", 1, 2 * Self::FFN_INNER),
            ffn_inner: Tensor::new("ffn_inner", 1, Self::FFN_INNER),
            int8: Int8Tensor::new("int8", 1, Self::COLS),
            f16: F16Tensor::new("f16", 1, Self::COLS),
            ffn_inner_int8: Int8Tensor::new("ffn_inner_int8", 1, Self::FFN_INNER),
            out: Tensor::new("out", 1, Self::COLS),
            expected: Vec::new(),
        };
        bench.expected = bench.result(gpu, Kernels::FLOAT).await?;
        for _ in 1..Self::BYTES.div_ceil(bench.gate_ups[0].bytes()) {
            let Some(matrix) = none_if_out_of_memory(noise.matrix(gpu, 2 * Self::FFN_INNER).await)? else {
                // The blocks that fit have to do. Without the last one there is room for what else is needed.
                bench.gate_ups.truncate(1.max(bench.gate_ups.len() - 1));
                break;
            };
            bench.gate_ups.push(matrix);
        }
        Ok(bench)
    }

    /// Records the block of some gates and ups up to its last product.
    fn record<'a>(&'a self, r: &mut Recording, products: &Products<'a>, gate_up: &'a Matrix) -> FfnInner<'a> {
        let norm = ResidualNorm {
            y: &self.block,
            post_weight: &self.post_norm,
            residual: &self.residual,
            next_weight: &self.next_norm,
            eps: 1e-6,
        };
        let block = FeedForward {
            norm,
            new_residual: &self.new_residual,
            gate_up: vec![(gate_up, 0)],
            down: &self.down,
            normed: &self.normed,
            gates_ups: &self.gates_ups,
            ffn_inner: &self.ffn_inner,
            ffn_inner_int8: &self.ffn_inner_int8,
        };
        record_ffn_inner(r, products, &block)
    }

    fn products(&self, kernels: Kernels) -> Products<'_> {
        Products { mode: Mode::Decode, kernels, int8: &self.int8, f16: &self.f16 }
    }

    /// The first block's output, then the residual stream.
    async fn result(&self, gpu: &Gpu, kernels: Kernels) -> Result<Vec<f32>> {
        let mut ring = StepRing::new(gpu).await?;
        let mut r = Recording::new(gpu.capabilities());
        let products = self.products(kernels);
        let inner = self.record(&mut r, &products, &self.gate_ups[0]);
        products.record(&mut r, inner.operand, &[(&self.down, 0)], &self.out);
        let plan = r.finish(gpu, &ring).await?;
        // The separate dispatch overwrites its input.
        self.residual.upload(gpu, &row(RESIDUAL)).await?;
        let written =
            [&self.new_residual, &self.normed, &self.gates_ups, &self.ffn_inner, &self.out].map(Tensor::buffer);
        for buffer in written.into_iter().chain([self.int8.buffer(), self.ffn_inner_int8.buffer()]) {
            fill_with_nan(gpu, buffer).await?;
        }
        gpu.run_segments(&mut ring, &plan, 0..plan.segments(), &Step::default()).await?;
        let residual = if inner.moved { &self.new_residual } else { &self.residual };
        Ok([self.out.read(gpu, 1).await?, residual.read(gpu, 1).await?].concat())
    }

    /// The plan of all blocks with these kernels; `None` if they are wrong.
    pub(super) async fn plan(&self, gpu: &Gpu, ring: &StepRing, kernels: Kernels) -> Result<Option<Plan>> {
        // Compared separately, because the larger values of one would hide errors of the other.
        let (found, cols) = (self.result(gpu, kernels).await?, Self::COLS);
        if !agree(&found[..cols], &self.expected[..cols]) || !agree(&found[cols..], &self.expected[cols..]) {
            log::warn!("{} computes wrong feed-forward blocks with {kernels:?}", gpu.info().name);
            return Ok(None);
        }
        let mut r = Recording::new(gpu.capabilities());
        let products = self.products(kernels);
        for gate_up in &self.gate_ups {
            r.begin_segment();
            self.record(&mut r, &products, gate_up);
        }
        r.finish(gpu, ring).await.map(Some)
    }
}

/// Any values of different magnitudes work.
fn row(pace: f32) -> Vec<f32> {
    (0..NormBench::COLS).map(|i| (i as f32 * pace).sin() * (1 + i % 7) as f32).collect()
}
