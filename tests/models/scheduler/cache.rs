//! Tests how requests share the cache, wait for it and give way.

use super::*;

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
