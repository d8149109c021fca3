//! Which kernels multiply fastest on an adapter, measured once and remembered.
//!
//! There is no telling from an adapter's name: some multiply packed bytes in one instruction, some emulate it; some want many
//! small workgroups, some few; some (software) want every invocation alone. So each candidate runs on matrices of noise as
//! large as a layer's (for one token on so many that no cache holds them), long enough that waiting for the device does not
//! count, and what it computes is compared: a driver that multiplies wrongly must not win by being quick.

mod products;
mod remembered;
mod seam;

use std::path::Path;

use web_time::Instant;

use self::products::ProductBench;
use self::remembered::{key, recall, remember};
use self::seam::SeamBench;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, StepRing, StepUniform};
use crate::model::{Few, Kernels, Matmul, Matvec, Mode};
use crate::ops::{Sharing, Width};
use crate::quant::WeightFormat;

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

/// What a tuning run chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// What multiplies one token.
    OneToken,
    /// Who makes the seam before the feed-forward block of one token.
    Seam,
    /// What multiplies a few tokens.
    FewTokens,
    /// What multiplies many tokens.
    ManyTokens,
}

impl Choice {
    /// What `kernels` have chosen, for people and files.
    pub fn of(self, kernels: Kernels) -> &'static str {
        match self {
            Self::OneToken => kernels.matvec.name(),
            Self::Seam if kernels.folds_seam => "folded",
            Self::Seam => "apart",
            Self::FewTokens => kernels.few.name(),
            Self::ManyTokens => kernels.matmul.name(),
        }
    }
}

/// What a tuning run measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The fastest kernels.
    pub kernels: Kernels,
    /// Milliseconds of each candidate by what it was a candidate for; empty if the choice was remembered. Infinite where
    /// results were wrong.
    pub measured: Vec<(Choice, &'static str, f64)>,
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
        let candidates = Candidates::of(gpu, format, allowed);
        let mut tuning = Self { kernels: candidates.first(), measured: Vec::new() };
        let matvecs = candidates.matvecs.iter().map(|matvec| Kernels { matvec: *matvec, ..tuning.kernels });
        let rounds = |kernels: Kernels| kernels.matvec.rounds();
        tuning.choose(gpu, format, Mode::Decode, Choice::OneToken, matvecs.collect(), rounds).await?;
        if candidates.folds && tuning.kernels.matvec.can_fold() {
            let bench = SeamBench::new(gpu, format).await?;
            let [apart, folded] = [false, true].map(|folds_seam| Kernels { folds_seam, ..tuning.kernels });
            let apart_ms = tuning.note(Choice::Seam, apart, bench.run(gpu, apart).await?);
            let folded_ms = tuning.note(Choice::Seam, folded, bench.run(gpu, folded).await?);
            tuning.kernels.folds_seam = folded_ms < apart_ms;
        }
        let matmuls = candidates.matmuls.iter().map(|matmul| Kernels { matmul: *matmul, ..tuning.kernels });
        let rounds = |kernels: Kernels| kernels.matmul != Matmul::Float;
        tuning.choose(gpu, format, Mode::Prefill, Choice::ManyTokens, matmuls.collect(), rounds).await?;
        let fews = candidates.fews.iter().map(|few| Kernels { few: *few, ..tuning.kernels });
        let rounds = |kernels: Kernels| match kernels.few {
            Few::AsMany => kernels.matmul != Matmul::Float,
            Few::Float(_) => false,
            Few::Int8(_) => true,
        };
        tuning.choose(gpu, format, Mode::Few, Choice::FewTokens, fews.collect(), rounds).await?;
        log::info!("tuned for {}: {:?}", key(gpu, format, allowed), tuning.measured);
        if let Some(folder) = folder {
            remember(folder, &key(gpu, format, allowed), tuning.kernels);
        }
        Ok(tuning)
    }

    /// Measures candidates and keeps the one that costs least; the first if all are wrong. One alone is not measured.
    async fn choose(
        &mut self,
        gpu: &Gpu,
        format: WeightFormat,
        mode: Mode,
        choice: Choice,
        candidates: Vec<Kernels>,
        rounds: impl Fn(Kernels) -> bool,
    ) -> Result<()> {
        if candidates.len() < 2 {
            return Ok(());
        }
        let bench = ProductBench::new(gpu, format, mode).await?;
        let mut best = f64::INFINITY;
        for kernels in candidates {
            let ms = self.note(choice, kernels, bench.run(gpu, kernels).await?);
            let cost = if rounds(kernels) { ms * WORTH_ROUNDING } else { ms };
            if cost < best {
                best = cost;
                self.kernels = kernels;
            }
        }
        Ok(())
    }

    fn note(&mut self, choice: Choice, kernels: Kernels, ms: f64) -> f64 {
        self.measured.push((choice, choice.of(kernels), ms));
        ms
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
        let candidates = Candidates::of(gpu, format, allowed);
        let plainest = Self { kernels: candidates.first(), measured: Vec::new() };
        if candidates.are_one() {
            return Ok(plainest);
        }
        let known = folder.and_then(|folder| recall(folder, &key(gpu, format, allowed), |k| candidates.have(k)));
        if let Some(kernels) = known {
            return Ok(Self { kernels, measured: Vec::new() });
        }
        match Self::run(gpu, format, allowed, folder).await {
            Err(Error::OutOfMemory { what }) => {
                log::debug!("no memory to tune in: {what}");
                Ok(plainest)
            }
            other => other,
        }
    }
}

/// The kernels to choose from.
struct Candidates {
    matvecs: Vec<Matvec>,
    /// Whether seams may be folded.
    folds: bool,
    fews: Vec<Few>,
    matmuls: Vec<Matmul>,
}

impl Candidates {
    fn of(gpu: &Gpu, format: WeightFormat, allowed: Option<Activations>) -> Self {
        let capabilities = gpu.capabilities();
        let int8 = format.is_integer() && allowed != Some(Activations::Float);
        let float = !int8 || allowed != Some(Activations::Int8);
        // What f16 rounds, exact arithmetic does not want rounded either.
        let coop = allowed.is_none() && format != WeightFormat::F32 && capabilities.cooperative_size.is_some();
        let matvecs = Matvec::ALL.into_iter().filter(|matvec| match matvec {
            Matvec::Float(rows) => {
                float && (*rows == Kernels::ROWS || capabilities.subgroups && !capabilities.software)
            }
            // A CPU's cores have no use for many lanes.
            Matvec::Int8(sharing) => int8 && (!capabilities.software || *sharing == Sharing::Solo),
        });
        let matmuls = Matmul::ALL.into_iter().filter(|matmul| match matmul {
            Matmul::Float => float,
            Matmul::Int8 => int8,
            Matmul::Coop => coop,
        });
        let fews = Few::ALL.into_iter().filter(|few| match few {
            Few::AsMany => true,
            // On a CPU eight tokens of integers are as good as many, but not of floats, whose matmul has tiles of 32.
            Few::Float(width) => float && (!capabilities.software || !format.is_integer() && *width == Width::W64),
            Few::Int8(_) => int8 && !capabilities.software,
        });
        Self {
            matvecs: matvecs.collect(),
            // Nor for work that is done twice.
            folds: !capabilities.software,
            fews: fews.collect(),
            matmuls: matmuls.collect(),
        }
    }

    /// The plainest: floats, unless the caller wants integers.
    fn first(&self) -> Kernels {
        Kernels {
            matvec: self.matvecs.first().copied().unwrap_or(Kernels::FLOAT.matvec),
            matmul: self.matmuls.first().copied().unwrap_or(Kernels::FLOAT.matmul),
            ..Kernels::FLOAT
        }
    }

    /// Whether there is nothing to choose.
    fn are_one(&self) -> bool {
        self.matvecs.len() == 1 && self.matmuls.len() == 1 && self.fews.len() == 1 && !self.folds
    }

    fn have(&self, kernels: &Kernels) -> bool {
        let folds = self.folds && kernels.matvec.can_fold();
        self.matvecs.contains(&kernels.matvec)
            && self.fews.contains(&kernels.few)
            && self.matmuls.contains(&kernels.matmul)
            && (folds || !kernels.folds_seam)
    }
}

/// Milliseconds of a plan in the fastest of some runs, after one that tells how often to repeat it.
async fn time(gpu: &Gpu, ring: &mut StepRing, plan: &Plan, step: &StepUniform) -> Result<f64> {
    let mut repeats = 1;
    let mut best = f64::INFINITY;
    for run in 0..=RUNS {
        let started = Instant::now();
        let slot = ring.write(gpu, step);
        let commands = gpu.encode(&vec![plan; repeats], step.n_tokens, slot, |_| {});
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
    fn wrong_products_are_noticed() {
        let expected = [1.0, -2.0, 3.0];
        assert!(agree(&[1.001, -2.0, 2.999], &expected));
        assert!(!agree(&[1.0, -2.0, 2.0], &expected));
        assert!(!agree(&[1.0, f32::NAN, 3.0], &expected));
        assert!(!agree(&[0.0; 3], &expected));
    }
}
