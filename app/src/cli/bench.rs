//! `lapidary bench`: the speed of prefill and decode, and optionally a profile.

use std::io::{self, Write};

use lapidary_engine::config::Config;
use lapidary_engine::{ModelFiles, Sampling, Session, Timings, TuningChoice, WeightFormat};
use serde_json::{Value, json};

use super::args;
use super::devices::driver;
use super::failure::{Failure, sanitized};
use super::interrupt::Busy;
use super::load::{engine, open};
use super::profile::{Kernel, PROFILE_RUNS, profile};
use super::spread::Spread;
use super::streams::Streams;

/// Tokens that are encoded to measure the host's time per token.
const ENCODE_RUNS: usize = 64;
/// The depths of `--sweep`, in tokens.
const SWEEP_DEPTHS: [usize; 3] = [0, 2048, 6144];

pub(crate) fn bench(arguments: &args::Bench) -> Result<(), Failure> {
    let (prompt, generate, runs) = (arguments.prompt, arguments.generate, arguments.runs);
    if prompt == 0 || generate == 0 || runs == 0 {
        return Err(Failure::Usage("-p, -n and -r must be at least 1".into()));
    }
    let depths = if arguments.sweep { SWEEP_DEPTHS.to_vec() } else { vec![arguments.depth] };
    let max_depth = depths.iter().copied().max().unwrap_or(0);
    let tokens = prompt.saturating_add(generate).saturating_add(max_depth);
    let files = match &arguments.shape {
        Some(name) => {
            let format = arguments.model.weights.chosen().unwrap_or(WeightFormat::Bf16);
            ModelFiles::synthetic(Config::of_shape(name)?, format, name)
        }
        None => open(arguments.model.model.as_deref())?,
    };
    let busy = Busy::new();
    let engine = engine(files, &arguments.model, Some(tokens), &busy)?;
    if tokens > engine.context() {
        let context = engine.context();
        return Err(Failure::Usage(format!(
            "-p, -n and depth add up to {tokens} tokens, but the context holds {context}"
        )));
    }
    let info = engine.gpu().info();
    let kernels = engine.kernels();
    let weights = arguments.model.weights.chosen().map_or("auto", |format| format.name());
    let mut out = io::stdout().lock();
    if !arguments.json {
        writeln!(out, "{}, weights {weights}", sanitized(engine.name()))?;
        let (name, driver) = (sanitized(&info.name), driver(info));
        writeln!(out, "{name} ({}, {})", info.backend.to_str(), sanitized(&driver))?;
        let [decode, norms, small_batch, prefill] = TuningChoice::ALL.map(|choice| choice.of(kernels));
        writeln!(out, "kernels: prefill {prefill}; small batch {small_batch}; decode {decode}, norms {norms}")?;
    }
    if !arguments.streams.is_empty() {
        let streams = Streams::measure(&engine, arguments, &busy)?;
        if arguments.json {
            for streams in &streams {
                writeln!(out, "{}", streams.json())?;
            }
            return Ok(());
        }
        return Ok(Streams::print(&streams, &mut out)?);
    }
    let bandwidth = busy.wait(engine.gpu().copy_bandwidth())?;
    let mut session = busy.wait(engine.session())?;
    let dispatches = session.decode_kernels().len();
    for depth in depths {
        let measurement = Measurement::new(&mut session, arguments, depth, bandwidth, &busy)?;
        if arguments.json {
            let Value::Object(mut object) = measurement.json() else { unreachable!("it is an object") };
            let about = json!({
                "adapter": info.name,
                "backend": info.backend.to_str(),
                "driver": driver(info),
                "model": engine.name(),
                "weights": weights,
                "kernels": {
                    "prefill": TuningChoice::Prefill.of(kernels),
                    "small_batch": TuningChoice::SmallBatch.of(kernels),
                    "decode": TuningChoice::Decode.of(kernels),
                    "norms": TuningChoice::Norms.of(kernels),
                },
                "dispatches_per_token": dispatches,
                "copy_bytes_per_s": bandwidth,
            });
            let Value::Object(about) = about else { unreachable!("it is an object") };
            object.extend(about);
            writeln!(out, "{}", Value::Object(object))?;
        } else {
            measurement.print(&mut out)?;
        }
    }
    if !arguments.json {
        writeln!(out, "{dispatches} dispatches per token; copy bandwidth {:.1} GB/s", bandwidth * 1e-9)?;
    }
    Ok(())
}

/// Measurements at one depth.
struct Measurement {
    depth: usize,
    runs: usize,
    prompt: usize,
    generate: usize,
    prefill: Spread,
    decode: Spread,
    /// Milliseconds until the first token.
    first_ms: Spread,
    /// Microseconds of host time to encode a token while the device is idle.
    host_us: Spread,
    bytes_per_token: u64,
    bandwidth_share: f64,
    profile: Option<Vec<Kernel>>,
}

impl Measurement {
    fn new(
        session: &mut Session,
        arguments: &args::Bench,
        depth: usize,
        bandwidth: f64,
        busy: &Busy,
    ) -> Result<Self, Failure> {
        let (prompt, generate, runs) = (arguments.prompt, arguments.generate, arguments.runs);
        let (mut prefill, mut decode, mut first_ms) = (Vec::new(), Vec::new(), Vec::new());
        // The first run is a warm-up, because drivers compile a kernel at its first use.
        for run in 0..=runs {
            let timings = measure(session, depth, prompt, generate, busy)?;
            if run > 0 {
                prefill.push(timings.prefill_tokens as f64 / timings.prefill_ms * 1e3);
                decode.push(timings.decode_tokens as f64 / timings.decode_ms * 1e3);
                first_ms.push(timings.prefill_ms);
            }
        }
        let decode = Spread::of(decode);
        let bytes_per_token = session.engine().bytes_per_token(depth + prompt + generate / 2);
        Ok(Self {
            depth,
            runs,
            prompt,
            generate,
            prefill: Spread::of(prefill),
            first_ms: Spread::of(first_ms),
            host_us: Spread::of(busy.wait(session.host_us(ENCODE_RUNS))?),
            bytes_per_token,
            bandwidth_share: bytes_per_token as f64 * decode.median / bandwidth,
            decode,
            profile: if arguments.profile { Some(profile(session, busy)?) } else { None },
        })
    }

    fn json(&self) -> Value {
        let kernel = |kernel: &Kernel| json!({"kernel": kernel.name, "dispatches": kernel.dispatches, "ms": kernel.ms});
        json!({
            "depth": self.depth,
            "prefill": {"tokens": self.prompt, "tokens_per_s": self.prefill.json()},
            "decode": {"tokens": self.generate, "tokens_per_s": self.decode.json()},
            "first_token_ms": self.first_ms.json(),
            "host_us_per_token": self.host_us.median,
            "bytes_per_token": self.bytes_per_token,
            "bandwidth_share": self.bandwidth_share,
            "profile": self.profile.as_ref().map(|kernels| kernels.iter().map(kernel).collect::<Vec<_>>()),
        })
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        if self.depth > 0 {
            writeln!(out, "after {} tokens", self.depth)?;
        }
        for (name, tokens, speed) in [("prefill", self.prompt, &self.prefill), ("decode", self.generate, &self.decode)]
        {
            let Spread { median, min, max } = speed;
            let runs = self.runs;
            writeln!(out, "{name:<8} {tokens:>5} tokens  {median:8.2} tokens/s  ({min:.2} to {max:.2}, {runs} runs)")?;
        }
        let (first, host) = (self.first_ms.median, self.host_us.median);
        let (bytes, percent) = (self.bytes_per_token as f64 * 1e-6, 100.0 * self.bandwidth_share);
        writeln!(out, "first token after {first:.0} ms; per token {host:.0} µs of host time and {bytes:.1} MB read")?;
        writeln!(out, "decode reads at {percent:.1} % of the copy bandwidth")?;
        if let Some(kernels) = &self.profile {
            let total: f64 = kernels.iter().map(|kernel| kernel.ms).sum();
            writeln!(out, "\nA token with a timestamp after each dispatch, {total:.2} ms (median of {PROFILE_RUNS}):")?;
            for Kernel { name, dispatches, ms } in kernels {
                let percent = 100.0 * ms / total;
                writeln!(out, "{name:<14} {dispatches:>4} dispatches  {ms:9.3} ms  {percent:5.1} %")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn measure(
    session: &mut Session,
    depth: usize,
    prompt: usize,
    generate: usize,
    busy: &Busy,
) -> Result<Timings, Failure> {
    busy.wait(session.pretend(depth))?;
    // The ids are arbitrary but the same in each run. Small ids exist in every vocabulary.
    let vocab_size = session.engine().config().vocab_size;
    let mut ids = session.tokens().to_vec();
    ids.extend((0..prompt).map(|i| ((i * 7919 + 11) % vocab_size.min(50_000)) as u32));
    // The first token belongs to prefill, so one more is generated.
    let sampling = Sampling { max_tokens: Some(generate + 1), stop_at_end: false, ..Sampling::greedy() };
    let mut generation = session.generate(&ids, &sampling)?;
    while busy.wait(generation.next())?.is_some() {}
    Ok(generation.timings())
}
