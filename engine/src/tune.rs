//! Which kernels multiply fastest on an adapter, measured once and remembered.
//!
//! There is no telling from an adapter's name: some multiply packed bytes in one instruction, some emulate it; some want a
//! subgroup to share a row, some (software) want every invocation alone. So each candidate runs on matrices of zeros,
//! large enough to leave small caches and small enough to take milliseconds.

use std::path::Path;

use web_time::Instant;

use crate::error::Result;
use crate::gpu::{Gpu, Recorder, StepRing, StepUniform, Tensor};
use crate::model::{Kernels, Matmul, Matvec, Mode, Products};
use crate::ops::{Factor, Int8Tensor};
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
const RUNS: usize = 4;

/// What a tuning run measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The fastest kernels.
    pub kernels: Kernels,
    /// Milliseconds of each candidate, by mode; empty if the choice was remembered.
    pub measured: Vec<(Mode, &'static str, f64)>,
}

impl Tuning {
    /// Measures the candidates for a weight format.
    ///
    /// # Errors
    /// The errors of buffers, and if the device is lost.
    pub async fn run(gpu: &Gpu, format: WeightFormat, allowed: Option<Activations>) -> Result<Self> {
        let mut tuning = Self { kernels: Kernels::FLOAT, measured: Vec::new() };
        let (matvecs, matmuls) = candidates(gpu, format, allowed);
        let mut best = f64::INFINITY;
        let bench = Bench::new(gpu, format, 16_384, 1).await?;
        for matvec in matvecs {
            let ms = bench.run(gpu, Mode::Decode, Kernels { matvec, ..Kernels::FLOAT }).await?;
            tuning.measured.push((Mode::Decode, matvec.name(), ms));
            let cost = if matvec == Matvec::Float { ms } else { ms * WORTH_ROUNDING };
            if cost < best {
                best = cost;
                tuning.kernels.matvec = matvec;
            }
        }
        best = f64::INFINITY;
        let bench = Bench::new(gpu, format, 1024, 64).await?;
        for matmul in matmuls {
            let ms = bench.run(gpu, Mode::Prefill, Kernels { matmul, ..Kernels::FLOAT }).await?;
            tuning.measured.push((Mode::Prefill, matmul.name(), ms));
            let cost = if matmul == Matmul::Float { ms } else { ms * WORTH_ROUNDING };
            if cost < best {
                best = cost;
                tuning.kernels.matmul = matmul;
            }
        }
        Ok(tuning)
    }

    /// The same, remembered in a file of `folder` for this adapter, driver, format and version of the kernels.
    ///
    /// # Errors
    /// As for [`Tuning::run`]. A folder that cannot be read or written only costs the time.
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
        let info = gpu.info();
        let key = format!(
            "{} | {} {} {} | {} | {format} {} | {:016x}",
            info.name,
            info.backend.to_str(),
            info.driver,
            info.driver_info,
            // One adapter may be opened with fewer features than it has.
            gpu.capabilities().shader_features().join(" "),
            if allowed.is_some() { "int8" } else { "any" },
            lapidary_shaders::kernels::HASH,
        )
        .replace(['\n', '\t'], " ");
        let file = folder.map(|folder| folder.join("tuning.tsv"));
        let known = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let there = |kernels: &Kernels| matvecs.contains(&kernels.matvec) && matmuls.contains(&kernels.matmul);
        let lines = known.lines().filter_map(|line| line.strip_prefix(&key));
        if let Some(kernels) = lines.filter_map(parse).find(there) {
            return Ok(Self { kernels, measured: Vec::new() });
        }
        let tuning = Self::run(gpu, format, allowed).await?;
        log::info!("tuned for {key}: {:?}", tuning.measured);
        if let (Some(folder), Some(file)) = (folder, file) {
            // The newest lines only: drivers and kernels come and go.
            let lines: Vec<&str> = known.lines().rev().take(MAX_LINES - 1).collect();
            let mut text: String = lines.into_iter().rev().map(|line| format!("{line}\n")).collect();
            text.push_str(&format!("{key}{}\n", unparse(tuning.kernels)));
            let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text));
            if let Err(error) = written {
                log::debug!("cannot remember the tuning: {error}");
            }
        }
        Ok(tuning)
    }
}

/// The kernels to choose from.
fn candidates(gpu: &Gpu, format: WeightFormat, allowed: Option<Activations>) -> (Vec<Matvec>, Vec<Matmul>) {
    let int8 = format.is_integer() && allowed != Some(Activations::Float);
    let float = !int8 || allowed != Some(Activations::Int8);
    // What f16 rounds, exact arithmetic does not want rounded either.
    let coop = allowed.is_none() && format != WeightFormat::F32 && gpu.capabilities().cooperative_size.is_some();
    let matvecs = Matvec::ALL.into_iter().filter(|matvec| if *matvec == Matvec::Float { float } else { int8 });
    let matmuls = Matmul::ALL.into_iter().filter(|matmul| match matmul {
        Matmul::Float => float,
        Matmul::Int8 => int8,
        Matmul::Coop => coop,
    });
    (matvecs.collect(), matmuls.collect())
}

/// Lines that the file keeps.
const MAX_LINES: usize = 100;

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

/// A product to time.
struct Bench {
    weights: Matrix,
    x: Tensor,
    int8: Int8Tensor,
    out: Tensor,
    tokens: u32,
}

impl Bench {
    const COLS: usize = 2048;

    async fn new(gpu: &Gpu, format: WeightFormat, rows: usize, tokens: usize) -> Result<Self> {
        Ok(Self {
            weights: Matrix::zeros(gpu, format, rows, Self::COLS).await?,
            x: Tensor::zeros(gpu, "x", tokens, Self::COLS).await?,
            int8: Int8Tensor::new(gpu, "int8", tokens, Self::COLS).await?,
            out: Tensor::zeros(gpu, "out", tokens, rows).await?,
            tokens: tokens as u32,
        })
    }

    /// Milliseconds of the fastest of some runs, after one that compiles.
    async fn run(&self, gpu: &Gpu, mode: Mode, kernels: Kernels) -> Result<f64> {
        let mut ring = StepRing::new(gpu).await?;
        let mut r = Recorder::new(gpu, &ring);
        let products = Products { mode, kernels, int8: &self.int8 };
        products.record(&mut r, Factor::Float(&self.x), &[(&self.weights, 0)], &self.out).await?;
        let plan = r.finish();
        let step = StepUniform { n_tokens: self.tokens, ..StepUniform::default() };
        let mut best = f64::INFINITY;
        for run in 0..=RUNS {
            let started = Instant::now();
            gpu.run(&mut ring, &plan, &step).await?;
            if run > 0 {
                best = best.min(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read() {
        for matvec in Matvec::ALL {
            for matmul in Matmul::ALL {
                let kernels = Kernels { matvec, matmul };
                assert_eq!(parse(&unparse(kernels)), Some(kernels));
            }
        }
        assert_eq!(parse("\tint8 solo"), None);
        assert_eq!(parse("\tint8 solo\tnever heard of"), None);
    }
}
