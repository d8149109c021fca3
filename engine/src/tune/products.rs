//! Measures the time of products.

use super::agree;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Recording, Step, StepRing, Tensor};
use crate::model::{Kernels, Products};
use crate::ops::{Int8Tensor, MAX_SMALL_BATCH, Mode, Operand, quantize};
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
    out: Tensor,
    /// The first matrix's product by the float kernel.
    expected: Vec<f32>,
}

impl ProductBench {
    /// The products of a layer of the 2B, `[rows, cols]`. All columns are whole blocks in every format.
    const LAYER: &[[usize; 2]] = &[[4096, 2304], [2304, 2048], [2 * 9216, 2304], [2304, 9216]];
    /// Larger than the caches of GPUs.
    const BYTES: u64 = 512 << 20;
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
        for &[rows, cols] in layer {
            // Any values of different magnitudes work.
            let x: Vec<f32> = (0..tokens * cols).map(|i| (i as f32 * 0.7).sin() * (1 + i % 7) as f32).collect();
            products.push(Product {
                weights: vec![Matrix::noise(gpu, format, rows, cols).await?],
                x: Tensor::from_rows(gpu, "x", cols, &x).await?,
                int8: Int8Tensor::new("int8", tokens, cols),
                out: Tensor::new("out", tokens, rows),
                expected: Vec::new(),
            });
        }
        let layer_bytes: u64 = products.iter().map(|product| product.weights[0].bytes()).sum();
        // The products of a chunk of a prompt do not wait for weights.
        let layers = if mode == Mode::Prefill { 1 } else { bytes.div_ceil(layer_bytes) };
        for _ in 1..layers {
            let mut more = Vec::new();
            for &[rows, cols] in layer {
                match Matrix::noise(gpu, format, rows, cols).await {
                    // The layers that fit have to do.
                    Err(Error::OutOfMemory { .. }) => break,
                    made => more.push(made?),
                }
            }
            if more.len() < layer.len() {
                break;
            }
            for (product, matrix) in products.iter_mut().zip(more) {
                product.weights.push(matrix);
            }
        }
        let mut bench = Self { mode, tokens, products };
        let mut ring = StepRing::new(gpu).await?;
        let plan = bench.layers(gpu, &ring, Kernels::FLOAT, 1).await?;
        gpu.run(&mut ring, &plan, &bench.step()).await?;
        for product in &mut bench.products {
            product.expected = product.out.read(gpu, tokens).await?;
        }
        Ok(bench)
    }

    pub(super) fn step(&self) -> Step {
        Step { n_tokens: self.tokens as u32, ..Step::default() }
    }

    /// The products of the first `layers`.
    async fn layers(&self, gpu: &Gpu, ring: &StepRing, kernels: Kernels, layers: usize) -> Result<Plan> {
        let mut r = Recording::new(gpu.capabilities());
        let operands: Vec<_> = self
            .products
            .iter()
            .map(|Product { weights, x, int8, .. }| {
                let products = Products { mode: self.mode, kernels, int8 };
                let operand = products.operand(&r, &[(&weights[0], 0)], x);
                if let Operand::Int8(int8) = operand {
                    quantize(&mut r, x, int8);
                }
                (products, operand)
            })
            .collect();
        for layer in 0..layers {
            for (product, (products, operand)) in self.products.iter().zip(&operands) {
                products.record(&mut r, *operand, &[(&product.weights[layer], 0)], &product.out);
            }
        }
        r.finish(gpu, ring).await
    }

    /// The plan of all layers with these kernels; `None` if they are wrong.
    pub(super) async fn plan(&self, gpu: &Gpu, ring: &mut StepRing, kernels: Kernels) -> Result<Option<Plan>> {
        let first = self.layers(gpu, ring, kernels, 1).await?;
        for Product { weights, out, .. } in &self.products {
            // The previous kernel's result must not be taken for this one's.
            out.upload(gpu, &vec![f32::NAN; self.tokens * weights[0].shape()[0]]).await?;
        }
        gpu.run(ring, &first, &self.step()).await?;
        for Product { out, expected, .. } in &self.products {
            if !agree(&out.read(gpu, self.tokens).await?, expected) {
                log::warn!("{} computes wrong products with {kernels:?}", gpu.info().name);
                return Ok(None);
            }
        }
        self.layers(gpu, ring, kernels, self.products[0].weights.len()).await.map(Some)
    }
}
