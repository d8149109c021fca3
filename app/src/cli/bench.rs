//! `lapidary bench`: the speed of prefill and decode.

use std::io::{self, Write};

use lapidary_engine::{Sampling, Session, Timings};
use serde_json::json;

use super::args;
use super::devices::driver;
use super::failure::{Failure, harmless};
use super::interrupt::Busy;
use super::load::{engine, open};

pub(crate) fn bench(arguments: &args::Bench) -> Result<(), Failure> {
    let (prompt, generate, runs) = (arguments.prompt, arguments.generate, arguments.runs);
    if prompt == 0 || generate == 0 || runs == 0 {
        return Err(Failure::Usage("-p, -n and -r must be at least 1".into()));
    }
    let tokens = prompt.saturating_add(generate);
    let files = open(arguments.model.model.as_deref())?;
    let busy = Busy::new();
    let engine = engine(files, &arguments.model, Some(tokens), &busy)?;
    if tokens > engine.context() {
        let context = engine.context();
        return Err(Failure::Usage(format!("-p and -n are {tokens} together, but the context holds {context}")));
    }
    let mut session = busy.wait(engine.session())?;
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    // The first run warms up: drivers compile each kernel when it first runs.
    for run in 0..=runs {
        let timings = measure(&mut session, prompt, generate, &busy)?;
        if run > 0 {
            prefill.push(timings.prefill_tokens as f64 / timings.prefill_ms * 1e3);
            decode.push(timings.decode_tokens as f64 / timings.decode_ms * 1e3);
        }
    }
    let (prefill, decode) = (Spread::of(prefill), Spread::of(decode));
    let dispatches = session.decode_kernels().len();
    let info = engine.gpu().info();
    let weights = arguments.model.weights.chosen().map_or("auto", |format| format.name());
    let mut out = io::stdout().lock();
    if arguments.json {
        let part = |tokens: usize, speed: &Spread| {
            let speed = json!({"median": speed.median, "min": speed.min, "max": speed.max});
            json!({"tokens": tokens, "tokens_per_s": speed})
        };
        let object = json!({
            "adapter": info.name,
            "backend": info.backend.to_str(),
            "driver": driver(info),
            "model": engine.name(),
            "weights": weights,
            "prefill": part(prompt, &prefill),
            "decode": part(generate, &decode),
            "dispatches_per_token": dispatches,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "{}, weights {weights}", harmless(engine.name()))?;
        let (name, driver) = (harmless(&info.name), driver(info));
        writeln!(out, "{name} ({}, {})", info.backend.to_str(), harmless(&driver))?;
        for (name, tokens, speed) in [("prefill", prompt, prefill), ("decode", generate, decode)] {
            let Spread { median, min, max } = speed;
            writeln!(out, "{name:<8} {tokens:>5} tokens  {median:8.2} tokens/s  ({min:.2} to {max:.2}, {runs} runs)")?;
        }
        writeln!(out, "{dispatches} dispatches a token")?;
    }
    Ok(())
}

fn measure(session: &mut Session, prompt: usize, generate: usize, busy: &Busy) -> Result<Timings, Failure> {
    // Any tokens do, as long as they are the same each time; small ids exist in every vocabulary.
    let vocab_size = session.engine().config().vocab_size;
    let ids: Vec<u32> = (0..prompt).map(|i| ((i * 7919 + 11) % vocab_size.min(50_000)) as u32).collect();
    // The first token counts as prefill's.
    let sampling = Sampling { max_tokens: Some(generate + 1), stop_at_end: false, ..Sampling::greedy() };
    session.rewind(0);
    let mut generation = session.generate(&ids, &sampling)?;
    while busy.wait(generation.next())?.is_some() {}
    Ok(generation.timings())
}

struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(vec![9.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Spread::of(vec![9.0, 1.0, 2.0, 4.0]).median, 3.0);
    }
}
