//! Tests speculative decoding: replies with guessed tokens are those without, wherever guesses end or a caller gives up.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lapidary_engine::{ActivationFormat, Engine, Error, Finish, Sampling, Session, Speculation, WeightFormat};
use lapidary_tests::{block_on, reply, rest, tokens};

use crate::golden::builder;
use crate::golden_path;

const MODEL: &str = "tiny-random-gemma2";
/// Another model with the same vocabulary.
const OTHER: &str = "tiny-random-gemma3";

fn engine(model: &str) -> Engine {
    builder(model).build_blocking().unwrap()
}

fn session(engine: &Engine, speculation: Speculation) -> Session {
    let mut session = engine.session_blocking().unwrap();
    session.speculate(speculation).unwrap();
    session
}

/// Guesses by another model, which are mostly wrong.
fn from_other() -> Speculation {
    block_on(Speculation::from_model(&engine(OTHER))).unwrap()
}

fn drawn(n: usize, seed: u64) -> Sampling {
    Sampling { temperature: 0.7, seed: Some(seed), ..tokens(n) }
}

/// A text that repeats, so that what follows can be looked up.
fn repetitive() -> Vec<u32> {
    std::iter::once(2).chain((0..60).map(|i| 100 + i % 7)).collect()
}

#[test]
fn replies_with_guesses_are_those_without() {
    let engine = engine(MODEL);
    let mut plain = session(&engine, Speculation::off());
    let same = || block_on(Speculation::from_model(&engine)).unwrap();
    // Fewer than a small batch of tokens has.
    let chunked = builder(MODEL).prefill_chunk(4).build_blocking().unwrap();
    let in_chunks = || block_on(Speculation::from_model(&chunked)).unwrap();
    for (what, speculation, some_are_right, some_are_wrong) in [
        ("text", Speculation::from_text().always(7), true, true),
        ("text, one each", Speculation::from_text().always(1), true, true),
        ("the same model", same().always(5), true, false),
        ("the same model in chunks of 4", in_chunks().always(3), true, false),
        ("another model", from_other().always(3), false, true),
        ("whatever pays", Speculation::from_text(), false, false),
    ] {
        let mut guessing = session(&engine, speculation);
        let (mut guessed, mut right) = (0, 0);
        for sampling in std::iter::once(tokens(40)).chain((0..3).map(|seed| drawn(20, seed))) {
            let expected = reply(&mut plain, &repetitive(), &sampling);
            let mut generation = guessing.generate(&repetitive(), &sampling).unwrap();
            let said = rest(&mut generation);
            assert_eq!(said, expected, "{what}, {sampling:?}");
            assert_eq!(generation.finish(), Some(Finish::MaxTokens));
            let timings = generation.timings();
            assert_eq!(timings.decode_tokens + 1, said.len());
            (guessed, right) = (guessed + timings.guessed_tokens, right + timings.right_guesses);
        }
        assert!(right > 0 || !some_are_right, "{what}: {right} of {guessed} are right");
        assert!(guessed > right || !some_are_wrong, "{what}: {right} of {guessed} are right");
    }
}

#[test]
fn a_reply_ends_where_it_would_without_guesses() {
    let engine = builder(MODEL).context(80).build_blocking().unwrap();
    let mut plain = session(&engine, Speculation::off());
    let mut guessing = session(&engine, Speculation::from_text().always(7));
    for most in (0..12).map(Some).chain([None]) {
        let sampling = Sampling { max_tokens: most, ..tokens(0) };
        let expected = reply(&mut plain, &repetitive(), &sampling);
        assert_eq!(reply(&mut guessing, &repetitive(), &sampling), expected);
    }
    // The context of 80 tokens is full after 20, the last of which is not computed.
    let sampling = Sampling { max_tokens: None, ..tokens(0) };
    let mut generation = guessing.generate(&repetitive(), &sampling).unwrap();
    assert_eq!(rest(&mut generation).len(), 20);
    assert_eq!(generation.finish(), Some(Finish::ContextFull));
}

#[test]
fn a_stop_token_ends_a_reply_among_guesses() {
    let guide = || Engine::builder(concat!(env!("CARGO_MANIFEST_DIR"), "/../app/guide/model"));
    let engine = guide().activations(ActivationFormat::Float).build_blocking().unwrap();
    let turns = [lapidary_engine::template::Turn {
        role: lapidary_engine::template::Role::User,
        text: "What is RMSNorm?".into(),
    }];
    let prompt = lapidary_engine::template::render(engine.tokenizer().unwrap(), None, &turns).unwrap();
    let expected = reply(&mut session(&engine, Speculation::off()), &prompt, &Sampling::greedy());
    let same = block_on(Speculation::from_model(&engine)).unwrap().always(6);
    let mut guessing = session(&engine, same);
    let mut generation = guessing.generate(&prompt, &Sampling::greedy()).unwrap();
    let said = rest(&mut generation);
    assert_eq!((said, generation.finish()), (expected, Some(Finish::Stop)));
    assert!(generation.timings().right_guesses > 4);
    // What was guessed after the stop token is gone.
    assert_eq!(
        reply(&mut guessing, &prompt, &tokens(9)),
        reply(&mut session(&engine, Speculation::off()), &prompt, &tokens(9))
    );
}

#[test]
fn a_caller_can_give_up_among_guesses() {
    let engine = engine(MODEL);
    let expected = reply(&mut session(&engine, Speculation::off()), &repetitive(), &tokens(30));
    for speculation in [Speculation::from_text().always(7), from_other().always(4)] {
        let mut guessing = session(&engine, speculation);
        for stop in 0..12 {
            let mut generation = guessing.generate(&repetitive(), &tokens(30)).unwrap();
            for expected in &expected[..stop] {
                // Each token is first asked for by a future that is dropped.
                let polled = pin!(generation.next()).poll(&mut Context::from_waker(Waker::noop()));
                let token = match polled {
                    Poll::Ready(token) => token.unwrap(),
                    Poll::Pending => generation.next_blocking().unwrap(),
                };
                assert_eq!(token, Some(*expected));
            }
            drop(generation);
            let said = &guessing.tokens()[repetitive().len().min(guessing.tokens().len())..];
            assert!(expected.starts_with(said), "after {stop}: {said:?}");
            assert_eq!(reply(&mut guessing, &repetitive(), &tokens(30)), expected, "after {stop}");
            // A rewind forgets what is in flight.
            guessing.rewind(stop);
        }
    }
}

/// The random numbers of a reply are its own, so guesses need no correction. If they did, this would show it.
#[test]
fn guesses_do_not_change_what_is_drawn() {
    let builder = Engine::builder(golden_path(MODEL)).weights(WeightFormat::Q8_0).activations(ActivationFormat::Int8);
    let engine = builder.context(64).build_blocking().unwrap();
    let sampling = |seed| Sampling { temperature: 1.0, top_k: 2, seed: Some(seed), ..tokens(5) };
    let prompt = vec![2, 9, 30, 41];
    // The probabilities of the first four tokens, from the logits. The third and the fourth are guessed.
    let mut logits_of = session(&engine, Speculation::off());
    let mut cells = vec![(prompt.clone(), 1.0)];
    for _ in 0..4 {
        let mut longer = Vec::new();
        for (ids, p) in cells {
            let logits = block_on(logits_of.next_logits(&ids)).unwrap();
            let mut listed: Vec<(u32, f64)> = (0..).zip(logits.into_iter().map(f64::from)).collect();
            listed.sort_by(|a, b| b.1.total_cmp(&a.1));
            let sum: f64 = listed[..2].iter().map(|(_, logit)| logit.exp()).sum();
            longer.extend(listed[..2].iter().map(|(id, logit)| ([&ids[..], &[*id]].concat(), p * logit.exp() / sum)));
        }
        cells = longer;
    }
    let mut seen = vec![0.0; cells.len()];
    let other = Engine::builder(golden_path(MODEL)).context(64).weights(WeightFormat::Q4_0).build_blocking().unwrap();
    let other = block_on(Speculation::from_model(&other)).unwrap().also_for_repeatable_replies().always(2);
    let mut guessing = session(&engine, other);
    let draws = 300u64;
    let (mut guessed, mut right) = (0, 0);
    for seed in 0..draws {
        let mut generation = guessing.generate(&prompt, &sampling(seed)).unwrap();
        let said = rest(&mut generation);
        guessed += generation.timings().guessed_tokens;
        right += generation.timings().right_guesses;
        let ids = [&prompt[..], &said[..4]].concat();
        let cell = cells.iter().position(|(cell, _)| *cell == ids).expect("each is one of the two likeliest");
        seen[cell] += 1.0;
    }
    assert!(0 < right && right < guessed, "{right} of {guessed} guesses are right");
    let draws = draws as f64;
    let chi_square: f64 = cells.iter().zip(&seen).map(|((_, p), seen)| (seen - p * draws).powi(2) / (p * draws)).sum();
    // 15 degrees of freedom: 37.70 is exceeded by chance in one of 1,000 cases.
    assert!(chi_square < 37.70, "{chi_square}: {seen:?} of {cells:?}");
}

#[test]
fn a_model_with_another_vocabulary_guesses_nothing() {
    let guide = Engine::builder(concat!(env!("CARGO_MANIFEST_DIR"), "/../app/guide/model")).build_blocking().unwrap();
    let mut session = engine(MODEL).session_blocking().unwrap();
    let refused = session.speculate(block_on(Speculation::from_model(&guide)).unwrap());
    assert!(matches!(refused, Err(Error::Setting { .. })));
}
