//! Measures the time of products.

use super::agree;
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing, Tensor};
use crate::model::{Kernels, Products};
use crate::ops::{Int8Tensor, MAX_SMALL_BATCH, Mode, Operand, quantize};
use crate::pace::DEFAULT_PREFILL_CHUNK;
use crate::quant::{Matrix, WeightFormat};

/// Products to measure: of one vector with several matrices, or of a batch with one matrix.
pub(super) struct ProductBench {
    mode: Mode,
    rows: usize,
    weights: Vec<Matrix>,
    x: Tensor,
    int8: Int8Tensor,
    out: Tensor,
    tokens: usize,
    /// The first matrix's product by the float kernel.
    expected: Vec<f32>,
}

impl ProductBench {
    /// The gates and ups of the 2B. The columns are a whole number of blocks in every format.
    const ROWS: usize = 2 * 9216;
    const COLS: usize = 2304;
    /// Larger than the caches of GPUs.
    const BYTES: u64 = 512 << 20;
    /// A software adapter is slow, so it is measured with less.
    const SOFTWARE_ROWS: usize = 2048;
    const SOFTWARE_BYTES: u64 = 12 << 20;

    pub(super) async fn new(gpu: &Gpu, format: WeightFormat, mode: Mode) -> Result<Self> {
        let software = gpu.capabilities().software;
        let tokens = match mode {
            Mode::Decode => 1,
            Mode::SmallBatch => MAX_SMALL_BATCH,
            Mode::Prefill if software => 64,
            Mode::Prefill => DEFAULT_PREFILL_CHUNK,
        };
        let (rows, bytes) =
            if software { (Self::SOFTWARE_ROWS, Self::SOFTWARE_BYTES) } else { (Self::ROWS, Self::BYTES) };
        let mut weights = vec![Matrix::noise(gpu, format, rows, Self::COLS).await?];
        if mode != Mode::Prefill {
            for _ in 1..bytes.div_ceil(weights[0].bytes()) {
                weights.push(Matrix::noise(gpu, format, rows, Self::COLS).await?);
            }
        }
        // Any values of different magnitudes work.
        let x: Vec<f32> = (0..tokens * Self::COLS).map(|i| (i as f32 * 0.7).sin() * (1 + i % 7) as f32).collect();
        let mut bench = Self {
            mode,
            rows,
            weights,
            x: Tensor::from_rows(gpu, "x", Self::COLS, &x).await?,
            int8: Int8Tensor::new("int8", tokens, Self::COLS),
            out: Tensor::new("out", tokens, rows),
            tokens,
            expected: Vec::new(),
        };
        let mut ring = StepRing::new(gpu).await?;
        let plan = bench.products(gpu, &ring, Kernels::FLOAT, 1).await?;
        gpu.run(&mut ring, &plan, &bench.step()).await?;
        bench.expected = bench.out.read(gpu, tokens).await?;
        Ok(bench)
    }

    pub(super) fn step(&self) -> Step {
        Step { n_tokens: self.tokens as u32, ..Step::default() }
    }

    /// The products with the first `matrices`.
    async fn products(&self, gpu: &Gpu, ring: &StepRing, kernels: Kernels, matrices: usize) -> Result<Plan> {
        let mut r = Recording::new(gpu.capabilities());
        let products = Products { mode: self.mode, kernels, int8: &self.int8 };
        let x = products.operand(&r, &[(&self.weights[0], 0)], &self.x);
        if let Operand::Int8(int8) = x {
            quantize(&mut r, &self.x, int8);
        }
        for weights in &self.weights[..matrices] {
            products.record(&mut r, x, &[(weights, 0)], &self.out);
        }
        r.finish(gpu, ring).await
    }

    /// The plan of all products with these kernels; `None` if they are wrong.
    pub(super) async fn plan(&self, gpu: &Gpu, ring: &mut StepRing, kernels: Kernels) -> Result<Option<Plan>> {
        let first = self.products(gpu, ring, kernels, 1).await?;
        // The previous kernel's result must not be taken for this one's.
        self.out.upload(gpu, &vec![f32::NAN; self.tokens * self.rows]).await?;
        gpu.run(ring, &first, &self.step()).await?;
        if !agree(&self.out.read(gpu, self.tokens).await?, &self.expected) {
            log::warn!("{} computes wrong products with {kernels:?}", gpu.info().name);
            return Ok(None);
        }
        self.products(gpu, ring, kernels, self.weights.len()).await.map(Some)
    }
}
