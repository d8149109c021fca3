//! Which kernels multiply fastest on an adapter, measured once and remembered.
//!
//! There is no telling from an adapter's name: some multiply packed bytes in one instruction, some emulate it; some want many
//! small workgroups, some few. So each candidate runs on matrices of noise as large as a layer's, for one token on more of them
//! than caches hold, and long enough that waiting for the device does not count. Its results are compared with those of the
//! plainest kernel: a driver that multiplies wrongly must not win by being quick.

mod norms;
mod products;
mod remembered;

use std::path::Path;

use web_time::Instant;

use self::norms::NormBench;
use self::products::ProductBench;
use self::remembered::{key, recall, remember};
use crate::error::{Error, Result};
use crate::gpu::{Capabilities, Gpu, Plan, Step, StepRing};
use crate::model::Kernels;
use crate::ops::{Mode, Rounding, Way};
use crate::quant::WeightFormat;

/// How activations meet weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationFormat {
    /// As f32: nothing is rounded.
    Float,
    /// Rounded to 8-bit integers, 32 to a scale, as llama.cpp does on CPUs, where weights are integers too.
    Int8,
}

/// What rounds activations must be at least this much faster to be worth it.
const WORTH_ROUNDING: f64 = 1.1;
/// Measurements of a candidate, the fastest of which counts.
const RUNS: usize = 3;
/// A measurement repeats the products until it takes about this long, in milliseconds, within a bound.
const RUN_MS: f64 = 4.0;
const MOST_REPEATS: usize = 64;
/// How far results may be from those of floats, relative to their size: what 8-bit integers and f16 round, with a margin.
const TOLERANCE: f64 = 0.03;

/// What a tuning run chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// What multiplies one token.
    Decode,
    /// Which dispatch makes the norms before the feed-forward block of one token.
    Norms,
    /// What multiplies a small batch of tokens.
    SmallBatch,
    /// What multiplies a chunk of a prompt.
    Prefill,
}

impl Choice {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Decode, Self::Norms, Self::SmallBatch, Self::Prefill];
    /// What the name of a small batch's way is where it is multiplied as a chunk of a prompt.
    const AS_PREFILL: &str = "as a chunk";
    const FUSED: &str = "fused";

    /// What `kernels` have chosen, for people and files.
    pub fn of(self, kernels: Kernels) -> &'static str {
        match self {
            Self::Decode => kernels.decode.name,
            Self::Norms if kernels.fuses_norms => Self::FUSED,
            Self::Norms => "apart",
            Self::SmallBatch => kernels.small_batch.map_or(Self::AS_PREFILL, |way| way.name),
            Self::Prefill => kernels.prefill.name,
        }
    }

    /// Makes this choice in `kernels` by its name; `None` if there is none of the name.
    fn make(self, kernels: &mut Kernels, name: &str) -> Option<()> {
        match self {
            Self::Decode => kernels.decode = Way::named(Mode::Decode, name)?,
            Self::Norms => kernels.fuses_norms = name == Self::FUSED,
            Self::SmallBatch if name == Self::AS_PREFILL => kernels.small_batch = None,
            Self::SmallBatch => kernels.small_batch = Some(Way::named(Mode::SmallBatch, name)?),
            Self::Prefill => kernels.prefill = Way::named(Mode::Prefill, name)?,
        }
        Some(())
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
        allowed: Option<ActivationFormat>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let candidates = Candidates::of(gpu.capabilities(), format, allowed);
        let mut tuning = Self { kernels: candidates.plainest(), measured: Vec::new() };
        let kernels = tuning.kernels;
        let decode = candidates.decode.iter().map(|decode| Kernels { decode, ..kernels });
        tuning.choose(gpu, format, Mode::Decode, Choice::Decode, decode.collect()).await?;
        if candidates.can_fuse(tuning.kernels) {
            let bench = NormBench::new(gpu, format).await?;
            let [apart, fused] = [false, true].map(|fuses_norms| Kernels { fuses_norms, ..tuning.kernels });
            let apart_ms = tuning.note(Choice::Norms, apart, bench.run(gpu, apart).await?);
            let fused_ms = tuning.note(Choice::Norms, fused, bench.run(gpu, fused).await?);
            tuning.kernels.fuses_norms = fused_ms < apart_ms;
        }
        let kernels = tuning.kernels;
        let prefill = candidates.prefill.iter().map(|prefill| Kernels { prefill, ..kernels });
        tuning.choose(gpu, format, Mode::Prefill, Choice::Prefill, prefill.collect()).await?;
        let kernels = tuning.kernels;
        let small = candidates.small_batch.iter().map(|small_batch| Kernels { small_batch: *small_batch, ..kernels });
        tuning.choose(gpu, format, Mode::SmallBatch, Choice::SmallBatch, small.collect()).await?;
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
    ) -> Result<()> {
        if candidates.len() < 2 {
            return Ok(());
        }
        let bench = ProductBench::new(gpu, format, mode).await?;
        let mut best = f64::INFINITY;
        for kernels in candidates {
            let ms = self.note(choice, kernels, bench.run(gpu, kernels).await?);
            let rounds = kernels.way(mode).rounding != Rounding::None;
            let cost = if rounds { ms * WORTH_ROUNDING } else { ms };
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

    /// What was remembered for this adapter, driver, format and version of the kernels, or else the result of a
    /// [run](Self::run), which takes seconds.
    ///
    /// # Errors
    /// If the device is lost. Where it has no memory left to measure in, the plainest kernels it is, this time.
    pub async fn load_or_run(
        gpu: &Gpu,
        format: WeightFormat,
        allowed: Option<ActivationFormat>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let candidates = Candidates::of(gpu.capabilities(), format, allowed);
        let plainest = Self { kernels: candidates.plainest(), measured: Vec::new() };
        if candidates.leave_no_choice() {
            return Ok(plainest);
        }
        let known = folder.and_then(|folder| recall(folder, &key(gpu, format, allowed), |k| candidates.include(k)));
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
    decode: Vec<&'static Way>,
    /// Whether norms may be fused with the product after them.
    fused: bool,
    /// `None` for multiplying as a chunk of a prompt.
    small_batch: Vec<Option<&'static Way>>,
    prefill: Vec<&'static Way>,
}

impl Candidates {
    fn of(capabilities: &Capabilities, format: WeightFormat, allowed: Option<ActivationFormat>) -> Self {
        let can_int8 = format.is_integer();
        let is_allowed = |way: &&'static Way| {
            way.is_candidate(format, capabilities)
                && match (way.rounding, allowed) {
                    (Rounding::None, Some(ActivationFormat::Int8)) => !can_int8,
                    (Rounding::None, _) => true,
                    (Rounding::Int8, allowed) => allowed != Some(ActivationFormat::Float),
                    // Who asks for exact arithmetic wants no f16, and who asks for integers gets them.
                    (Rounding::F16, allowed) => allowed.is_none(),
                }
        };
        let ways = |mode| Way::all(mode).filter(is_allowed);
        Self {
            decode: ways(Mode::Decode).collect(),
            // A CPU's cores have no use for work that is done twice.
            fused: !capabilities.software,
            small_batch: std::iter::once(None).chain(ways(Mode::SmallBatch).map(Some)).collect(),
            prefill: ways(Mode::Prefill).collect(),
        }
    }

    /// The plainest: floats, unless the caller wants integers.
    fn plainest(&self) -> Kernels {
        Kernels {
            decode: self.decode.first().copied().unwrap_or(Way::FLOAT_DECODE),
            prefill: self.prefill.first().copied().unwrap_or(Way::FLOAT_PREFILL),
            ..Kernels::FLOAT
        }
    }

    fn leave_no_choice(&self) -> bool {
        self.decode.len() == 1 && self.prefill.len() == 1 && self.small_batch.len() == 1 && !self.fused
    }

    fn can_fuse(&self, kernels: Kernels) -> bool {
        self.fused && kernels.decode.has_fused()
    }

    fn include(&self, kernels: &Kernels) -> bool {
        self.decode.contains(&kernels.decode)
            && self.small_batch.contains(&kernels.small_batch)
            && self.prefill.contains(&kernels.prefill)
            && (self.can_fuse(*kernels) || !kernels.fuses_norms)
    }
}

/// Milliseconds of a plan in the fastest of some runs, after one that tells how often to repeat it.
async fn time(gpu: &Gpu, ring: &mut StepRing, plan: &Plan, step: &Step) -> Result<f64> {
    let mut repeats = 1;
    let mut best = f64::INFINITY;
    for run in 0..=RUNS {
        let started = Instant::now();
        gpu.run_repeatedly(ring, plan, 0..plan.segments(), step, repeats).await?;
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
