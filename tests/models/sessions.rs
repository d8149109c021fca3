//! Tests sessions: reused prefixes, independent forks, exact rewinding, repeatable seeds, and errors for bad input.

use std::future::Future;

use lapidary_engine::model::Kernels;
use lapidary_engine::ops::Way;
use lapidary_engine::{Engine, Error, Finish, Sampling};
use lapidary_tests::{block_on, reply, rest, tokens};

use crate::golden::builder;

fn engine() -> Engine {
    builder("tiny-random-gemma2").build_blocking().unwrap()
}

#[test]
fn a_second_turn_computes_only_what_is_new() {
    let engine = engine();
    let mut session = engine.session_blocking().unwrap();
    let mut prompt: Vec<u32> = (2..42).collect();
    let said = reply(&mut session, &prompt, &tokens(5));
    prompt.extend(&said);
    prompt.extend([300, 301, 302]);

    let mut generation = session.generate(&prompt, &tokens(4)).unwrap();
    let again = rest(&mut generation);
    // Three tokens are new, and the last token of the reply was never an input.
    assert_eq!(generation.timings().prefill_tokens, 4);
    assert_eq!(again, reply(&mut engine.session_blocking().unwrap(), &prompt, &tokens(4)));
}

#[test]
fn a_dropped_reply_leaves_the_session_right() {
    let engine = engine();
    let mut session = engine.session_blocking().unwrap();
    let prompt = [2, 50, 60, 70];
    let whole = reply(&mut session, &prompt, &tokens(10));
    for stop in 1..5 {
        let mut generation = session.generate(&prompt, &tokens(10)).unwrap();
        for expected in &whole[..stop] {
            assert_eq!(generation.next_blocking().unwrap(), Some(*expected));
        }
        drop(generation);
        assert!(whole.starts_with(&session.tokens()[prompt.len()..]));
        assert_eq!(reply(&mut session, &prompt, &tokens(10)), whole);
    }
}

#[test]
fn a_fork_goes_its_own_way() {
    let engine = engine();
    let mut session = engine.session_blocking().unwrap();
    let prompt: Vec<u32> = (100..130).collect();
    let said = reply(&mut session, &prompt, &tokens(6));
    let mut fork = block_on(session.fork()).unwrap();
    assert_eq!(fork.tokens(), session.tokens());
    let mut other = prompt.clone();
    other.extend([7, 8, 9]);
    let forked = reply(&mut fork, &other, &tokens(6));
    assert_eq!(forked, reply(&mut engine.session_blocking().unwrap(), &other, &tokens(6)));
    assert_eq!(reply(&mut session, &prompt, &tokens(6)), said, "the fork changed the first session");
}

#[test]
fn equal_seeds_draw_equal_replies() {
    let engine = engine();
    let sampling = |seed| Sampling {
        temperature: 1.0,
        top_k: 40,
        top_p: 0.9,
        min_p: 0.01,
        repetition_penalty: 1.2,
        seed: Some(seed),
        ..tokens(30)
    };
    let prompt = [2, 5, 6];
    let first = reply(&mut engine.session_blocking().unwrap(), &prompt, &sampling(1));
    // The same in a session with an earlier reply.
    let mut used = engine.session_blocking().unwrap();
    reply(&mut used, &[2, 9, 9, 9, 4], &sampling(7));
    assert_eq!(reply(&mut used, &prompt, &sampling(1)), first);
    assert_ne!(reply(&mut used, &prompt, &sampling(2)), first);
}

#[test]
fn a_penalty_keeps_the_reply_from_repeating() {
    let engine = engine();
    let prompt = [2];
    // The tiny model repeats 9, as its golden shows.
    let plain = reply(&mut engine.session_blocking().unwrap(), &prompt, &tokens(20));
    assert!(plain.windows(2).any(|pair| pair[0] == pair[1]));
    let sampling = Sampling { repetition_penalty: 100.0, ..tokens(20) };
    let said = reply(&mut engine.session_blocking().unwrap(), &prompt, &sampling);
    let mut distinct = said.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), said.len(), "{said:?}");
}

#[test]
fn a_reply_fills_the_context_and_no_more() {
    let engine = builder("tiny-random-gemma2").context(20).build_blocking().unwrap();
    let mut session = engine.session_blocking().unwrap();
    let unlimited = Sampling { max_tokens: None, ..tokens(0) };
    let prompt: Vec<u32> = (2..18).collect();
    let mut generation = session.generate(&prompt, &unlimited).unwrap();
    let said = rest(&mut generation);
    assert_eq!(generation.finish(), Some(Finish::ContextFull));
    // The last token needs no position in the cache.
    assert_eq!(said.len(), 20 - 16 + 1);
    // The same tokens as with a longer context.
    assert_eq!(said, reply(&mut self::engine().session_blocking().unwrap(), &prompt, &tokens(5)));
}

#[test]
fn a_reply_of_one_token_has_its_times_and_one_of_none_computes_nothing() {
    let engine = engine();
    let mut session = engine.session_blocking().unwrap();
    let mut generation = session.generate(&[2, 50, 60, 70], &tokens(1)).unwrap();
    generation.next_blocking().unwrap().unwrap();
    let timings = generation.timings();
    assert!((timings.prefill_tokens, timings.decode_tokens) == (4, 0) && timings.prefill_ms > 0.0, "{timings:?}");
    let held = session.tokens().to_vec();
    let mut generation = session.generate(&[3, 4, 5], &tokens(0)).unwrap();
    assert_eq!(generation.next_blocking().unwrap(), None);
    assert_eq!(generation.finish(), Some(Finish::MaxTokens));
    assert_eq!(session.tokens(), held);
}

#[test]
fn bad_input_is_refused_by_name() {
    let engine = builder("tiny-random-gemma2").context(20).build_blocking().unwrap();
    let mut session = engine.session_blocking().unwrap();
    let greedy = Sampling::greedy();
    assert!(matches!(session.generate(&[], &greedy).err(), Some(Error::EmptyPrompt)));
    assert!(matches!(
        session.generate(&[2, 768], &greedy).err(),
        Some(Error::TokenOutOfRange { id: 768, vocab_size: 768 })
    ));
    assert!(matches!(session.generate(&[2; 21], &greedy).err(), Some(Error::ContextFull { tokens: 21, context: 20 })));
    for (bad, field) in [
        (Sampling { temperature: f32::NAN, ..greedy.clone() }, "temperature"),
        (Sampling { temperature: -1.0, ..greedy.clone() }, "temperature"),
        (Sampling { temperature: f32::INFINITY, ..greedy.clone() }, "temperature"),
        (Sampling { top_p: f32::NAN, ..greedy.clone() }, "top-p"),
        (Sampling { top_p: 0.0, ..greedy.clone() }, "top-p"),
        (Sampling { min_p: 1.5, ..greedy.clone() }, "min-p"),
        (Sampling { repetition_penalty: 0.0, ..greedy.clone() }, "repetition penalty"),
    ] {
        match session.generate(&[2], &bad).err() {
            Some(Error::Setting { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{bad:?} gave {other:?}"),
        }
    }
    // The session still works.
    assert_eq!(reply(&mut session, &[2], &tokens(3)).len(), 3);
}

#[test]
fn loading_can_be_cancelled_and_limited() {
    let cancelled = builder("tiny-random-gemma2").on_progress(|_| false).build_blocking();
    assert!(matches!(cancelled.err(), Some(Error::Cancelled)));
    let limited = builder("tiny-random-gemma2").memory_limit(100_000).build_blocking();
    assert!(matches!(limited.err(), Some(Error::OutOfMemory { .. })));
    let endless = builder("tiny-random-gemma2").context(10_000).build_blocking();
    assert!(matches!(endless.err(), Some(Error::Setting { field: "context", .. })));
    // A kernel for other steps would write out of bounds.
    for wrong in [
        Kernels { decode: Way::FLOAT_PREFILL, ..Kernels::FLOAT },
        Kernels { small_batch: Some(Way::FLOAT_DECODE), ..Kernels::FLOAT },
        Kernels { prefill: Way::FLOAT_DECODE, ..Kernels::FLOAT },
    ] {
        let refused = builder("tiny-random-gemma2").kernels(wrong).build_blocking();
        assert!(matches!(refused.err(), Some(Error::Setting { field: "kernel", .. })), "{wrong:?}");
    }
}

#[test]
fn a_lost_device_is_an_error_and_not_a_hang() {
    let engine = engine();
    let mut session = engine.session_blocking().unwrap();
    let mut generation = session.generate(&[2, 3, 4], &tokens(50)).unwrap();
    generation.next_blocking().unwrap();
    // SAFETY: no shader is made.
    unsafe { engine.gpu().wgpu_device() }.destroy();
    let error = loop {
        match generation.next_blocking() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the reply ended as if nothing had happened"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
    // Loading again works.
    assert_eq!(reply(&mut self::engine().session_blocking().unwrap(), &[2], &tokens(2)).len(), 2);
}

#[test]
fn a_caller_may_give_up_waiting() {
    let engine = engine();
    let mut session = engine.session_blocking().unwrap();
    let prompt = [2, 50, 60, 70];
    let whole = reply(&mut session, &prompt, &tokens(10));
    for polls in 1..12 {
        let mut generation = session.generate(&prompt, &tokens(10)).unwrap();
        let mut said = 0;
        // Polls a few times without ever waiting, as a caller with a timeout would, then drops what is under way.
        for _ in 0..polls {
            let mut next = Box::pin(generation.next());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if let std::task::Poll::Ready(token) = next.as_mut().poll(&mut context) {
                assert_eq!(token.unwrap(), Some(whole[said]));
                said += 1;
            }
        }
        drop(generation);
        assert_eq!(reply(&mut session, &prompt, &tokens(10)), whole);
    }
    engine.gpu().check().unwrap();
}
