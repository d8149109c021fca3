//! Which kernels multiply fastest on an adapter, measured once and remembered.
//!
//! An adapter's name does not tell which kernel is fastest. Some adapters multiply packed bytes in one instruction,
//! others emulate it. Some need many small workgroups, others a small number of large ones. So tuning measures each
//! candidate on matrices of noise of a layer's size. For one token, the matrices together exceed the caches. Activations
//! are rounded once per measurement, as in a model, where the kernel before a product rounds them. Each measurement is
//! long enough that waiting for the device does not matter, and the candidates take turns, so that a change of the
//! device's clock concerns all of them. The results are compared with those of the basic float kernel, so that a driver
//! that multiplies wrongly cannot win by speed.
//!
//! Nothing is known about the device's speed at first. So everything runs with few tokens before it runs with many, and one
//! product per submit before many.

#[cfg(target_arch = "wasm32")]
mod browser;
mod measure;
mod norms;
mod products;
mod remembered;
mod self_test;
mod subnormals;

use std::path::Path;

use self::measure::{measure, run_each};
use self::remembered::{key, parse, recall, remember, to_line};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Capabilities, Gpu};
use crate::model::Kernels;
use crate::ops::{Mode, Rounding, Way};
use crate::quant::WeightFormat;

pub(crate) use self::self_test::tested;

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
/// How long a submit should take at most, in milliseconds. Estimates can be off by a factor of two. Drivers stop a submit after
/// seconds, and the desktop stands still meanwhile.
const SUBMIT_MS: f64 = 125.0;
/// The largest difference from the float kernel's results, relative to their size: the rounding of 8-bit integers and
/// of f16, with a margin.
const TOLERANCE: f64 = 0.03;

/// What a tuning run chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuningChoice {
    /// The way to multiply one token.
    Decode,
    /// Whether the norms before a block of one token are fused with its first product. It is measured on the feed-forward block,
    /// whose product has the most workgroups that repeat the norms.
    Norms,
    /// The way to multiply a small batch of tokens.
    SmallBatch,
    /// The way to multiply a chunk of a prompt.
    Prefill,
}

impl TuningChoice {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Decode, Self::Norms, Self::SmallBatch, Self::Prefill];
    /// The name of the choice to multiply a small batch as a chunk of a prompt.
    const AS_PREFILL: &str = "as a chunk";
    const FUSED: &str = "fused";

    /// The size of the steps that it is about.
    fn mode(self) -> Mode {
        match self {
            Self::Decode | Self::Norms => Mode::Decode,
            Self::SmallBatch => Mode::SmallBatch,
            Self::Prefill => Mode::Prefill,
        }
    }

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
    /// Milliseconds of each candidate per choice; infinite if its results were wrong or it did not fit the device. Empty if the
    /// result was loaded from a file.
    pub measured: Vec<(TuningChoice, &'static str, f64)>,
}

impl Tuning {
    /// Measures the candidates for a weight format, and stores the fastest in a file in `folder`. Where the device has too
    /// little memory to measure a candidate, that one is not chosen, and nothing is stored.
    ///
    /// # Errors
    /// If the device is lost or refuses a command. A folder that cannot be written to is no error.
    pub async fn run(
        gpu: &Gpu,
        format: WeightFormat,
        allowed: Option<ActivationFormat>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let gpu = &tested(gpu.clone(), folder).await?;
        let candidates = Candidates::of(gpu.capabilities(), format, allowed);
        let mut tuning = Self { kernels: candidates.plainest(), measured: Vec::new() };
        let mut all_fit = true;
        for choice in [TuningChoice::Decode, TuningChoice::Norms, TuningChoice::Prefill, TuningChoice::SmallBatch] {
            let kernels = candidates.of_choice(choice, tuning.kernels);
            // A single candidate is not measured.
            if let [only] = kernels[..] {
                tuning.kernels = only;
            } else {
                let measured = none_if_out_of_memory(measure(gpu, format, choice, &kernels).await)?;
                all_fit &= measured.as_ref().is_some_and(|measured| measured.iter().all(Option::is_some));
                tuning.choose(choice, &kernels, measured.unwrap_or_default());
            }
        }
        log::info!("tuned for {}: {:?}", key(gpu, format, allowed), tuning.measured);
        if all_fit {
            remember(folder, &key(gpu, format, allowed), &to_line(tuning.kernels)).await;
        }
        Ok(tuning)
    }

    /// Chooses the fastest candidate; keeps the choice if all are wrong or do not fit.
    fn choose(&mut self, choice: TuningChoice, candidates: &[Kernels], measured: Vec<Option<f64>>) {
        let mut best = f64::INFINITY;
        for (kernels, ms) in candidates.iter().zip(measured) {
            let ms = ms.unwrap_or(f64::INFINITY);
            self.measured.push((choice, choice.of(*kernels), ms));
            let rounds = kernels.way(choice.mode()).rounding != Rounding::None;
            let cost = if rounds { ms * WORTH_ROUNDING } else { ms };
            if cost < best {
                best = cost;
                self.kernels = *kernels;
            }
        }
    }

    /// The stored result for this adapter, driver, format and version of the kernels. Without one, the result of a
    /// [run](Self::run), which takes seconds.
    ///
    /// # Errors
    /// The errors of [`Tuning::run`].
    pub async fn load_or_run(
        gpu: &Gpu,
        format: WeightFormat,
        allowed: Option<ActivationFormat>,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let gpu = &tested(gpu.clone(), folder).await?;
        let candidates = Candidates::of(gpu.capabilities(), format, allowed);
        if candidates.leave_no_choice() {
            return Ok(Self { kernels: candidates.plainest(), measured: Vec::new() });
        }
        let usable = |result: &str| parse(result).filter(|kernels| candidates.include(kernels));
        match recall(folder, &key(gpu, format, allowed), usable).await {
            Some(kernels) => Ok(Self { kernels, measured: Vec::new() }),
            None => Self::run(gpu, format, allowed, folder).await,
        }
    }
}

/// The candidates for each choice.
struct Candidates {
    decode: Vec<&'static Way>,
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

    /// `kernels` with each candidate of a choice.
    fn of_choice(&self, choice: TuningChoice, kernels: Kernels) -> Vec<Kernels> {
        match choice {
            TuningChoice::Decode => self.decode.iter().map(|decode| Kernels { decode, ..kernels }).collect(),
            TuningChoice::Norms if !kernels.decode.fuses_norms => vec![kernels],
            TuningChoice::Norms => [false, true].map(|fuses_norms| Kernels { fuses_norms, ..kernels }).to_vec(),
            TuningChoice::SmallBatch => {
                self.small_batch.iter().map(|small_batch| Kernels { small_batch: *small_batch, ..kernels }).collect()
            }
            TuningChoice::Prefill => self.of_prefill(kernels),
        }
    }

    /// Where a small batch is always a chunk of a prompt, both round as one token does if they can: only then can guessed tokens be
    /// checked.
    fn of_prefill(&self, kernels: Kernels) -> Vec<Kernels> {
        let alike = |way: &&Way| way.rounding == kernels.decode.rounding;
        let only_alike = self.small_batch.len() == 1 && self.prefill.iter().any(alike);
        let ways = self.prefill.iter().filter(|way| !only_alike || alike(way));
        ways.map(|prefill| Kernels { prefill, ..kernels }).collect()
    }

    fn leave_no_choice(&self) -> bool {
        self.decode.len() == 1 && self.prefill.len() == 1 && self.small_batch.len() == 1
    }

    fn include(&self, kernels: &Kernels) -> bool {
        self.decode.contains(&kernels.decode)
            && self.small_batch.contains(&kernels.small_batch)
            && self.of_prefill(*kernels).contains(kernels)
            && (kernels.decode.fuses_norms || !kernels.fuses_norms)
    }
}

/// The value, or `None` if there was no memory for it.
fn none_if_out_of_memory<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::OutOfMemory { what }) => {
            log::info!("no memory to measure in: {what}");
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Fills a buffer with NaN, so that what another kernel left there cannot pass for a result.
async fn fill_with_nan(gpu: &Gpu, buffer: &Buffer) -> Result<()> {
    /// Bytes per write.
    const PART: u64 = 1 << 20;
    gpu.allocate(buffer).await?;
    let nans = vec![f32::NAN; (PART.min(buffer.bytes()) / 4) as usize];
    for at in (0..buffer.bytes()).step_by(PART as usize) {
        let count = (PART.min(buffer.bytes() - at) / 4) as usize;
        gpu.write(buffer, at, bytemuck::cast_slice(&nans[..count]));
    }
    Ok(())
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

    /// Otherwise the device could not check guessed tokens.
    #[test]
    fn small_batches_round_as_one_token_does_where_they_are_chunks_of_a_prompt() {
        let mut capabilities = Capabilities::webgpu();
        (capabilities.software, capabilities.subgroups, capabilities.narrow_subgroups) = (true, true, true);
        let candidates = Candidates::of(&capabilities, WeightFormat::Q8_0, None);
        let mut roundings = Vec::new();
        for decode in candidates.of_choice(TuningChoice::Decode, candidates.plainest()) {
            for kernels in candidates.of_choice(TuningChoice::Prefill, decode) {
                assert_eq!(kernels.way(Mode::SmallBatch).rounding, kernels.decode.rounding, "{kernels:?}");
                assert!(candidates.include(&kernels), "{kernels:?}");
                roundings.push(kernels.prefill.rounding);
            }
        }
        assert!(roundings.contains(&Rounding::None) && roundings.contains(&Rounding::Int8), "{roundings:?}");
        let mixed = Kernels {
            decode: Way::named(Mode::Decode, "int8, a row per lane").unwrap(),
            prefill: Way::FLOAT_PREFILL,
            ..Kernels::FLOAT
        };
        assert!(!candidates.include(&mixed));
    }

    #[test]
    fn a_candidate_without_memory_leaves_the_choice_to_the_others() {
        let int8 = Way::named(Mode::Decode, "int8, split by 64").unwrap();
        let small = Way::named(Mode::Decode, "float, 8 rows").unwrap();
        let candidates = [Way::FLOAT_DECODE, int8, small].map(|decode| Kernels { decode, ..Kernels::FLOAT });
        let chosen = |measured: Vec<Option<f64>>| {
            let mut tuning = Tuning { kernels: Kernels::FLOAT, measured: Vec::new() };
            tuning.choose(TuningChoice::Decode, &candidates, measured);
            tuning.kernels.decode
        };
        assert_eq!(chosen(vec![None, Some(2.0), Some(3.0)]), int8);
        assert_eq!(chosen(vec![Some(1.0), None, Some(0.9)]), small);
        // Rounding has to be worth it.
        assert_eq!(chosen(vec![Some(1.0), Some(0.95), None]), Way::FLOAT_DECODE);
        assert_eq!(chosen(vec![Some(f64::INFINITY), None, Some(f64::INFINITY)]), Way::FLOAT_DECODE);
        assert_eq!(chosen(Vec::new()), Way::FLOAT_DECODE);
        let memory = || Error::OutOfMemory { what: "a test".into() };
        assert!(matches!(none_if_out_of_memory::<()>(Err(memory())), Ok(None)));
        assert!(matches!(none_if_out_of_memory::<()>(Err(Error::Cancelled)), Err(Error::Cancelled)));
    }
}
