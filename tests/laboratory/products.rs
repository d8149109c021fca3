//! Single products with weights, in every way to multiply.

use std::time::Instant;

use lapidary_engine::gpu::{DeviceOptions, Recording, Step, StepRing, Tensor};
use lapidary_engine::load::NoiseRows;
use lapidary_engine::ops::{F16Tensor, Int8Tensor, MAX_SMALL_BATCH, Mode, Way, product};
use lapidary_engine::quant::Matrix;
use lapidary_engine::{Gpu, Result, WeightFormat};
use pollster::block_on;

use crate::report::Report;
use crate::{Size, text};

const RUNS: usize = 5;

/// The products of a layer, `[rows, cols]`, and the head.
struct Shape {
    model: &'static str,
    products: [(&'static str, [usize; 2]); 5],
}

const SHAPES: [Shape; 3] = [
    Shape {
        model: "2B",
        products: [
            ("gate_up", [18432, 2304]),
            ("down", [2304, 9216]),
            ("qkv", [4096, 2304]),
            ("out", [2304, 2048]),
            ("head", [256_000, 2304]),
        ],
    },
    Shape {
        model: "9B",
        products: [
            ("gate_up", [28672, 3584]),
            ("down", [3584, 14336]),
            ("qkv", [8192, 3584]),
            ("out", [3584, 4096]),
            ("head", [256_000, 3584]),
        ],
    },
    Shape {
        model: "27B",
        products: [
            ("gate_up", [73728, 4608]),
            ("down", [4608, 36864]),
            ("qkv", [8192, 4608]),
            ("out", [4608, 4096]),
            ("head", [256_000, 4608]),
        ],
    },
];

const FORMATS: [WeightFormat; 5] =
    [WeightFormat::Q4_0, WeightFormat::Q4K, WeightFormat::Q6K, WeightFormat::Q8_0, WeightFormat::Bf16];

pub(crate) fn measure(size: Size, report: &mut Report) {
    report.begin("products", 0.9);
    let gpu = match block_on(Gpu::open(&DeviceOptions::from_env())) {
        Ok(gpu) => gpu,
        Err(error) => return report.failure("the device", &text(&error)),
    };
    if size == Size::Small {
        let small = Shape {
            model: "small",
            products: [
                ("gate_up", [512, 256]),
                ("down", [256, 512]),
                ("qkv", [256, 256]),
                ("out", [256, 256]),
                ("head", [1024, 256]),
            ],
        };
        return shape(&gpu, &small, WeightFormat::Q4_0, size, report);
    }
    // The most informative first.
    for (model, format) in [(0, 0), (2, 0), (0, 1), (0, 2), (0, 4), (0, 3), (1, 0), (2, 1), (2, 2)] {
        shape(&gpu, &SHAPES[model], FORMATS[format], size, report);
    }
}

fn shape(gpu: &Gpu, shape: &Shape, format: WeightFormat, size: Size, report: &mut Report) {
    for (name, dimensions) in shape.products {
        let what = format!("{} {name} {format}", shape.model);
        let made = report.has_time().then(|| block_on(Bench::new(gpu, format, dimensions, size)));
        let bench = match made {
            Some(Ok(bench)) => bench,
            Some(Err(error)) => {
                report.failure(&what, &text(&error));
                continue;
            }
            None => return,
        };
        let modes: &[(Mode, &[usize])] = if name == "head" {
            &[(Mode::Decode, &[1])]
        } else {
            &[(Mode::Decode, &[1]), (Mode::Prefill, &[256, 32]), (Mode::SmallBatch, &[MAX_SMALL_BATCH, 2])]
        };
        for (mode, all_tokens) in modes {
            for tokens in *all_tokens {
                for way in Way::all(*mode).filter(|way| way.supports(format, gpu.capabilities())) {
                    let what = format!("{what}, {mode:?} {tokens}, {}", way.name);
                    match report.has_time().then(|| block_on(bench.run(way, *tokens))) {
                        Some(Ok(seconds)) => bench.row(&what, *mode, *tokens, seconds, report),
                        Some(Err(error)) => report.failure(&what, &text(&error)),
                        None => return,
                    }
                }
            }
        }
    }
}

/// Matrices of one shape, more than caches hold.
struct Bench<'a> {
    gpu: &'a Gpu,
    matrices: Vec<Matrix>,
    rows: usize,
    cols: usize,
    size: Size,
}

impl<'a> Bench<'a> {
    async fn new(gpu: &'a Gpu, format: WeightFormat, [rows, cols]: [usize; 2], size: Size) -> Result<Self> {
        let noise = NoiseRows::new(format, cols);
        let mut matrices = vec![noise.matrix(gpu, rows).await?];
        let bytes = if size == Size::Full { 512 << 20 } else { 1 << 20 };
        for _ in 1..u64::div_ceil(bytes, matrices[0].bytes()).min(256) {
            matrices.push(noise.matrix(gpu, rows).await?);
        }
        Ok(Self { gpu, matrices, rows, cols, size })
    }

    /// Seconds per product, in several runs. Activations are rounded once per run, as the kernel before a product does.
    async fn run(&self, way: &'static Way, tokens: usize) -> Result<Vec<f64>> {
        let gpu = self.gpu;
        let x = Tensor::from_rows(gpu, "x", self.cols, &vec![0.5; tokens * self.cols]).await?;
        let int8 = Int8Tensor::new("int8", tokens, self.cols);
        let f16 = F16Tensor::new("f16", tokens, self.cols);
        let out = Tensor::new("out", tokens, self.rows);
        let mut ring = StepRing::new(gpu).await?;
        let step = Step { n_tokens: tokens as u32, ..Step::default() };
        let mut products = 1;
        let mut seconds = Vec::new();
        // The first run compiles the kernel, the next finds out how many products take long enough.
        for run in 0..RUNS + 3 {
            let mut r = Recording::new(gpu.capabilities());
            let operand = way.round(&mut r, &x, &int8, &f16);
            for matrix in self.matrices.iter().cycle().take(products) {
                product(&mut r, way, matrix, operand, &out, 0);
            }
            let plan = r.finish(gpu, &ring).await?;
            let started = Instant::now();
            // SAFETY: the operands have the shapes of the matrices and of the step's tokens, and no cache is bound.
            unsafe { gpu.run_plan(&mut ring, &plan, 0..plan.segments(), &step) }.await?;
            let elapsed = started.elapsed().as_secs_f64();
            match run {
                0 => products = if self.size == Size::Full { self.matrices.len() } else { 2 },
                1 | 2 if self.size == Size::Full => {
                    products = (products as f64 * (8e-3 / elapsed).clamp(0.1, 16.0)).ceil().clamp(1.0, 4096.0) as usize;
                }
                1 | 2 => {}
                _ => seconds.push(elapsed / products as f64),
            }
        }
        Ok(seconds)
    }

    fn row(&self, what: &str, mode: Mode, tokens: usize, seconds: Vec<f64>, report: &mut Report) {
        let (unit, amount, ceiling) = match mode {
            Mode::Prefill => ("TFLOP/s", 2e-12 * (self.rows * self.cols * tokens) as f64, report.arithmetic * 1e-12),
            _ => ("GB/s", 1e-9 * self.matrices[0].bytes() as f64, report.stream * 1e-9),
        };
        report.value(what, unit, seconds.into_iter().map(|s| amount / s).collect(), Some(ceiling));
    }
}
