//! What is done with a session: replies, alternatives, a profile.

use std::collections::HashMap;

use lapidary_engine::template::{self, Turn};
use lapidary_engine::tokenizer::{TextStream, Tokenizer};
use lapidary_engine::{Error, Result, Sampling, Session};

use super::engine::{Say, Shared};
use super::{Event, Likely, Next, Overflow};
use crate::chats::{Id, Role};

/// Tokens that a reply should have room for before old turns are dropped.
const ROOM: usize = 256;
/// Alternatives that are shown.
const ALTERNATIVES: usize = 10;

/// What a model is told.
pub(super) struct Told {
    pub(super) turns: Vec<(Role, String)>,
    pub(super) system: String,
}

impl Told {
    fn ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let role = |role| match role {
            Role::User => template::Role::User,
            Role::Model => template::Role::Model,
        };
        let turns: Vec<Turn> =
            self.turns.iter().map(|(who, text)| Turn { role: role(*who), text: text.clone() }).collect();
        template::render(tokenizer, Some(&self.system), &turns)
    }

    /// The ids without as many of the oldest questions and their replies as it takes for them to fit, and how many messages
    /// that were. The last question stays in any case.
    fn fit(&self, tokenizer: &Tokenizer, shared: &Shared, most: usize) -> Result<(Vec<u32>, usize)> {
        let all = self.ids(tokenizer)?;
        if all.len() <= most {
            return Ok((all, 0));
        }
        let without = |pairs: usize| Self { turns: self.turns[2 * pairs..].to_vec(), system: self.system.clone() };
        // Leaving out more makes it shorter, so the least that is enough is found by halves.
        let (mut too_few, mut enough) = (0, self.turns.len().saturating_sub(1) / 2);
        while too_few + 1 < enough {
            if shared.stopped() {
                return Err(Error::Cancelled);
            }
            let half = (too_few + enough) / 2;
            if without(half).ids(tokenizer)?.len() <= most { enough = half } else { too_few = half }
        }
        Ok((without(enough).ids(tokenizer)?, 2 * enough))
    }
}

/// Answers, and says so piece by piece.
pub(super) fn reply(
    session: &mut Session,
    shared: &Shared,
    say: &Say,
    reply: Id,
    told: &Told,
    sampling: &Sampling,
    overflow: Overflow,
) -> Result<()> {
    let engine = session.engine().clone();
    let tokenizer = engine.tokenizer()?.clone();
    let context = engine.context();
    let (ids, left_out) = match overflow {
        Overflow::DropOldest => told.fit(&tokenizer, shared, context - ROOM.min(context / 4))?,
        Overflow::Ask => (told.ids(&tokenizer)?, 0),
    };
    if ids.len() >= context {
        return Err(Error::ContextFull { tokens: ids.len(), context });
    }
    if left_out > 0 {
        say.event(Event::LeftOut(reply, left_out));
    }
    let mut stream = TextStream::new(tokenizer);
    let mut generation = session.generate(&ids, sampling)?;
    let end = loop {
        match shared.wait(generation.next()) {
            Ok(Some(id)) => {
                if let Some(piece) = stream.push(id)? {
                    say.event(Event::Piece(reply, piece));
                }
            }
            Ok(None) | Err(Error::Cancelled) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let rest = stream.finish();
    if !rest.is_empty() {
        say.event(Event::Piece(reply, rest));
    }
    let (finish, timings) = (generation.finish(), generation.timings());
    end?;
    say.event(Event::Ended { reply, finish, timings });
    Ok(())
}

/// The likeliest tokens after what was said, with their probabilities at temperature 1.
pub(super) fn alternatives(session: &mut Session, shared: &Shared, told: &Told) -> Result<Vec<Likely>> {
    let engine = session.engine().clone();
    let tokenizer = engine.tokenizer()?;
    let ids = told.ids(tokenizer)?;
    let logits = shared.wait(session.next_logits(&ids))?;
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let mut list = Vec::new();
    for id in order.into_iter().take(ALTERNATIVES) {
        let share = (f64::from(logits[id] - highest).exp() / sum) as f32;
        let next = if engine.stop_ids().contains(&(id as u32)) {
            Next::End
        } else {
            // Not `decode`, which may drop a space at the start.
            let Some(piece) = tokenizer.piece(id as u32) else { continue };
            if tokenizer.is_control(id as u32) || is_byte(&piece) {
                Next::Piece(piece)
            } else {
                Next::Text(piece.replace('▁', " "))
            }
        };
        list.push((next, share));
    }
    Ok(list)
}

/// Whether a piece is a byte of a letter, as `<0xE2>`.
fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Kernels, how often they run for a token, and their milliseconds, the longest first.
pub(super) fn profile(session: &mut Session, shared: &Shared) -> Result<Vec<(&'static str, usize, f64)>> {
    let mut kernels: HashMap<&'static str, (usize, f64)> = HashMap::new();
    for (kernel, ms) in shared.wait(session.profile())? {
        let entry = kernels.entry(kernel).or_default();
        entry.0 += 1;
        entry.1 += ms;
    }
    let mut list: Vec<_> = kernels.into_iter().map(|(kernel, (count, ms))| (kernel, count, ms)).collect();
    list.sort_by(|a, b| b.2.total_cmp(&a.2));
    Ok(list)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::guide;

    #[test]
    fn bytes_are_known_by_their_names() {
        assert!(is_byte("<0xE2>") && is_byte("<0x0A>"));
        for text in ["<0x>", "<0xE>", "<0xGG>", "<div>", "0xE2", ""] {
            assert!(!is_byte(text), "{text}");
        }
    }

    #[test]
    fn as_few_of_the_oldest_turns_are_left_out_as_it_takes() {
        let files = guide::files().unwrap();
        let tokenizer = Tokenizer::load(files.tokenizer(), files.config().vocab_size).unwrap();
        let shared = Shared::default();
        shared.current.store(1, Ordering::SeqCst);
        let turns = (0..41).map(|i| {
            let role = if i % 2 == 0 { Role::User } else { Role::Model };
            (role, "some words ".repeat(1 + i % 7))
        });
        let told = Told { turns: turns.collect(), system: "Be brief.".into() };
        let all = told.ids(&tokenizer).unwrap().len();
        for most in [0, 40, all / 3, all / 2, all - 1, all] {
            let without = |pairs: usize| {
                let rest = Told { turns: told.turns[2 * pairs..].to_vec(), system: told.system.clone() };
                rest.ids(&tokenizer).unwrap()
            };
            let pairs = (0..20).find(|pairs| without(*pairs).len() <= most).unwrap_or(20);
            assert_eq!(told.fit(&tokenizer, &shared, most).unwrap(), (without(pairs), 2 * pairs), "{most} of {all}");
        }
    }
}
