//! References of what comes after the last product: logits, and the choice of a token.

use std::sync::Arc;

use lapidary_shaders::reference::{self, Sample};

use super::inputs::Inputs;
use super::outputs::{Expected, F32, Output};
use crate::error::{Error, Result};
use crate::gpu::{Count, Grid, Step};
use crate::ops::{NO_TOKEN, STRETCHES, TokenSink};

pub(super) fn logits(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let (vocab, stride) = (inputs.param("vocab_size")?, inputs.param("stride")?);
    let rows = match inputs.dispatch.grid {
        Grid::Xy(_, Count::Fixed(rows)) => rows as usize,
        _ => inputs.tokens(),
    };
    let (seen_words, slot) = (inputs.param("seen_words")?, inputs.step.slot as usize);
    let bits = |name| {
        let words = &inputs.words(name)?[slot * seen_words..][..seen_words];
        Ok::<Vec<bool>, Error>(words.iter().flat_map(|word| (0..32).map(move |i| word >> i & 1 == 1)).collect())
    };
    let (seen, allowed) = (bits("seen")?, bits("allowed")?);
    let allowed = (inputs.step.is_masked == 1).then_some(&allowed[..vocab]);
    let soft_cap = Some(inputs.float_param("soft_cap")?).filter(|cap| *cap > 0.0);
    let mut outputs = Vec::new();
    let first = inputs.step.row as usize;
    for row in first..first + rows {
        let raw = &inputs.floats("logits")?[row * stride..][..vocab];
        let out = reference::logits(raw, soft_cap, &seen[..vocab], inputs.step.repetition_penalty, allowed);
        outputs.push(Output::in_place("logits", row * stride, Expected::Floats(out, F32)));
    }
    Ok(outputs)
}

/// A finite float as an integer of the same order: `lib/order.wesl`.
fn key_of(x: f32) -> u32 {
    let bits = x.to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

/// The float of a key.
fn value_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key ^ 1 << 31 } else { !key })
}

/// The logits that a token is chosen from.
fn logits_of_row<'a>(inputs: &'a Inputs<'_>) -> Result<&'a [f32]> {
    let row = inputs.step.row as usize * inputs.param("stride")?;
    Ok(&inputs.floats("logits")?[row..][..inputs.param("vocab_size")?])
}

pub(super) fn argmax(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let logits = logits_of_row(inputs)?;
    let mut best = reference::argmax(logits, inputs.param("stretch")?);
    best.resize(STRETCHES, None);
    let mut outputs = Vec::new();
    for (i, best) in best.into_iter().enumerate() {
        // A stretch without a finite logit has the lowest key, with any token.
        let words = best.map_or(vec![0], |(value, token)| vec![key_of(value), token]);
        outputs.push(Output::new("best", 2 * i, Expected::Words(words)));
        if best.is_none() {
            outputs.push(Output::new("best", 2 * i + 1, Expected::Judged(1, Box::new(|_| Ok(())))));
        }
    }
    Ok(outputs)
}

pub(super) fn argmax_merge(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let best: Vec<Option<(f32, u32)>> = inputs
        .words("best")?
        .chunks_exact(2)
        .take(STRETCHES)
        .map(|words| (words[0] != 0).then(|| (value_of(words[0]), words[1])))
        .collect();
    emitted(inputs, reference::argmax_merge(&best))
}

/// Where a token goes; `None` where no logit is finite.
fn emitted(inputs: &Inputs<'_>, token: Option<u32>) -> Result<Vec<Output>> {
    let Step { slot, draw, .. } = *inputs.step;
    let result = TokenSink::result_word(slot as usize, draw);
    let mut outputs = vec![
        Output::new("tokens", slot as usize, Expected::Words(vec![token.unwrap_or(0)])),
        Output::new("results", result, Expected::Words(vec![token.unwrap_or(NO_TOKEN)])),
    ];
    if let Some(token) = token {
        let word = slot as usize * inputs.param("seen_words")? + token as usize / 32;
        let seen = inputs.words("seen")?.get(word).copied().unwrap_or(0) | 1 << (token % 32);
        outputs.push(Output::in_place("seen", word, Expected::Words(vec![seen])));
    }
    Ok(outputs)
}

pub(super) fn shortlist(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let stretch = inputs.param("stretch")?;
    let logits = logits_of_row(inputs)?;
    let mut lists = reference::shortlist(logits, stretch, inputs.step.top_k as usize);
    lists.resize(STRETCHES, Vec::new());
    let lengths = lists.iter().map(|list| list.len() as u32).collect();
    let mut outputs = vec![Output::new("lengths", 0, Expected::Words(lengths))];
    for (i, list) in lists.into_iter().enumerate() {
        let words = list.into_iter().flat_map(|(token, logit)| [token, key_of(logit)]).collect();
        outputs.push(Output::new("lists", 2 * i * stretch, Expected::Words(words)));
    }
    Ok(outputs)
}

/// The drawn token, from the lists: the reference's, or a neighbour where the random number falls within rounding of the
/// border between two.
pub(super) fn sample(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    /// What sums of probabilities may be off by.
    const SLACK: f64 = 1e-5;
    let stretch = inputs.param("stretch")?;
    let (lists, lengths) = (inputs.words("lists")?, inputs.words("lengths")?);
    let mut listed = Vec::new();
    for (i, length) in lengths.iter().take(STRETCHES).enumerate() {
        let words = &lists[2 * i * stretch..][..2 * (*length as usize).min(stretch)];
        listed.extend(words.chunks_exact(2).map(|words| (words[0], value_of(words[1]))));
    }
    let step = inputs.step;
    let seed = u64::from(step.seed_high) << 32 | u64::from(step.seed_low);
    let settings = Sample {
        temperature: step.temperature,
        top_k: step.top_k as usize,
        top_p: step.top_p,
        min_p: step.min_p,
        seed,
        draw: step.draw,
    };
    if listed.is_empty() {
        return emitted(inputs, None);
    }
    let values: Vec<f32> = listed.iter().map(|(_, value)| *value).collect();
    let probabilities = reference::probabilities(settings, &values);
    let target = f64::from(reference::random(seed, step.draw));
    let listed = Arc::new((listed, probabilities));
    let may_be = move |token: u32| {
        let (listed, probabilities) = &*listed;
        let Some(place) = listed.iter().position(|(listed, _)| *listed == token) else {
            return Err(format!("the token {token} was not listed"));
        };
        let before: f64 = probabilities[..place].iter().sum();
        let after = before + probabilities[place];
        match probabilities[place] > 0.0 && before - SLACK <= target && target < after + SLACK {
            true => Ok(()),
            false => Err(format!("the token {token} is drawn from {before} to {after}, but the draw is {target}")),
        }
    };
    let (slot, words) = (step.slot as usize, inputs.param("seen_words")?);
    let seen = inputs.words("seen")?[slot * words..][..words].to_vec();
    let (may_be_result, may_be_seen) = (may_be.clone(), may_be.clone());
    let judge_seen = move |words: &[u32]| {
        let bits = |words: &[u32]| {
            (0..32 * words.len() as u32).filter(|i| words[*i as usize / 32] >> (i % 32) & 1 == 1).collect::<Vec<_>>()
        };
        let (before, after) = (bits(&seen), bits(words));
        let added: Vec<u32> = after.iter().filter(|bit| !before.contains(bit)).copied().collect();
        match &added[..] {
            _ if after.len() != before.len() + added.len() => Err("a bit of an earlier token is gone".to_owned()),
            [] if before.iter().any(|token| may_be_seen(*token).is_ok()) => Ok(()),
            [] => Err("the bit of the drawn token is missing".to_owned()),
            [token] => may_be_seen(*token),
            _ => Err(format!("{} bits were set for one token", added.len())),
        }
    };
    let mut seen_output = Output::new("seen", slot * words, Expected::Judged(words, Box::new(judge_seen)));
    seen_output.is_input = true;
    let result = Expected::Judged(1, Box::new(move |words| may_be_result(words[0])));
    Ok(vec![
        Output::new("results", TokenSink::result_word(slot, step.draw), result),
        Output::new("tokens", slot, Expected::Judged(1, Box::new(move |words| may_be(words[0])))),
        seen_output,
        // Scratch.
        Output::new("candidates", 0, Expected::Judged(inputs.words("candidates")?.len(), Box::new(|_| Ok(())))),
    ])
}
