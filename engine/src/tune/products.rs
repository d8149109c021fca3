//! Measures the time of products.

use super::{agree, time};
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing, Tensor};
use crate::model::{Kernels, Products};
use crate::ops::{Int8Tensor, MAX_SMALL_BATCH, Mode, Operand};
use crate::quant::{Matrix, WeightFormat};

/// Products to measure: of one vector with several matrices, or of a batch with one matrix.
pub(super) struct ProductBench {
    mode: Mode,
    weights: Vec<Matrix>,
    x: Tensor,
    int8: Int8Tensor,
    out: Tensor,
    tokens: usize,
    /// The first matrix's product by the float kernel.
    expected: Vec<f32>,
}

impl ProductBench {
    /// The size of a layer of the 2B, and a whole number of blocks in every format.
    const ROWS: usize = 2048;
    const COLS: usize = 2048;
    /// Larger than most caches. A software adapter is slow, so it is measured with less.
    const BYTES: u64 = 96 << 20;
    const SOFTWARE_BYTES: u64 = 12 << 20;

    pub(super) async fn new(gpu: &Gpu, format: WeightFormat, mode: Mode) -> Result<Self> {
        let software = gpu.capabilities().software;
        let tokens = match mode {
            Mode::Decode => 1,
            Mode::SmallBatch => MAX_SMALL_BATCH,
            Mode::Prefill if software => 64,
            Mode::Prefill => 512,
        };
        let mut weights = vec![Matrix::noise(gpu, format, Self::ROWS, Self::COLS).await?];
        if mode != Mode::Prefill {
            let bytes = if software { Self::SOFTWARE_BYTES } else { Self::BYTES };
            for _ in 1..bytes.div_ceil(weights[0].bytes()) {
                weights.push(Matrix::noise(gpu, format, Self::ROWS, Self::COLS).await?);
            }
        }
        // Any values of different magnitudes work.
        let x: Vec<f32> = (0..tokens * Self::COLS).map(|i| (i as f32 * 0.7).sin() * (1 + i % 7) as f32).collect();
        let mut bench = Self {
            mode,
            weights,
            x: Tensor::from_rows(gpu, "x", Self::COLS, &x).await?,
            int8: Int8Tensor::new("int8", tokens, Self::COLS),
            out: Tensor::new("out", tokens, Self::ROWS),
            tokens,
            expected: Vec::new(),
        };
        let mut ring = StepRing::new(gpu).await?;
        let plan = bench.plan(gpu, &ring, Kernels::FLOAT, 1).await?;
        gpu.run(&mut ring, &plan, &bench.step()).await?;
        bench.expected = bench.out.read(gpu, tokens).await?;
        Ok(bench)
    }

    fn step(&self) -> Step {
        Step { n_tokens: self.tokens as u32, ..Step::default() }
    }

    /// The products with the first `matrices`.
    async fn plan(&self, gpu: &Gpu, ring: &StepRing, kernels: Kernels, matrices: usize) -> Result<Plan> {
        let mut r = Recording::new(gpu.capabilities());
        let products = Products { mode: self.mode, kernels, int8: &self.int8 };
        for weights in &self.weights[..matrices] {
            products.record(&mut r, Operand::Float(&self.x), &[(weights, 0)], &self.out);
        }
        r.finish(gpu, ring).await
    }

    /// Milliseconds of the products, infinite if they are wrong.
    pub(super) async fn run(&self, gpu: &Gpu, kernels: Kernels) -> Result<f64> {
        let mut ring = StepRing::new(gpu).await?;
        let first = self.plan(gpu, &ring, kernels, 1).await?;
        // The previous kernel's result must not be taken for this one's.
        self.out.upload(gpu, &vec![f32::NAN; self.tokens * Self::ROWS]).await?;
        gpu.run(&mut ring, &first, &self.step()).await?;
        if !agree(&self.out.read(gpu, self.tokens).await?, &self.expected) {
            log::warn!("{} computes wrong products with {kernels:?}", gpu.info().name);
            return Ok(f64::INFINITY);
        }
        let plan = self.plan(gpu, &ring, kernels, self.weights.len()).await?;
        time(gpu, &mut ring, &plan, &self.step()).await
    }
}
