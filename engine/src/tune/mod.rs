//! Which kernels multiply fastest on an adapter, measured once and remembered.
//!
//! An adapter's name does not tell which kernel is fastest. Some adapters multiply packed bytes in one instruction,
//! others emulate it. Some need many small workgroups, others a small number of large ones. So tuning measures each
//! candidate on matrices of noise of a layer's size. For one token, the matrices together exceed the caches. Activations
//! are rounded once per measurement, as in a model, where the kernel before a product rounds them. Each measurement is
//! long enough that waiting for the device does not matter, and the candidates take turns, so that a change of the
//! device's clock concerns all of them. The results are compared with those of the basic float kernel, so that a driver
//! that multiplies wrongly cannot win by speed.

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

/// The format of activations in products with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationFormat {
    /// f32, without rounding.
    Float,
    /// Rounded to 8-bit integers with a scale per 32, where the weights are integers too. llama.cpp does the same on
    /// CPUs.
    Int8,
}

/// A kernel that rounds activations is chosen only if it is faster than the others by at least this factor.
const WORTH_ROUNDING: f64 = 1.1;
/// Measurements per candidate; the fastest counts.
const RUNS: usize = 3;
/// A measurement repeats the products to take about this long, in milliseconds, up to a limit.
const RUN_MS: f64 = 8.0;
const MOST_REPEATS: usize = 64;
/// How long a GPU works before it is measured, in milliseconds: an idle one has a low clock.
const WARM_UP_MS: f64 = 150.0;
/// The largest difference from the float kernel's results, relative to their size: the rounding of 8-bit integers and
/// of f16, with a margin.
const TOLERANCE: f64 = 0.03;

/// What a tuning run chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The way to multiply one token.
    Decode,
    /// Whether the norms before the feed-forward block of one token are fused with its first product.
    Norms,
    /// The way to multiply a small batch of tokens.
    SmallBatch,
    /// The way to multiply a chunk of a prompt.
    Prefill,
}

impl Choice {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Decode, Self::Norms, Self::SmallBatch, Self::Prefill];
    /// The name of the choice to multiply a small batch as a chunk of a prompt.
    const AS_PREFILL: &str = "as a chunk";
    const FUSED: &str = "fused";

    /// The name of what `kernels` choose here, for output and for the file of tuning results.
    pub fn of(self, kernels: Kernels) -> &'static str {
        match self {
            Self::Decode => kernels.decode.name,
            Self::Norms if kernels.fuses_norms => Self::FUSED,
            Self::Norms => "apart",
            Self::SmallBatch => kernels.small_batch.map_or(Self::AS_PREFILL, |way| way.name),
            Self::Prefill => kernels.prefill.name,
        }
    }

    /// Sets this choice in `kernels` by its name; `None` if no way has the name.
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

/// The result of a tuning run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// The fastest kernels.
    pub kernels: Kernels,
    /// Milliseconds of each candidate per choice; infinite if its results were wrong. Empty if the result was loaded
    /// from a file.
    pub measured: Vec<(Choice, &'static str, f64)>,
}

impl Tuning {
    /// Measures the candidates for a weight format, and stores the fastest in a file in `folder`.
    ///
    /// # Errors
    /// The errors of buffers, and if the device is lost. A folder that cannot be written to is no error.
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
            let kernels = [false, true].map(|fuses_norms| Kernels { fuses_norms, ..tuning.kernels });
            let mut ring = StepRing::new(gpu).await?;
            let plans = [bench.plan(gpu, &ring, kernels[0]).await?, bench.plan(gpu, &ring, kernels[1]).await?];
            let ms = race(gpu, &mut ring, &plans, &Step::default()).await?;
            for (kernels, ms) in kernels.into_iter().zip(&ms) {
                tuning.measured.push((Choice::Norms, Choice::Norms.of(kernels), *ms));
            }
            tuning.kernels.fuses_norms = ms[1] < ms[0];
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

    /// Measures candidates and chooses the fastest; the first if all are wrong. A single candidate is not measured.
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
        let mut ring = StepRing::new(gpu).await?;
        let mut plans = Vec::new();
        for kernels in &candidates {
            plans.push(bench.plan(gpu, &mut ring, *kernels).await?);
        }
        let measured = race(gpu, &mut ring, &plans, &bench.step()).await?;
        let mut best = f64::INFINITY;
        for (kernels, ms) in candidates.into_iter().zip(measured) {
            self.measured.push((choice, choice.of(kernels), ms));
            let rounds = kernels.way(mode).rounding != Rounding::None;
            let cost = if rounds { ms * WORTH_ROUNDING } else { ms };
            if cost < best {
                best = cost;
                self.kernels = kernels;
            }
        }
        Ok(())
    }

    /// The stored result for this adapter, driver, format and version of the kernels. Without one, the result of a
    /// [run](Self::run), which takes seconds.
    ///
    /// # Errors
    /// If the device is lost. If it has no memory left for measuring, the result is the basic kernels, and nothing is
    /// stored.
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

/// The candidates for each choice.
struct Candidates {
    decode: Vec<&'static Way>,
    /// Whether norms can be fused with the product after them.
    fused: bool,
    /// `None` stands for multiplying as a chunk of a prompt.
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
                    // A caller that asks for float activations gets no rounding to f16 either. One that asks for
                    // integers gets integers.
                    (Rounding::F16, allowed) => allowed.is_none(),
                }
        };
        let ways = |mode| Way::all(mode).filter(is_allowed);
        Self {
            decode: ways(Mode::Decode).collect(),
            // Fused norms are computed once per workgroup, which is slower on a CPU.
            fused: !capabilities.software,
            small_batch: std::iter::once(None).chain(ways(Mode::SmallBatch).map(Some)).collect(),
            prefill: ways(Mode::Prefill).collect(),
        }
    }

    /// The basic kernels: float, unless the caller asks for integers.
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

/// Milliseconds of each plan in the fastest of several measurements, after a round that determines the repetitions. The
/// plans take turns. Infinite where there is no plan, because its kernels compute wrong results.
async fn race(gpu: &Gpu, ring: &mut StepRing, plans: &[Option<Plan>], step: &Step) -> Result<Vec<f64>> {
    let started = Instant::now();
    while let Some(plan) = plans.iter().flatten().next().filter(|_| !gpu.capabilities().software)
        && started.elapsed().as_secs_f64() * 1e3 < WARM_UP_MS
    {
        gpu.run_repeatedly(ring, plan, 0..plan.segments(), step, 1).await?;
    }
    let mut repeats = vec![1; plans.len()];
    let mut best = vec![f64::INFINITY; plans.len()];
    for run in 0..=RUNS {
        for (i, plan) in plans.iter().enumerate() {
            let Some(plan) = plan else { continue };
            let started = Instant::now();
            gpu.run_repeatedly(ring, plan, 0..plan.segments(), step, repeats[i]).await?;
            let ms = started.elapsed().as_secs_f64() * 1e3 / repeats[i] as f64;
            if run == 0 {
                repeats[i] = ((RUN_MS / ms).ceil() as usize).clamp(1, MOST_REPEATS);
            } else {
                best[i] = best[i].min(ms);
            }
        }
    }
    Ok(best)
}

/// Whether results agree within rounding: the root mean square of the difference, relative to that of the expected
/// values.
fn agree(found: &[f32], expected: &[f32]) -> bool {
    let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|n| n * n).sum::<f64>();
    let size = square(&mut expected.iter().map(|n| f64::from(*n)));
    let error = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    // A comparison with NaN is false, so NaN never agrees.
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
