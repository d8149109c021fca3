//! Tests the scheduler: many requests get the replies that each would get alone, in whatever order they come and go.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lapidary_engine::model::Kernels;
use lapidary_engine::ops::{Mode, Way};
use lapidary_engine::scheduler::{Event, Load, Request, RequestId, TokenLogprobs};
use lapidary_engine::{Engine, Error, Finish, Sampling, Scheduler, SchedulerOptions, Speculation, WeightFormat};
use lapidary_tests::{block_on, reply, tokens};

use crate::golden::builder;

mod cache;
mod logits;

fn engine() -> Engine {
    builder("tiny-random-gemma2").prefill_chunk(16).build_blocking().unwrap()
}

fn scheduler(engine: &Engine, sequences: usize, cache_tokens: usize) -> Scheduler {
    block_on(Scheduler::new(engine, &SchedulerOptions { sequences, cache_tokens })).unwrap()
}

fn drawn(seed: u64, n: usize) -> Sampling {
    Sampling {
        seed: Some(seed),
        repetition_penalty: 1.2,
        max_tokens: Some(n),
        stop_at_end: false,
        ..Sampling::default()
    }
}

/// What became of a request.
#[derive(Debug, Default)]
struct Outcome {
    tokens: Vec<u32>,
    logprobs: Vec<TokenLogprobs>,
    prompt: Option<Vec<TokenLogprobs>>,
    finish: Option<Finish>,
    computed: usize,
    cached: usize,
    guessed: usize,
    error: Option<Error>,
}

#[derive(Default)]
struct Outcomes(BTreeMap<RequestId, Outcome>);

impl Outcomes {
    fn add(&mut self, events: Vec<Event>) {
        for event in events {
            let outcome = self.0.entry(event.id()).or_default();
            assert!(outcome.finish.is_none() && outcome.error.is_none(), "{event:?} after the end");
            match event {
                Event::Token { token, logprobs, .. } => {
                    outcome.tokens.push(token);
                    outcome.logprobs.extend(logprobs);
                }
                Event::Prompt { logprobs, .. } => outcome.prompt = Some(logprobs),
                Event::Finished { finish, timings, cached, .. } => {
                    (outcome.finish, outcome.computed) = (Some(finish), timings.prefill_tokens);
                    (outcome.cached, outcome.guessed) = (cached, timings.guessed_tokens);
                }
                Event::Failed { error, .. } => outcome.error = Some(error),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Runs a scheduler until it has nothing to do.
    fn run(mut self, scheduler: &mut Scheduler) -> Self {
        for _ in 0..10_000 {
            if scheduler.is_idle() {
                return self;
            }
            self.add(block_on(scheduler.step()).unwrap());
        }
        panic!("not idle after 10,000 steps: {:?}", scheduler.load());
    }
}

fn submit(scheduler: &mut Scheduler, prompt: &[u32], sampling: Sampling) -> RequestId {
    scheduler.submit(Request::new(prompt.to_vec(), sampling)).unwrap()
}

fn submit_all(scheduler: &mut Scheduler, cases: &[(Vec<u32>, Sampling)]) -> Vec<RequestId> {
    cases.iter().map(|(prompt, sampling)| submit(scheduler, prompt, sampling.clone())).collect()
}

/// Prompts of one token to several chunks, with replies of different lengths, greedy and drawn.
fn cases() -> Vec<(Vec<u32>, Sampling)> {
    (0..14u32)
        .map(|i| {
            let prompt = (0..1 + 7 * i).map(|j| 2 + (i * 131 + j * 17) % 700).collect();
            let n = 3 + (i as usize * 5) % 17;
            (prompt, if i % 3 == 0 { drawn(u64::from(i), n) } else { tokens(n) })
        })
        .collect()
}

/// The replies of sessions of their own.
fn alone(engine: &Engine, cases: &[(Vec<u32>, Sampling)]) -> Vec<Vec<u32>> {
    let mut session = engine.session_blocking().unwrap();
    cases.iter().map(|(prompt, sampling)| reply(&mut session, prompt, sampling)).collect()
}

#[test]
fn requests_that_come_and_go_get_the_replies_that_they_get_alone() {
    let engine = engine();
    let (cases, mut outcomes) = (cases(), Outcomes::default());
    let alone = alone(&engine, &cases);
    // More requests than sequences, and more sequences than a small batch has.
    let mut scheduler = scheduler(&engine, 10, 4096);
    let mut ids = Vec::new();
    for (i, (prompt, sampling)) in cases.iter().enumerate() {
        ids.push(submit(&mut scheduler, prompt, sampling.clone()));
        for _ in 0..i % 4 {
            outcomes.add(block_on(scheduler.step()).unwrap());
        }
    }
    let outcomes = outcomes.run(&mut scheduler);
    for ((id, expected), (prompt, _)) in ids.iter().zip(&alone).zip(&cases) {
        let outcome = &outcomes.0[id];
        assert_eq!(&outcome.tokens, expected, "after {} tokens", prompt.len());
        assert_eq!(outcome.finish, Some(Finish::MaxTokens));
    }
    assert_eq!(scheduler.load(), Load { waiting: 0, active: 0, free_cache_tokens: 4096 });
}

#[test]
fn a_request_gets_the_same_reply_again() {
    // Products of a prompt round otherwise than those of a decode step here.
    let kernels = Kernels { decode: Way::named(Mode::Decode, "int8, a row per lane").unwrap(), ..Kernels::FLOAT };
    let engine = builder("tiny-random-gemma2").weights(WeightFormat::Q8_0).kernels(kernels).build_blocking().unwrap();
    let mut scheduler = scheduler(&engine, 2, 512);
    let mut logprobs = || {
        let request = Request { logprobs: Some(3), ..Request::new((2..40).collect(), tokens(4)) };
        let id = scheduler.submit(request).unwrap();
        let outcome = Outcomes::default().run(&mut scheduler).0.remove(&id).unwrap();
        (outcome.logprobs, outcome.cached)
    };
    let (first, again) = (logprobs(), logprobs());
    assert_eq!((first.1, again.1), (0, 37));
    assert_eq!(first.0, again.0);
}

/// A reply that is alone is guessed ahead, and others come and go meanwhile.
#[test]
fn guesses_change_no_reply() {
    let engine = engine();
    let repetitive = |i: u32| std::iter::once(2).chain((0..40 + i).map(|j| 100 + i + j % 7)).collect();
    let cases: Vec<(Vec<u32>, Sampling)> = (0..6)
        .map(|i| {
            let seeded = Sampling { repetition_penalty: 1.0, temperature: 0.7, ..drawn(u64::from(i), 25) };
            (repetitive(i), if i % 2 == 0 { tokens(25) } else { seeded })
        })
        .collect();
    let alone = alone(&engine, &cases);
    let other = builder("tiny-random-gemma3").build_blocking().unwrap();
    let model = || block_on(Speculation::from_model(&other)).unwrap();
    for (what, speculation) in [("text", Speculation::from_text().always(7)), ("another model", model().always(3))] {
        // Room for three of six, two of which grow until one has to give way.
        let mut scheduler = scheduler(&engine, 8, 3 * 64);
        scheduler.speculate(speculation).unwrap();
        let (mut ids, mut outcomes, mut guessed) = (Vec::new(), Outcomes::default(), 0);
        for (prompt, sampling) in &cases {
            ids.push(submit(&mut scheduler, prompt, sampling.clone()));
            let cancelled = submit(&mut scheduler, prompt, sampling.clone());
            for step in 0..9 {
                if step == 7 {
                    scheduler.cancel(cancelled);
                }
                // A caller can give up waiting for a step, which goes on in the next.
                let polled = pin!(scheduler.step()).poll(&mut Context::from_waker(Waker::noop()));
                let events = match polled {
                    Poll::Ready(events) => events.unwrap(),
                    Poll::Pending => block_on(scheduler.step()).unwrap(),
                };
                outcomes.add(events.into_iter().filter(|event| event.id() != cancelled).collect());
            }
        }
        let outcomes = outcomes.run(&mut scheduler);
        for (id, expected) in ids.iter().zip(&alone) {
            assert_eq!(&outcomes.0[id].tokens, expected, "{what}");
            guessed += outcomes.0[id].guessed;
        }
        assert!(guessed > 0, "{what}");
        assert_eq!(scheduler.load().free_cache_tokens, 3 * 64);
    }
}

/// What a future gives, unless it is still pending after it was polled `patience` times more: then its caller gives up.
async fn patiently<T>(future: impl Future<Output = T>, mut patience: usize) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if patience == 0 => Poll::Ready(None),
        Poll::Pending => {
            patience -= 1;
            Poll::Pending
        }
    })
    .await
}

#[test]
fn a_caller_can_give_up_while_a_prompt_is_scored() {
    let engine = engine();
    let mut scheduler = scheduler(&engine, 2, 1024);
    let prompt: Vec<u32> = (0..30).map(|i| 2 + i * 23).collect();
    let request = || Request { prompt_logprobs: Some(2), ..Request::new(prompt.clone(), tokens(5)) };
    let id = scheduler.submit(request()).unwrap();
    let expected = Outcomes::default().run(&mut scheduler).0.remove(&id).unwrap();
    // A piece waits for its layers, then for their logits.
    for patience in 0..3 {
        let id = scheduler.submit(request()).unwrap();
        let mut outcomes = Outcomes::default();
        while !scheduler.is_idle() {
            let events = match block_on(patiently(scheduler.step(), patience)) {
                Some(events) => events,
                None => block_on(scheduler.step()),
            };
            outcomes.add(events.unwrap());
        }
        assert_eq!(outcomes.0[&id].prompt, expected.prompt, "given up after {patience}");
        assert_eq!(outcomes.0[&id].tokens, expected.tokens, "given up after {patience}");
    }
}

#[test]
fn a_cancelled_request_gives_its_place_back_and_disturbs_no_other() {
    let engine = engine();
    let cases = cases();
    let alone = alone(&engine, &cases);
    let mut scheduler = scheduler(&engine, 2, 256);
    let ids = submit_all(&mut scheduler, &cases);
    let (mut outcomes, mut cancelled) = (Outcomes::default(), Vec::new());
    for step in 0.. {
        if scheduler.is_idle() {
            break;
        }
        outcomes.add(block_on(scheduler.step()).unwrap());
        // Every second one: while it waits, its prompt is computed, or its reply grows.
        let id = ids[(step * 6 + 1) % ids.len()];
        if step % 7 == 6 && outcomes.0.get(&id).is_none_or(|outcome| outcome.finish.is_none()) {
            scheduler.cancel(id);
            cancelled.push(id);
        }
    }
    let mut complete = 0;
    for (id, expected) in ids.iter().zip(&alone) {
        let outcome = outcomes.0.remove(id).unwrap_or_default();
        assert!(expected.starts_with(&outcome.tokens));
        assert_eq!(outcome.finish.is_some(), !cancelled.contains(id));
        complete += usize::from(outcome.finish.is_some());
    }
    assert!(complete > 0 && complete < ids.len(), "{complete} complete");
    assert_eq!(scheduler.load(), Load { waiting: 0, active: 0, free_cache_tokens: 256 });
}

#[test]
fn a_scheduler_whose_step_failed_says_why_at_each_further_step() {
    let engine = engine();
    let mut scheduler = scheduler(&engine, 2, 128);
    submit(&mut scheduler, &[2, 3, 4], tokens(50));
    for _ in 0..3 {
        block_on(scheduler.step()).unwrap();
    }
    // SAFETY: no shader is made.
    unsafe { engine.gpu().wgpu_device() }.destroy();
    let first = (0..50).find_map(|_| block_on(scheduler.step()).err()).expect("the device is lost");
    let second = block_on(scheduler.step()).unwrap_err();
    assert!(matches!(second, Error::Setting { .. }) && second.to_string().contains(&first.to_string()), "{second}");
}

#[test]
fn requests_that_can_never_run_are_refused() {
    let engine = engine();
    let mut scheduler = scheduler(&engine, 2, 128);
    let mut submit = |prompt: Vec<u32>, sampling| scheduler.submit(Request::new(prompt, sampling)).err();
    assert!(matches!(submit(vec![], tokens(1)), Some(Error::EmptyPrompt)));
    assert!(matches!(submit(vec![768], tokens(1)), Some(Error::TokenOutOfRange { id: 768, .. })));
    assert!(matches!(submit(vec![2; 129], tokens(1)), Some(Error::ContextFull { tokens: 129, context: 128 })));
    let hot = Sampling { temperature: f32::NAN, ..tokens(1) };
    assert!(matches!(submit(vec![2], hot), Some(Error::Setting { field: "temperature", .. })));
    assert!(scheduler.is_idle());
    // As long as the cache: one token follows, whose keys and values are never read.
    let id = scheduler.submit(Request::new(vec![2; 128], Sampling { max_tokens: None, ..tokens(0) })).unwrap();
    let outcomes = Outcomes::default().run(&mut scheduler);
    assert_eq!((outcomes.0[&id].tokens.len(), outcomes.0[&id].finish), (1, Some(Finish::ContextFull)));
    for (sequences, cache_tokens) in [(0, 128), (65, 128), (2, 0)] {
        let options = SchedulerOptions { sequences, cache_tokens };
        assert!(matches!(block_on(Scheduler::new(&engine, &options)).err(), Some(Error::Setting { .. })));
    }
}
