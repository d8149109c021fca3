//! Tests log-probabilities, and what forbids tokens.

use super::*;

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
