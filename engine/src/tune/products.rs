//! Measures the time of products.

use super::{SUBMIT_MS, agree, fill_with_nan, none_if_out_of_memory, run_each};
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing, Tensor};
use crate::load::NoiseRows;
use crate::model::{Kernels, Products};
use crate::ops::{F16Tensor, Int8Tensor, MAX_SMALL_BATCH, Mode, Rounding, product};
use crate::pace::default_prefill_chunk;
use crate::quant::{Matrix, WeightFormat};

/// The products of layers to measure.
pub(super) struct ProductBench {
    mode: Mode,
    tokens: usize,
    products: Vec<Product>,
}

/// Products of one shape.
struct Product {
    /// One per layer.
    weights: Vec<Matrix>,
    x: Tensor,
    int8: Int8Tensor,
    f16: F16Tensor,
    out: Tensor,
    /// The first matrix's product by the float kernel.
    expected: Vec<f32>,
}

impl ProductBench {
    /// The products of a layer of the 2B, `[rows, cols]`. All columns are whole blocks in every format.
    const LAYER: &[[usize; 2]] = &[[4096, 2304], [2304, 2048], [2 * 9216, 2304], [2304, 9216]];
    /// Larger than the caches of GPUs.
    const BYTES: u64 = 512 << 20;
    /// Tokens of the first run, which shows whether more would take too long.
    const FEW_TOKENS: usize = 32;
    /// A software adapter is slow, so it is measured with less.
    const SOFTWARE_LAYER: &[[usize; 2]] = &[[2048, 2304]];
    const SOFTWARE_BYTES: u64 = 12 << 20;

    pub(super) async fn new(gpu: &Gpu, format: WeightFormat, mode: Mode) -> Result<Self> {
        let software = gpu.capabilities().software;
        let (layer, bytes) =
            if software { (Self::SOFTWARE_LAYER, Self::SOFTWARE_BYTES) } else { (Self::LAYER, Self::BYTES) };
        let tokens = match mode {
            Mode::Decode => 1,
            Mode::SmallBatch => MAX_SMALL_BATCH,
            Mode::Prefill if software => 64,
            Mode::Prefill => default_prefill_chunk(software),
        };
        let mut products = Vec::new();
        let mut noise = Vec::new();
        for &[rows, cols] in layer {
            // Any values of different magnitudes work.
            let x: Vec<f32> = (0..tokens * cols).map(|i| (i as f32 * 0.7).sin() * (1 + i % 7) as f32).collect();
            let weights = NoiseRows::new(format, cols);
            products.push(Product {
                weights: vec![weights.matrix(gpu, rows).await?],
                x: Tensor::from_rows(gpu, "x", cols, &x).await?,
                int8: Int8Tensor::new("int8", tokens, cols),
                f16: F16Tensor::new("f16", tokens, cols),
                out: Tensor::new("out", tokens, rows),
                expected: Vec::new(),
            });
            noise.push((weights, rows));
        }
        let layer_bytes: u64 = products.iter().map(|product| product.weights[0].bytes()).sum();
        // The products of a chunk of a prompt do not wait for weights.
        let layers = if mode == Mode::Prefill { 1 } else { bytes.div_ceil(layer_bytes) };
        'layers: for layer in 1..layers as usize {
            for (i, (weights, rows)) in noise.iter().enumerate() {
                let Some(matrix) = none_if_out_of_memory(weights.matrix(gpu, *rows).await)? else {
                    // The layers that fit have to do. Without the last one there is room for what else is needed.
                    for product in &mut products {
                        product.weights.truncate(1.max(layer - 1));
                    }
                    break 'layers;
                };
                products[i].weights.push(matrix);
            }
        }
        let mut bench = Self { mode, tokens: tokens.min(Self::FEW_TOKENS), products };
        let mut ring = StepRing::new(gpu).await?;
        let plan = bench.layers(gpu, &ring, Kernels::FLOAT, 1).await?;
        let ms = bench.run_few(gpu, &mut ring, &plan).await?;
        let bearable = ((SUBMIT_MS / ms) as usize).saturating_mul(Self::FEW_TOKENS);
        bench.tokens = tokens.min(bearable.max(Self::FEW_TOKENS));
        run_each(gpu, &mut ring, &plan, &bench.step()).await?;
        for product in &mut bench.products {
            product.expected = product.out.read(gpu, bench.tokens).await?;
        }
        Ok(bench)
    }

    /// Runs a plan with few tokens. Returns the milliseconds of the slowest product.
    async fn run_few(&self, gpu: &Gpu, ring: &mut StepRing, plan: &Plan) -> Result<f64> {
        let few = Step { n_tokens: self.tokens.min(Self::FEW_TOKENS) as u32, ..Step::default() };
        // Drivers may compile kernels in the first run.
        run_each(gpu, ring, plan, &few).await?;
        run_each(gpu, ring, plan, &few).await
    }

    pub(super) fn step(&self) -> Step {
        Step { n_tokens: self.tokens as u32, ..Step::default() }
    }

    /// The rounding of activations, then the products of the first `layers`, each in a segment.
    async fn layers(&self, gpu: &Gpu, ring: &StepRing, kernels: Kernels, layers: usize) -> Result<Plan> {
        let mut r = Recording::new(gpu.capabilities());
        r.begin_segment();
        let operands: Vec<_> = self
            .products
            .iter()
            .map(|Product { weights, x, int8, f16, .. }| {
                let products = Products { mode: self.mode, kernels, int8, f16 };
                let way = products.way(&r, &weights[0]);
                (way, way.round(&mut r, x, int8, f16))
            })
            .collect();
        for layer in 0..layers {
            for (bench, (way, operand)) in self.products.iter().zip(&operands) {
                r.begin_segment();
                // A model rounds to f16 before each product, and to integers within the kernel before.
                let operand = match way.rounding {
                    Rounding::F16 => way.round(&mut r, &bench.x, &bench.int8, &bench.f16),
                    _ => *operand,
                };
                product(&mut r, way, &bench.weights[layer], operand, &bench.out, 0);
            }
        }
        r.finish(gpu, ring).await
    }

    /// The plan of all layers with these kernels; `None` if they are wrong or far too slow.
    pub(super) async fn plan(&self, gpu: &Gpu, ring: &mut StepRing, kernels: Kernels) -> Result<Option<Plan>> {
        let first = self.layers(gpu, ring, kernels, 1).await?;
        if self.tokens > Self::FEW_TOKENS {
            let ms = self.run_few(gpu, ring, &first).await? * (self.tokens / Self::FEW_TOKENS) as f64;
            if ms > 2.0 * SUBMIT_MS {
                log::info!("{} is too slow to measure with {kernels:?}: {ms:.0} ms", gpu.info().name);
                return Ok(None);
            }
        }
        for Product { int8, f16, out, .. } in &self.products {
            fill_with_nan(gpu, out.buffer()).await?;
            fill_with_nan(gpu, int8.buffer()).await?;
            fill_with_nan(gpu, f16.buffer()).await?;
        }
        run_each(gpu, ring, &first, &self.step()).await?;
        for Product { out, expected, .. } in &self.products {
            if !agree(&out.read(gpu, self.tokens).await?, expected) {
                log::warn!("{} computes wrong products with {kernels:?}", gpu.info().name);
                return Ok(None);
            }
        }
        self.layers(gpu, ring, kernels, self.products[0].weights.len()).await.map(Some)
    }
}
