//! How long replies wait while the prompt of another request is computed.

use std::time::{Duration, Instant};

use lapidary_engine::scheduler::{Event, Request};
use lapidary_engine::{Engine, EngineBuilder, Scheduler, SchedulerOptions, WeightFormat};
use lapidary_tests::{block_on, tokens};

use crate::real::model;

/// While the prompt of another request is computed, a reply waits at most 300 ms for a token after the first.
#[test]
#[ignore = "takes minutes, and needs a machine that does nothing else"]
fn a_reply_waits_little_for_a_long_prompt() {
    let Some(path) = model() else { return };
    for weights in [None, Some(WeightFormat::Q8_0), Some(WeightFormat::Bf16)] {
        let engine = weights.into_iter().fold(Engine::builder(&path), EngineBuilder::weights);
        let waits = waits_beside_a_prompt(&engine.build_blocking().unwrap(), 4096);
        assert!(waits.len() > 100, "{} tokens: the reply stood still while the prompt was computed", waits.len());
        let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        let name = weights.map_or("as in the file", WeightFormat::name);
        println!("{name}: {} tokens, each after {median:.0?}, at most {longest:.0?}", waits.len());
        assert!(longest < Duration::from_millis(300), "{name}: {longest:?}");
    }
}

/// The time before each token of a reply while the prompt of another request, of `prompt` tokens, is computed; shortest first.
fn waits_beside_a_prompt(engine: &Engine, prompt: u32) -> Vec<Duration> {
    let mut scheduler =
        block_on(Scheduler::new(engine, &SchedulerOptions { sequences: 2, cache_tokens: 8192 })).unwrap();
    let reply = scheduler.submit(Request::new(vec![2, 5, 6, 7], tokens(3000))).unwrap();
    let mut other = None;
    let (mut last, mut waits) = (Instant::now(), Vec::new());
    loop {
        for event in block_on(scheduler.step()).unwrap() {
            match event {
                Event::Token { id, .. } if id == reply => {
                    match other {
                        Some(_) => waits.push(last.elapsed()),
                        None => {
                            let prompt = (0..prompt).map(|i| 2 + i * 7919 % 50_000).collect();
                            other = Some(scheduler.submit(Request::new(prompt, tokens(1))).unwrap());
                        }
                    }
                    last = Instant::now();
                }
                Event::Finished { id, .. } if Some(id) == other => {
                    waits.sort();
                    return waits;
                }
                Event::Finished { .. } => panic!("the reply ended before the prompt"),
                Event::Failed { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
    }
}
