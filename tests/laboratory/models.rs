//! Whole models of noise, in the shapes of published ones.

use lapidary_engine::config::Config;
use lapidary_engine::gpu::DeviceOptions;
use lapidary_engine::model::Kernels;
use lapidary_engine::ops::{Mode, Way};
use lapidary_engine::{
    Engine, EngineBuilder, ModelFiles, Result, Sampling, Session, Timings, TuningChoice, WeightFormat,
};
use pollster::block_on;

use crate::report::Report;
use crate::{Size, text};

const RUNS: usize = 3;
/// Tokens before the prompt.
const DEPTHS: [usize; 3] = [0, 2048, 6144];

/// A model in one format.
#[derive(Clone, Copy)]
struct Subject {
    shape: &'static str,
    format: WeightFormat,
}

/// The most informative first, because the phase ends when its time is over.
const FULL: &[Subject] = &[
    Subject { shape: "gemma-2-2b", format: WeightFormat::Q4_0 },
    Subject { shape: "gemma-2-9b", format: WeightFormat::Q4_0 },
    Subject { shape: "gemma-2-27b", format: WeightFormat::Q4_0 },
    Subject { shape: "gemma-2-2b", format: WeightFormat::Q4K },
    Subject { shape: "gemma-2-2b", format: WeightFormat::Bf16 },
];
const SMALL: &[Subject] = &[Subject { shape: "gemma-3-270m", format: WeightFormat::Q4_0 }];

impl Subject {
    fn name(self) -> String {
        format!("{} {}", self.shape, self.format)
    }

    fn engine(self, change: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Result<Engine> {
        let files = ModelFiles::synthetic(Config::of_shape(self.shape)?, self.format, self.shape);
        change(Engine::from_files(files).device(DeviceOptions::from_env())).build_blocking()
    }
}

/// How much to compute.
#[derive(Clone, Copy)]
struct Tokens {
    prompt: usize,
    reply: usize,
}

fn tokens(size: Size) -> Tokens {
    match size {
        Size::Full => Tokens { prompt: 512, reply: 64 },
        Size::Small => Tokens { prompt: 64, reply: 4 },
    }
}

pub(crate) fn measure(size: Size, report: &mut Report) {
    report.begin("models", 0.55);
    let subjects = if size == Size::Full { FULL } else { SMALL };
    for subject in subjects {
        if report.has_time()
            && let Err(error) = depths(*subject, size, report)
        {
            report.failure(&subject.name(), &text(&error));
        }
    }
    report.begin("ways to multiply in a whole model", 0.5);
    for subject in &subjects[..subjects.len().min(3)] {
        if report.has_time()
            && let Err(error) = ways(*subject, size, report)
        {
            report.failure(&subject.name(), &text(&error));
        }
    }
    report.begin("switches", 0.2);
    if let Err(error) = switches(subjects[0], size, report) {
        report.failure(&subjects[0].name(), &text(&error));
    }
}

/// Computes a prompt after `depth` tokens, and generates.
fn generate(session: &mut Session, depth: usize, Tokens { prompt, reply }: Tokens) -> Result<Timings> {
    block_on(session.pretend(depth))?;
    let mut ids = session.tokens().to_vec();
    ids.extend((0..prompt).map(|i| (i * 7919 % 50_000 + 11) as u32));
    let sampling = Sampling { max_tokens: Some(reply + 1), stop_at_end: false, ..Sampling::greedy() };
    let mut generation = session.generate(&ids, &sampling)?;
    while generation.next_blocking()?.is_some() {}
    Ok(generation.timings())
}

/// The timings of several runs, after one that compiles the kernels.
fn runs(session: &mut Session, depth: usize, tokens: Tokens) -> Result<Vec<Timings>> {
    generate(session, depth, Tokens { reply: 8.min(tokens.reply), ..tokens })?;
    (0..RUNS).map(|_| generate(session, depth, tokens)).collect()
}

fn decode_speeds(timings: &[Timings]) -> Vec<f64> {
    timings.iter().map(|t| 1e3 * t.decode_tokens as f64 / t.decode_ms).collect()
}

fn prefill_speeds(timings: &[Timings]) -> Vec<f64> {
    timings.iter().map(|t| 1e3 * t.prefill_tokens as f64 / t.prefill_ms).collect()
}

/// The names of the chosen kernels.
fn choices(kernels: Kernels) -> String {
    TuningChoice::ALL.map(|choice| format!("{choice:?}: {}", choice.of(kernels))).join(", ")
}

/// A model with the kernels that tuning chose, at several depths.
fn depths(subject: Subject, size: Size, report: &mut Report) -> Result<()> {
    let tokens = tokens(size);
    let engine = subject.engine(|builder| builder)?;
    let name = subject.name();
    report.fact(&format!("{name}, tuned kernels"), &choices(engine.kernels()));
    let mut session = engine.session_blocking()?;
    let depths = if size == Size::Full { &DEPTHS[..] } else { &DEPTHS[..1] };
    for depth in depths {
        let timings = runs(&mut session, *depth, tokens)?;
        let after = format!("after {depth}");
        // Half of the reply is there when its middle token is computed.
        let bytes = engine.bytes_per_token(depth + tokens.prompt + tokens.reply / 2) as f64;
        let ceiling = Some(report.stream / bytes);
        report.value(&format!("{name}, decode {after}"), "tokens/s", decode_speeds(&timings), ceiling);
        let flops =
            2.0 * engine.model_weights().matrices().map(|m| m.shape().iter().product::<usize>()).sum::<usize>() as f64;
        let ceiling = Some(report.arithmetic / flops);
        report.value(
            &format!("{name}, prefill of {} {after}", tokens.prompt),
            "tokens/s",
            prefill_speeds(&timings),
            ceiling,
        );
        let host = block_on(session.host_us(32))?;
        report.value(&format!("{name}, host time per token {after}"), "µs", host, None);
        if *depth == DEPTHS[1] || size == Size::Small {
            profile(&name, &mut session, report)?;
        }
    }
    Ok(())
}

/// The time of each kernel in a token.
fn profile(name: &str, session: &mut Session, report: &mut Report) -> Result<()> {
    session.rewind(session.tokens().len().saturating_sub(1));
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(block_on(session.profile())?);
    }
    let mut kernels: Vec<&str> = runs[0].iter().map(|(kernel, _)| *kernel).collect();
    kernels.sort_unstable();
    kernels.dedup();
    for kernel in kernels {
        let of = |run: &Vec<(&str, f64)>| run.iter().filter(|(name, _)| *name == kernel).map(|(_, ms)| 1e3 * ms).sum();
        let dispatches = runs[0].iter().filter(|(name, _)| *name == kernel).count();
        report.value(&format!("{name}, {dispatches} × {kernel}"), "µs", runs.iter().map(of).collect(), None);
    }
    Ok(())
}

/// A model with each way to multiply: the speed of the one that tuning chose, relative to the fastest.
fn ways(subject: Subject, size: Size, report: &mut Report) -> Result<()> {
    let tokens = tokens(size);
    let tuned = subject.engine(|builder| builder)?;
    let capabilities = tuned.gpu().capabilities().clone();
    let kernels = tuned.kernels();
    let gpu = tuned.gpu().clone();
    drop(tuned);
    for (mode, choice, tokens) in [
        (Mode::Decode, TuningChoice::Decode, Tokens { prompt: 16, ..tokens }),
        (Mode::Prefill, TuningChoice::Prefill, Tokens { reply: 1, ..tokens }),
    ] {
        let (mut best, mut chosen) = (0.0, 0.0);
        for way in Way::all(mode).filter(|way| way.supports(subject.format, &capabilities)) {
            for fuses_norms in [false, true] {
                let is_prefill = mode == Mode::Prefill;
                let fuses = fuses_norms && !is_prefill && way.can_fuse_norms(1, &capabilities);
                if fuses != fuses_norms || !report.has_time() {
                    continue;
                }
                let forced = match mode {
                    Mode::Prefill => Kernels { prefill: way, ..kernels },
                    _ => Kernels { decode: way, fuses_norms, ..kernels },
                };
                let engine = subject.engine(|builder| builder.kernels(forced).gpu(gpu.clone()))?;
                let timings = runs(&mut engine.session_blocking()?, 0, tokens)?;
                let fused = if fuses { ", norms fused" } else { "" };
                let what = format!("{}, {mode:?} {}{fused}", subject.name(), way.name);
                let speeds = if is_prefill { prefill_speeds(&timings) } else { decode_speeds(&timings) };
                let speed = report.value(&what, "tokens/s", speeds, None);
                best = f64::max(best, speed);
                if choice.of(forced) == choice.of(kernels) && (is_prefill || fuses_norms == kernels.fuses_norms) {
                    chosen = speed;
                }
            }
        }
        if best > 0.0 && chosen > 0.0 {
            let what = format!("{}, {mode:?}: slower than the fastest by", subject.name());
            report.value(&what, "%", vec![100.0 * (best / chosen - 1.0)], None);
        }
    }
    Ok(())
}

/// One model with options changed one at a time.
fn switches(subject: Subject, size: Size, report: &mut Report) -> Result<()> {
    let tokens = tokens(size);
    let mut row = |what: &str, safe: bool, chunk: usize| -> Result<()> {
        let mut device = DeviceOptions::from_env();
        device.safe_shaders = safe;
        let engine = subject.engine(|builder| builder.device(device).prefill_chunk(chunk))?;
        let timings = runs(&mut engine.session_blocking()?, 0, tokens)?;
        report.value(&format!("{what}: decode"), "tokens/s", decode_speeds(&timings), None);
        report.value(&format!("{what}: prefill"), "tokens/s", prefill_speeds(&timings), None);
        Ok(())
    };
    row("chunks of 256", false, 256)?;
    row("chunks of 512", false, 512)?;
    row("bounds checks in shaders", true, 256)
}
