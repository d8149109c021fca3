//! Measures candidates, which take turns.

use web_time::Instant;

use super::norms::NormBench;
use super::products::ProductBench;
use super::{SUBMIT_MS, TuningChoice, none_if_out_of_memory};
use crate::error::Result;
use crate::gpu::{Gpu, Plan, Step, StepRing};
use crate::model::Kernels;
use crate::quant::WeightFormat;

/// Measurements per candidate; the fastest counts.
const RUNS: usize = 3;
/// Measurements before them, which find out how to divide a plan into submits.
const FIRST_RUNS: usize = 3;
/// A measurement repeats the products to take about this long, in milliseconds, up to a limit.
const RUN_MS: f64 = 8.0;
/// The same, as a multiple of the time until the host knows that a submit has ended: some milliseconds in Firefox.
const RUN_DELAYS: f64 = 12.0;
const MOST_REPEATS: usize = 64;
/// How many times as many repetitions the next measurement may have: short ones are not exact.
const GROWTH: usize = 8;
/// How long a GPU works before it is measured, in milliseconds: an idle one has a low clock.
const WARM_UP_MS: f64 = 150.0;

/// What is measured for a choice.
enum Bench {
    Products(ProductBench),
    Norms(Box<NormBench>),
}

impl Bench {
    async fn new(gpu: &Gpu, format: WeightFormat, choice: TuningChoice) -> Result<Self> {
        Ok(match choice {
            TuningChoice::Norms => Self::Norms(Box::new(NormBench::new(gpu, format).await?)),
            _ => Self::Products(ProductBench::new(gpu, format, choice.mode()).await?),
        })
    }

    /// The plan to measure, one product per segment; `None` if the kernels compute wrong results or are far too slow.
    async fn plan(&self, gpu: &Gpu, ring: &mut StepRing, kernels: Kernels) -> Result<Option<Plan>> {
        match self {
            Self::Products(bench) => bench.plan(gpu, ring, kernels).await,
            Self::Norms(bench) => bench.plan(gpu, ring, kernels).await,
        }
    }

    fn step(&self) -> Step {
        match self {
            Self::Products(bench) => bench.step(),
            Self::Norms(_) => Step::default(),
        }
    }
}

/// Milliseconds of each candidate; infinite if it is wrong, `None` if it did not fit the device.
pub(super) async fn measure(
    gpu: &Gpu,
    format: WeightFormat,
    choice: TuningChoice,
    candidates: &[Kernels],
) -> Result<Vec<Option<f64>>> {
    let bench = Bench::new(gpu, format, choice).await?;
    let mut ring = StepRing::new(gpu).await?;
    let mut plans = Vec::new();
    for kernels in candidates {
        plans.push(none_if_out_of_memory(bench.plan(gpu, &mut ring, *kernels).await)?);
    }
    let fits: Vec<bool> = plans.iter().map(Option::is_some).collect();
    let plans: Vec<Option<Plan>> = plans.into_iter().map(Option::flatten).collect();
    let ms = race(gpu, &mut ring, &plans, &bench.step()).await?;
    Ok(ms.into_iter().zip(fits).map(|(ms, fits)| fits.then_some(ms)).collect())
}

/// How a measurement divides a plan into submits.
#[derive(Clone, Copy)]
struct Submit {
    /// Segments per submit.
    segments: usize,
    /// Repetitions of a submit's segments.
    times: usize,
}

/// Milliseconds of each plan in the fastest of several measurements; the plans take turns. Infinite where there is no plan.
async fn race(gpu: &Gpu, ring: &mut StepRing, plans: &[Option<Plan>], step: &Step) -> Result<Vec<f64>> {
    if let Some(plan) = plans.iter().flatten().next().filter(|_| !gpu.capabilities().software) {
        let started = Instant::now();
        let mut segments = (0..plan.segments()).cycle();
        while let Some(i) = segments.next().filter(|_| started.elapsed().as_secs_f64() * 1e3 < WARM_UP_MS) {
            gpu.run_segments(ring, plan, i..i + 1, step).await?;
        }
    }
    let delay = delay(gpu).await?;
    let mut submits = vec![Submit { segments: 1, times: 1 }; plans.len()];
    let mut best = vec![f64::INFINITY; plans.len()];
    for run in 0..FIRST_RUNS + RUNS {
        for ((plan, submit), best) in plans.iter().zip(&mut submits).zip(&mut best) {
            let Some(plan) = plan else { continue };
            let all = plan.segments();
            let started = Instant::now();
            for first in (0..all).step_by(submit.segments) {
                let segments = first..all.min(first + submit.segments);
                let submission = gpu.submit_segments(ring, plan, segments, step, submit.times);
                gpu.finish(submission).await?;
            }
            let delays = all.div_ceil(submit.segments) as f64 * delay;
            let ms = (started.elapsed().as_secs_f64() * 1e3 - delays).max(0.0) / submit.times as f64;
            match run {
                0 => submit.segments = segments_per_submit(all, ms),
                // Many short submits are long enough together.
                1..FIRST_RUNS if submit.segments == all => submit.times = repetitions(submit.times, ms, delay),
                1..FIRST_RUNS => {}
                _ => *best = best.min(ms),
            }
        }
    }
    Ok(best)
}

/// Segments per submit of a plan of `all` segments, which take `ms` milliseconds together.
fn segments_per_submit(all: usize, ms: f64) -> usize {
    ((all as f64 * SUBMIT_MS / ms) as usize).clamp(1, all)
}

/// Repetitions of a plan that takes `ms` milliseconds, as measured with `times` repetitions. The host knows of their end after a
/// `delay` in milliseconds.
fn repetitions(times: usize, ms: f64, delay: f64) -> usize {
    let run_ms = RUN_MS.max(RUN_DELAYS * delay);
    ((run_ms / ms).ceil() as usize).clamp(1, MOST_REPEATS.min(GROWTH * times))
}

/// Milliseconds until the host knows that a submit of nothing has ended: the shortest of several.
async fn delay(gpu: &Gpu) -> Result<f64> {
    let mut shortest = f64::INFINITY;
    for _ in 0..RUNS {
        let started = Instant::now();
        gpu.finish(gpu.submit_commands([])).await?;
        shortest = shortest.min(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(shortest)
}

/// Runs a plan with one segment per submit. Returns the milliseconds of the slowest.
pub(super) async fn run_each(gpu: &Gpu, ring: &mut StepRing, plan: &Plan, step: &Step) -> Result<f64> {
    let mut slowest = 0.0;
    for i in 0..plan.segments() {
        let started = Instant::now();
        gpu.run_segments(ring, plan, i..i + 1, step).await?;
        slowest = f64::max(slowest, started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(slowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_repeated_until_the_delay_of_its_end_does_not_matter() {
        // A GPU, of which the host knows at once what has ended.
        assert_eq!([8.0, 4.0, 1.0, 0.01].map(|ms| repetitions(1, ms, 0.05)), [1, 2, 8, 8]);
        assert_eq!([1.0, 0.5, 0.01].map(|ms| repetitions(8, ms, 0.05)), [8, 16, 64]);
        // Firefox. What is shorter than the delay is measured as nothing at first.
        assert_eq!([100.0, 48.0, 8.0, 0.0].map(|ms| repetitions(1, ms, 8.0)), [1, 2, 8, 8]);
        assert_eq!([8.0, 4.0, 0.0].map(|ms| repetitions(8, ms, 8.0)), [12, 24, 64]);
    }

    #[test]
    fn submits_are_short() {
        assert_eq!([0.0, 125.0, 250.0, 1000.0, 1e6].map(|ms| segments_per_submit(20, ms)), [20, 20, 10, 2, 1]);
    }
}
