//! Times the norms before gates and ups, in a separate dispatch or fused into their product. The other block follows this choice.

use super::{agree, fill_with_nan, none_if_out_of_memory};
use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing, Tensor};
use crate::load::NoiseRows;
use crate::model::{Activations, FeedForward, FfnInner, Kernels, Products, record_ffn_inner};
use crate::ops::{Mode, ResidualNorm};
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
    post_norm: Tensor,
    next_norm: Tensor,
    /// Of one token.
    activations: Activations,
    /// The first block's output by float kernels, then the residual stream.
    expected: Vec<f32>,
}

impl NormBench {
    /// The size of a layer of the 2B. Rows are a whole number of blocks in every format.
    const COLS: usize = 2304;
    const FFN_INNER: usize = 9216;
    const BYTES: u64 = 512 << 20;

    pub(super) async fn new(gpu: &Gpu, format: WeightFormat) -> Result<Self> {
        let config = Config::of_shape("gemma-2-2b")?;
        debug_assert_eq!((config.hidden_size, config.intermediate_size), (Self::COLS, Self::FFN_INNER));
        let noise = NoiseRows::new(format, Self::COLS);
        let mut bench = Self {
            gate_ups: vec![noise.matrix(gpu, 2 * Self::FFN_INNER).await?],
            down: NoiseRows::new(format, Self::FFN_INNER).matrix(gpu, Self::COLS).await?,
            post_norm: Tensor::from_rows(gpu, "post_norm", Self::COLS, &row(POST_NORM)).await?,
            next_norm: Tensor::from_rows(gpu, "next_norm", Self::COLS, &row(NEXT_NORM)).await?,
            activations: Activations::new(&config, gpu.capabilities(), 1, 1),
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
            y: &self.activations.block,
            post_weight: &self.post_norm,
            residual: &self.activations.residual,
            next_weight: &self.next_norm,
            eps: 1e-6,
        };
        let block = FeedForward {
            norm,
            new_residual: &self.activations.new_residual,
            gate_up: vec![(gate_up, 0)],
            down: &self.down,
            activations: &self.activations,
        };
        record_ffn_inner(r, products, &block)
    }

    fn products(&self, kernels: Kernels) -> Products<'_> {
        Products { mode: Mode::Decode, kernels, int8: &self.activations.int8, f16: &self.activations.f16 }
    }

    /// The first block's output, then the residual stream.
    async fn result(&self, gpu: &Gpu, kernels: Kernels) -> Result<Vec<f32>> {
        let mut ring = StepRing::new(gpu).await?;
        let mut r = Recording::new(gpu.capabilities());
        let products = self.products(kernels);
        let inner = self.record(&mut r, &products, &self.gate_ups[0]);
        let a = &self.activations;
        products.record(&mut r, inner.operand, &[(&self.down, 0)], &a.block);
        let plan = r.finish(gpu, &ring).await?;
        // An earlier run has overwritten its inputs.
        a.residual.upload(gpu, &row(RESIDUAL)).await?;
        a.block.upload(gpu, &row(BLOCK)).await?;
        let written = [&a.new_residual, &a.normed, &a.gate_up, &a.ffn_inner].map(Tensor::buffer);
        for buffer in written.into_iter().chain([a.int8.buffer(), a.ffn_inner_int8.buffer()]) {
            fill_with_nan(gpu, buffer).await?;
        }
        gpu.run_segments(&mut ring, &plan, 0..plan.segments(), &Step::default()).await?;
        let residual = if inner.moved { &a.new_residual } else { &a.residual };
        Ok([a.block.read(gpu, 1).await?, residual.read(gpu, 1).await?].concat())
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
