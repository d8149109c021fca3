//! `lapidary bench --streams`: the speed of several replies together.

use std::io::{self, Write};
use std::time::Instant;

use lapidary_engine::scheduler::{Event, Request};
use lapidary_engine::{Engine, Sampling, Scheduler, SchedulerOptions};
use serde_json::{Value, json};

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::spread::Spread;

/// Tokens of each reply's prompt.
const PROMPT: usize = 4;

/// Replies that grow together.
pub(crate) struct Streams {
    replies: usize,
    /// Tokens per second of all of them together.
    speed: Spread,
}

impl Streams {
    /// Measures each number of replies, in turn, so that a change of the machine's speed meets all of them.
    pub(crate) fn measure(engine: &Engine, arguments: &args::Bench, busy: &Busy) -> Result<Vec<Self>, Failure> {
        let counts = &arguments.streams;
        let most = counts.iter().copied().max().unwrap_or(1);
        // The first replies grow while the last ones begin.
        let cache_tokens = most * (PROMPT + arguments.generate + 256);
        let options = SchedulerOptions { sequences: most, cache_tokens };
        let mut scheduler = busy.wait(Scheduler::new(engine, &options))?;
        let mut speeds = vec![Vec::new(); counts.len()];
        // The first run is a warm-up, because drivers compile a kernel at its first use.
        for run in 0..=arguments.runs {
            for (count, speeds) in counts.iter().zip(&mut speeds) {
                let speed = together(&mut scheduler, *count, arguments.generate, busy)?;
                if run > 0 {
                    speeds.push(speed);
                }
            }
        }
        let streams = counts.iter().zip(speeds);
        Ok(streams.map(|(replies, speeds)| Self { replies: *replies, speed: Spread::of(speeds) }).collect())
    }

    pub(crate) fn json(&self) -> Value {
        json!({"streams": self.replies, "tokens_per_s": self.speed.json()})
    }

    /// Prints the speeds, each beside that of the first.
    pub(crate) fn print(all: &[Self], out: &mut impl Write) -> io::Result<()> {
        let first = all.first().map_or(1.0, |first| first.speed.median);
        for Self { replies, speed: Spread { median, min, max } } in all {
            let ratio = median / first;
            writeln!(
                out,
                "{replies:>3} streams  {median:8.2} tokens/s  ({min:.2} to {max:.2})  {ratio:.2} times the first"
            )?;
        }
        Ok(())
    }
}

/// Tokens per second of so many replies, from when all of them have begun until each has `generate` more tokens.
fn together(scheduler: &mut Scheduler, count: usize, generate: usize, busy: &Busy) -> Result<f64, Failure> {
    let vocab = scheduler.engine().config().vocab_size.min(50_000);
    let sampling = Sampling { max_tokens: Some(usize::MAX), stop_at_end: false, ..Sampling::greedy() };
    let mut ids = Vec::new();
    for i in 0..count {
        // Different from the first token on, so that none shares another one's cache.
        let prompt = (0..PROMPT).map(|j| ((i * 7919 + j * 31 + 11) % vocab) as u32).collect();
        ids.push(scheduler.submit(Request::new(prompt, sampling.clone()))?);
    }
    let mut begun = vec![false; count];
    let (mut tokens, mut started) = (0, None);
    while tokens < count * generate {
        for event in busy.wait(scheduler.step())? {
            match event {
                Event::Token { id, .. } => {
                    tokens += usize::from(started.is_some());
                    if let Some(i) = ids.iter().position(|known| *known == id) {
                        begun[i] = true;
                    }
                }
                Event::Failed { error, .. } => return Err(error.into()),
                // A reply that began early fills its context while the last one begins.
                _ => {
                    return Err(Failure::Usage(format!(
                        "{generate} tokens do not fit the context; choose a smaller -n"
                    )));
                }
            }
        }
        if started.is_none() && begun.iter().all(|begun| *begun) {
            started = Some(Instant::now());
        }
    }
    let seconds = started.map_or(f64::INFINITY, |started| started.elapsed().as_secs_f64());
    ids.into_iter().for_each(|id| scheduler.cancel(id));
    Ok(tokens as f64 / seconds)
}
