//! Which kernels multiply fastest on an adapter, measured once and remembered.
//!
//! There is no telling from an adapter's name: some multiply packed bytes in one instruction, some emulate it; some want many
//! small workgroups, some few; some (software) want every invocation alone. So each candidate runs on matrices of noise as
//! large as a layer's (for one token on so many that no cache holds them), long enough that waiting for the device does not
//! count, and what it computes is compared: a driver that multiplies wrongly must not win by being quick.

use std::path::Path;

use web_time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Recorder, StepRing, StepUniform, Tensor};
use crate::model::{Kernels, Matmul, Matvec, Mode, Products};
use crate::ops::{Factor, Int8Tensor, Sharing};
use crate::quant::{Matrix, WeightFormat};

/// How activations meet weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activations {
    /// As f32: nothing is rounded.
    Float,
    /// Rounded to 8-bit integers, 32 to a scale, as llama.cpp does on CPUs, where weights are integers too.
    Int8,
}

/// What rounds activations must be at least this much faster to be worth it.
const WORTH_ROUNDING: f64 = 1.1;
/// Measurements of a candidate, the fastest of which counts.
const RUNS: usize = 3;
/// A measurement repeats the products until it takes about as long, in milliseconds, but not for ever.
const RUN_MS: f64 = 4.0;
const MOST_REPEATS: usize = 64;
/// How far results may be from those of floats, relative to their size: what 8-bit integers and f16 round, with a margin.
const TOLERANCE: f64 = 0.03;

/// What a tuning run measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The fastest kernels.
    pub kernels: Kernels,
    /// Milliseconds of each candidate, by mode; empty if the choice was remembered. Infinite where results were wrong.
    pub measured: Vec<(Mode, &'static str, f64)>,
}

impl Tuning {
    /// Measures the candidates for a weight format, and remembers the fastest in a file of `folder`.
    ///
    /// # Errors
    /// The errors of buffers, and if the device is lost. A folder that cannot be written to only costs the time.
    pub async fn run(
        gpu: &Gpu,
        format: WeightFormat,
        allowed: Option<Activations>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let (matvecs, matmuls) = candidates(gpu, format, allowed);
        let mut tuning = Self { kernels: first(&matvecs, &matmuls), measured: Vec::new() };
        let mut best = f64::INFINITY;
        let bench = Bench::new(gpu, format, Mode::Decode).await?;
        for matvec in matvecs {
            let ms = bench.run(gpu, Kernels { matvec, ..Kernels::FLOAT }).await?;
            tuning.measured.push((Mode::Decode, matvec.name(), ms));
            let cost = if matvec.rounds() { ms * WORTH_ROUNDING } else { ms };
            if cost < best {
                best = cost;
                tuning.kernels.matvec = matvec;
            }
        }
        best = f64::INFINITY;
        let bench = Bench::new(gpu, format, Mode::Prefill).await?;
        for matmul in matmuls {
            let ms = bench.run(gpu, Kernels { matmul, ..Kernels::FLOAT }).await?;
            tuning.measured.push((Mode::Prefill, matmul.name(), ms));
            let cost = if matmul == Matmul::Float { ms } else { ms * WORTH_ROUNDING };
            if cost < best {
                best = cost;
                tuning.kernels.matmul = matmul;
            }
        }
        log::info!("tuned for {}: {:?}", key(gpu, format, allowed), tuning.measured);
        if let Some(folder) = folder {
            remember(folder, &key(gpu, format, allowed), tuning.kernels);
        }
        Ok(tuning)
    }

    /// What was remembered for this adapter, driver, format and version of the kernels; measured where nothing was.
    ///
    /// # Errors
    /// If the device is lost. Where it has no memory left to measure in, the plainest kernels it is, this time.
    pub async fn remembered(
        gpu: &Gpu,
        format: WeightFormat,
        allowed: Option<Activations>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let (matvecs, matmuls) = candidates(gpu, format, allowed);
        if let ([matvec], [matmul]) = (&matvecs[..], &matmuls[..]) {
            return Ok(Self { kernels: Kernels { matvec: *matvec, matmul: *matmul }, measured: Vec::new() });
        }
        let key = key(gpu, format, allowed);
        let known = folder.and_then(|folder| std::fs::read_to_string(folder.join(FILE)).ok()).unwrap_or_default();
        let there = |kernels: &Kernels| matvecs.contains(&kernels.matvec) && matmuls.contains(&kernels.matmul);
        // The newest line counts.
        let lines = known.lines().rev().filter_map(|line| line.strip_prefix(&key));
        if let Some(kernels) = lines.filter_map(parse).find(there) {
            return Ok(Self { kernels, measured: Vec::new() });
        }
        match Self::run(gpu, format, allowed, folder).await {
            Err(Error::OutOfMemory { what }) => {
                log::debug!("no memory to tune in: {what}");
                Ok(Self { kernels: first(&matvecs, &matmuls), measured: Vec::new() })
            }
            other => other,
        }
    }
}

/// The kernels to choose from.
fn candidates(gpu: &Gpu, format: WeightFormat, allowed: Option<Activations>) -> (Vec<Matvec>, Vec<Matmul>) {
    let capabilities = gpu.capabilities();
    let int8 = format.is_integer() && allowed != Some(Activations::Float);
    let float = !int8 || allowed != Some(Activations::Int8);
    // What f16 rounds, exact arithmetic does not want rounded either.
    let coop = allowed.is_none() && format != WeightFormat::F32 && capabilities.cooperative_size.is_some();
    let matvecs = Matvec::ALL.into_iter().filter(|matvec| match matvec {
        Matvec::Float(rows) => float && (*rows == Kernels::ROWS || capabilities.subgroups && !capabilities.software),
        // A CPU's cores have no use for many lanes.
        Matvec::Int8(sharing) => int8 && (!capabilities.software || *sharing == Sharing::Solo),
    });
    let matmuls = Matmul::ALL.into_iter().filter(|matmul| match matmul {
        Matmul::Float => float,
        Matmul::Int8 => int8,
        Matmul::Coop => coop,
    });
    (matvecs.collect(), matmuls.collect())
}

/// The plainest candidates: floats, unless the caller wants integers.
fn first(matvecs: &[Matvec], matmuls: &[Matmul]) -> Kernels {
    Kernels {
        matvec: matvecs.first().copied().unwrap_or(Kernels::FLOAT.matvec),
        matmul: matmuls.first().copied().unwrap_or(Kernels::FLOAT.matmul),
    }
}

/// Where choices are remembered: a line each, its key, and the kernels of both modes.
const FILE: &str = "tuning.tsv";
/// Lines that the file keeps: drivers and kernels come and go.
const MAX_LINES: usize = 100;

/// All that a choice depends on.
fn key(gpu: &Gpu, format: WeightFormat, allowed: Option<Activations>) -> String {
    let info = gpu.info();
    format!(
        "{} | {} {} {} | {} {} | {format} {} | {:016x}",
        info.name,
        info.backend.to_str(),
        info.driver,
        info.driver_info,
        // One adapter may be opened with fewer features than it has, or with checks.
        gpu.capabilities().shader_features().join(" "),
        if gpu.checks_shaders() { "checked" } else { "trusted" },
        match allowed {
            None => "any",
            Some(Activations::Float) => "float",
            Some(Activations::Int8) => "int8",
        },
        lapidary_shaders::kernels::HASH,
    )
    .replace(['\n', '\t'], " ")
}

fn remember(folder: &Path, key: &str, kernels: Kernels) {
    let file = folder.join(FILE);
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let others: Vec<&str> = known.lines().filter(|line| !line.starts_with(key)).collect();
    let newest = &others[others.len().saturating_sub(MAX_LINES - 1)..];
    let mut text: String = newest.iter().map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{key}{}\n", unparse(kernels)));
    if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text)) {
        log::debug!("cannot remember the tuning: {error}");
    }
}

fn unparse(kernels: Kernels) -> String {
    format!("\t{}\t{}", kernels.matvec.name(), kernels.matmul.name())
}

fn parse(line: &str) -> Option<Kernels> {
    let (matvec, matmul) = line.strip_prefix('\t')?.split_once('\t')?;
    Some(Kernels {
        matvec: Matvec::ALL.into_iter().find(|kernel| kernel.name() == matvec)?,
        matmul: Matmul::ALL.into_iter().find(|kernel| kernel.name() == matmul)?,
    })
}

/// Products to time: of one vector with some matrices, or of many with one.
struct Bench {
    mode: Mode,
    weights: Vec<Matrix>,
    x: Tensor,
    int8: Int8Tensor,
    out: Tensor,
    tokens: usize,
    /// What floats make of the first matrix.
    expected: Vec<f32>,
}

impl Bench {
    /// As in a layer of the 2B; a whole number of every format's blocks.
    const ROWS: usize = 2048;
    const COLS: usize = 2048;
    /// More than most caches hold. Software adapters are slow enough to be measured with less.
    const BYTES: u64 = 96 << 20;
    const SOFTWARE_BYTES: u64 = 12 << 20;

    async fn new(gpu: &Gpu, format: WeightFormat, mode: Mode) -> Result<Self> {
        let software = gpu.capabilities().software;
        let tokens = match mode {
            Mode::Decode => 1,
            Mode::Prefill if software => 64,
            Mode::Prefill => 512,
        };
        let mut weights = vec![Matrix::noise(gpu, format, Self::ROWS, Self::COLS).await?];
        if mode == Mode::Decode {
            let bytes = if software { Self::SOFTWARE_BYTES } else { Self::BYTES };
            for _ in 1..bytes.div_ceil(weights[0].bytes()) {
                weights.push(Matrix::noise(gpu, format, Self::ROWS, Self::COLS).await?);
            }
        }
        // Any numbers of differing sizes do.
        let x: Vec<f32> = (0..tokens * Self::COLS).map(|i| (i as f32 * 0.7).sin() * (1 + i % 7) as f32).collect();
        let mut bench = Self {
            mode,
            weights,
            x: Tensor::from_rows(gpu, "x", Self::COLS, &x).await?,
            int8: Int8Tensor::new(gpu, "int8", tokens, Self::COLS).await?,
            out: Tensor::zeros(gpu, "out", tokens, Self::ROWS).await?,
            tokens,
            expected: Vec::new(),
        };
        let mut ring = StepRing::new(gpu).await?;
        let plan = bench.plan(gpu, &ring, Kernels::FLOAT, 1).await?;
        gpu.run(&mut ring, &plan, &bench.step()).await?;
        bench.expected = bench.out.read(gpu, tokens).await?;
        Ok(bench)
    }

    fn step(&self) -> StepUniform {
        StepUniform { n_tokens: self.tokens as u32, ..StepUniform::default() }
    }

    /// The products with the first `matrices`.
    async fn plan(&self, gpu: &Gpu, ring: &StepRing, kernels: Kernels, matrices: usize) -> Result<Plan> {
        let mut r = Recorder::new(gpu, ring);
        let products = Products { mode: self.mode, kernels, int8: &self.int8 };
        for weights in &self.weights[..matrices] {
            products.record(&mut r, Factor::Float(&self.x), &[(weights, 0)], &self.out).await?;
        }
        Ok(r.finish())
    }

    /// Milliseconds of the products in the fastest of some runs, after one that compiles; infinite if they are wrong.
    async fn run(&self, gpu: &Gpu, kernels: Kernels) -> Result<f64> {
        let mut ring = StepRing::new(gpu).await?;
        let first = self.plan(gpu, &ring, kernels, 1).await?;
        gpu.run(&mut ring, &first, &self.step()).await?;
        if !agree(&self.out.read(gpu, self.tokens).await?, &self.expected) {
            log::warn!("{} computes wrong products with {kernels:?}", gpu.info().name);
            return Ok(f64::INFINITY);
        }
        let plan = self.plan(gpu, &ring, kernels, self.weights.len()).await?;
        let mut repeats = 1;
        let mut best = f64::INFINITY;
        for run in 0..=RUNS {
            let started = Instant::now();
            let commands = gpu.encode(&mut ring, &vec![&plan; repeats], &self.step(), |_| {});
            let submission = gpu.submit_commands([commands]);
            gpu.finish(submission).await?;
            let ms = started.elapsed().as_secs_f64() * 1e3 / repeats as f64;
            if run == 0 {
                repeats = ((RUN_MS / ms).ceil() as usize).clamp(1, MOST_REPEATS);
            } else {
                best = best.min(ms);
            }
        }
        Ok(best)
    }
}

/// Whether results are as close as rounding allows: their difference against their size, both as root mean squares.
fn agree(found: &[f32], expected: &[f32]) -> bool {
    let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|n| n * n).sum::<f64>();
    let size = square(&mut expected.iter().map(|n| f64::from(*n)));
    let error = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    // NaN is not close to anything.
    found.len() == expected.len() && error <= TOLERANCE * TOLERANCE * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for matvec in Matvec::ALL {
            for matmul in Matmul::ALL {
                let kernels = Kernels { matvec, matmul };
                assert_eq!(parse(&unparse(kernels)), Some(kernels));
                remember(folder.path(), "an adapter", kernels);
                remember(folder.path(), "another", Kernels::FLOAT);
                let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
                assert_eq!(text.lines().count(), 2, "an old choice was kept");
                assert!(text.contains(&format!("an adapter{}\n", unparse(kernels))));
            }
        }
        assert_eq!(parse("\tint8 solo"), None);
        assert_eq!(parse("\tint8 solo\tnever heard of"), None);
    }

    #[test]
    fn wrong_products_are_noticed() {
        let expected = [1.0, -2.0, 3.0];
        assert!(agree(&[1.001, -2.0, 2.999], &expected));
        assert!(!agree(&[1.0, -2.0, 2.0], &expected));
        assert!(!agree(&[1.0, f32::NAN, 3.0], &expected));
        assert!(!agree(&[0.0; 3], &expected));
    }
}
