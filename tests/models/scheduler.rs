//! Tests the scheduler: many requests get the replies that each would get alone, in whatever order they come and go.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lapidary_engine::scheduler::{Event, Load, Request, RequestId, TokenLogprobs};
use lapidary_engine::{Engine, Error, Finish, Sampling, Scheduler, SchedulerOptions, Speculation};
use lapidary_tests::{block_on, reply, tokens};

use crate::golden::builder;

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
fn a_full_cache_makes_requests_wait_and_loses_none() {
    let engine = engine();
    let cases = cases();
    let alone = alone(&engine, &cases);
    // The longest request fills it: 92 tokens and the reply are two pages.
    let mut scheduler = scheduler(&engine, 14, 128);
    let ids = submit_all(&mut scheduler, &cases);
    let outcomes = Outcomes::default().run(&mut scheduler);
    for (id, expected) in ids.iter().zip(&alone) {
        assert_eq!(&outcomes.0[id].tokens, expected);
    }
    assert_eq!(scheduler.load().free_cache_tokens, 128);
}

/// Replies that outgrow the cache together: the newest gives its place back and goes on where it was.
#[test]
fn replies_that_outgrow_the_cache_are_computed_again() {
    let engine = engine();
    let cases: Vec<_> =
        (0..3u32).map(|i| (vec![2, 40 + i], if i == 1 { drawn(5, 100) } else { tokens(100) })).collect();
    let alone = alone(&engine, &cases);
    let mut scheduler = scheduler(&engine, 3, 4 * 64);
    let ids = submit_all(&mut scheduler, &cases);
    let outcomes = Outcomes::default().run(&mut scheduler);
    for (id, expected) in ids.iter().zip(&alone) {
        assert_eq!(&outcomes.0[id].tokens, expected);
    }
    let again = outcomes.0.values().filter(|outcome| outcome.computed > 2).count();
    assert!(again > 0, "three replies of two pages each fit four pages at once");
}

#[test]
fn a_shared_beginning_is_computed_once() {
    let engine = engine();
    let beginning: Vec<u32> = (0..150).map(|i| 2 + i * 7 % 700).collect();
    let prompt = |last: u32| [&beginning[..], &[last]].concat();
    let cases: Vec<_> = (0..4).map(|i| (prompt(600 + i), tokens(80))).collect();
    let alone = alone(&engine, &cases);
    let mut scheduler = scheduler(&engine, 4, 4096);
    let ids = submit_all(&mut scheduler, &cases);
    let outcomes = Outcomes::default().run(&mut scheduler);
    for (i, (id, expected)) in ids.iter().zip(&alone).enumerate() {
        let outcome = &outcomes.0[id];
        assert_eq!(&outcome.tokens, expected);
        assert_eq!((outcome.cached, outcome.computed), if i == 0 { (0, 151) } else { (150, 1) });
    }
    // A later turn goes on after an earlier one.
    let turn = [&cases[2].0[..], &outcomes.0[&ids[2]].tokens, &[5, 6]].concat();
    let id = submit(&mut scheduler, &turn, tokens(4));
    let later = Outcomes::default().run(&mut scheduler);
    assert_eq!(later.0[&id].tokens, reply(&mut engine.session_blocking().unwrap(), &turn, &tokens(4)));
    // The last token of the reply was never an input.
    assert_eq!((later.0[&id].cached, later.0[&id].computed), (turn.len() - 3, 3));
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

/// The only page that is left is kept for requests that begin like the one that waits.
#[test]
fn what_is_kept_never_keeps_a_request_waiting() {
    let engine = engine();
    let mut scheduler = scheduler(&engine, 3, 2 * 64);
    let (growing, short) = (vec![2, 9], vec![5, 6, 7]);
    let mut outcomes = Outcomes::default();
    submit(&mut scheduler, &growing, tokens(50));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(submit(&mut scheduler, &short, tokens(3)));
        for _ in 0..12 {
            outcomes.add(block_on(scheduler.step()).unwrap());
        }
        assert!(outcomes.0[&ids[ids.len() - 1]].finish.is_some(), "beside a reply that still grows");
    }
    assert_eq!(scheduler.load().active, 1);
    let expected = reply(&mut engine.session_blocking().unwrap(), &short, &tokens(3));
    assert!(ids.iter().all(|id| outcomes.0[id].tokens == expected));
}

/// Two requests that ended have a page in common, which no other request has.
#[test]
fn pages_that_only_kept_sequences_share_keep_no_request_waiting() {
    let engine = engine();
    let mut scheduler = scheduler(&engine, 4, 4 * 64);
    let beginning: Vec<u32> = (0..64).map(|i| 2 + i * 7 % 700).collect();
    for last in [600, 601] {
        submit(&mut scheduler, &[&beginning[..], &[last]].concat(), tokens(3));
        Outcomes::default().run(&mut scheduler);
    }
    assert_eq!(scheduler.load(), Load { waiting: 0, active: 0, free_cache_tokens: 4 * 64 });
    // The one that waits needs the three pages that the first one leaves.
    submit(&mut scheduler, &[5, 9], tokens(60));
    let long: Vec<u32> = (0..150).map(|i| 3 + i * 11 % 700).collect();
    let id = submit(&mut scheduler, &long, tokens(3));
    let mut outcomes = Outcomes::default();
    while scheduler.load().waiting + scheduler.load().active == 2 {
        outcomes.add(block_on(scheduler.step()).unwrap());
    }
    assert!(outcomes.0.get(&id).is_some_and(|outcome| outcome.finish.is_some()), "it waited for the first one to end");
    assert_eq!(outcomes.0[&id].tokens, reply(&mut engine.session_blocking().unwrap(), &long, &tokens(3)));
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
fn log_probabilities_are_those_of_the_logits() {
    let engine = engine();
    let prompt: Vec<u32> = (0..21).map(|i| 2 + i * 31).collect();
    let mut scheduler = scheduler(&engine, 3, 1024);
    let mut ids = Vec::new();
    // Two at once, so that one of them is not in the first row.
    for sampling in [tokens(5), drawn(3, 5)] {
        let sampling = Sampling { repetition_penalty: 1.0, ..sampling };
        let request = Request { logprobs: Some(4), prompt_logprobs: Some(2), ..Request::new(prompt.clone(), sampling) };
        ids.push(scheduler.submit(request).unwrap());
    }
    let outcomes = Outcomes::default().run(&mut scheduler);
    for id in ids {
        let outcome = &outcomes.0[&id];
        let all = [&prompt[..], &outcome.tokens].concat();
        let found = [outcome.prompt.as_deref().unwrap(), &outcome.logprobs].concat();
        assert_eq!(found.len(), all.len() - 1);
        let mut session = engine.session_blocking().unwrap();
        session
            .logits_blocking(&all, 0, |position, logits| {
                let Some(found) = found.get(position) else { return true };
                let of = |id: u32| {
                    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
                    (f64::from(logits[id as usize]) - sum.ln()) as f32
                };
                let close = |found: f32, expected: f32| (found - expected).abs() < 1e-3;
                assert!(close(found.logprob, of(all[position + 1])), "at {position}: {found:?}");
                assert_eq!(found.top.len(), if position + 1 < prompt.len() { 2 } else { 4 });
                assert!(found.top.iter().all(|(id, logprob)| close(*logprob, of(*id))));
                assert!(found.top.is_sorted_by(|a, b| a.1 >= b.1));
                let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert!(logits[found.top[0].0 as usize] > highest - 1e-3);
                true
            })
            .unwrap();
    }
    // Only the prompt.
    let request = Request { prompt_logprobs: Some(0), ..Request::new(prompt.clone(), tokens(0)) };
    let id = scheduler.submit(request).unwrap();
    let outcomes = Outcomes::default().run(&mut scheduler);
    assert_eq!(outcomes.0[&id].prompt.as_ref().map(Vec::len), Some(prompt.len() - 1));
    assert_eq!((outcomes.0[&id].tokens.len(), outcomes.0[&id].finish), (0, Some(Finish::MaxTokens)));
}

#[test]
fn a_bias_forbids_tokens_and_changes_nothing_else() {
    let engine = engine();
    let prompt = vec![2, 50, 60, 70];
    let mut scheduler = scheduler(&engine, 4, 1024);
    let plain = [tokens(12), drawn(9, 12)].map(|sampling| submit(&mut scheduler, &prompt, sampling));
    // Without an effect the host chooses what the device chooses.
    let idle = [tokens(12), drawn(9, 12)].map(|sampling| {
        let bias: lapidary_engine::scheduler::Bias = Box::new(|_, _| ());
        scheduler.submit(Request { bias: Some(bias), ..Request::new(prompt.clone(), sampling) }).unwrap()
    });
    let outcomes = Outcomes::default().run(&mut scheduler);
    let said = plain.map(|id| outcomes.0[&id].tokens.clone());
    assert_eq!(idle.map(|id| outcomes.0[&id].tokens.clone()), said);
    // Each token only once: the bias sees the reply so far.
    let once = Box::new(|reply: &[u32], logits: &mut [f32]| {
        reply.iter().for_each(|id| logits[*id as usize] = f32::NEG_INFINITY);
    });
    let id = scheduler.submit(Request { bias: Some(once), ..Request::new(prompt.clone(), tokens(30)) }).unwrap();
    let nothing = Box::new(|_: &[u32], logits: &mut [f32]| logits.fill(f32::NEG_INFINITY));
    let refused =
        scheduler.submit(Request { bias: Some(nothing), ..Request::new(prompt.clone(), tokens(30)) }).unwrap();
    let outcomes = Outcomes::default().run(&mut scheduler);
    let mut distinct = outcomes.0[&id].tokens.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 30);
    assert!(said[0].len() > said[0].iter().collect::<std::collections::BTreeSet<_>>().len(), "repeats by itself");
    assert!(matches!(outcomes.0[&refused].error, Some(Error::Setting { .. })), "{:?}", outcomes.0[&refused]);
}

/// What the device chooses under a mask is what the host chooses where a bias excludes the same tokens.
#[test]
fn a_mask_forbids_what_a_bias_forbids() {
    let engine = engine();
    let prompt = vec![2, 50, 60, 70];
    let mut scheduler = scheduler(&engine, 6, 1024);
    // Only tokens of another rest than the one before.
    let may_follow = |reply: &[u32], id: u32| reply.last().is_none_or(|last| last % 3 != id % 3);
    let mut ids = Vec::new();
    for sampling in [tokens(20), drawn(9, 20), Sampling { top_k: 0, ..drawn(11, 20) }] {
        let mask: lapidary_engine::scheduler::Mask = Box::new(move |reply, bits| {
            let allowed = (0..32 * bits.len() as u32).filter(|id| may_follow(reply, *id));
            allowed.for_each(|id| bits[id as usize / 32] |= 1 << (id % 32));
        });
        let bias: lapidary_engine::scheduler::Bias = Box::new(move |reply, logits| {
            let excluded = (0..logits.len() as u32).filter(|id| !may_follow(reply, *id));
            excluded.for_each(|id| logits[id as usize] = f32::NEG_INFINITY);
        });
        let request = |mask, bias| {
            let logprobs = Some(2);
            Request { mask, bias, logprobs, ..Request::new(prompt.clone(), sampling.clone()) }
        };
        ids.push([
            scheduler.submit(request(Some(mask), None)).unwrap(),
            scheduler.submit(request(None, Some(bias))).unwrap(),
        ]);
    }
    let outcomes = Outcomes::default().run(&mut scheduler);
    for [masked, biased] in ids {
        let [masked, biased] = [masked, biased].map(|id| &outcomes.0[&id]);
        assert_eq!((masked.tokens.len(), &masked.tokens), (20, &biased.tokens));
        assert!(masked.tokens.windows(2).all(|pair| may_follow(&pair[..1], pair[1])));
        assert_eq!(masked.logprobs.len(), 20);
        for (masked, biased) in masked.logprobs.iter().zip(&biased.logprobs) {
            assert!((masked.logprob - biased.logprob).abs() < 1e-4, "{masked:?} and {biased:?}");
        }
    }
    let nothing = Box::new(|_: &[u32], _: &mut [u32]| ());
    let id = scheduler.submit(Request { mask: Some(nothing), ..Request::new(prompt, tokens(30)) }).unwrap();
    let beside = submit(&mut scheduler, &[2, 50, 60], tokens(5));
    let outcomes = Outcomes::default().run(&mut scheduler);
    assert!(matches!(outcomes.0[&id].error, Some(Error::Setting { .. })), "{:?}", outcomes.0[&id]);
    assert_eq!(outcomes.0[&beside].tokens.len(), 5);
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
