//! What is done with a session: replies, alternatives, a profile.

use std::collections::HashMap;

use lapidary_engine::template::{self, Turn};
use lapidary_engine::tokenizer::{TextStream, Tokenizer};
use lapidary_engine::{Error, Result, Sampling, Session};

use super::engine::{Say, Shared};
use super::{Event, Likely, Overflow};
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

    /// Leaves out the oldest question with its reply; false where only the last is left.
    fn drop_oldest(&mut self) -> bool {
        if self.turns.len() <= 2 {
            return false;
        }
        self.turns.drain(..2);
        true
    }
}

/// Answers, and says so piece by piece.
pub(super) fn reply(
    session: &mut Session,
    shared: &Shared,
    say: &Say,
    reply: Id,
    mut told: Told,
    sampling: &Sampling,
    overflow: Overflow,
) -> Result<()> {
    let engine = session.engine().clone();
    let tokenizer = engine.tokenizer()?.clone();
    let mut ids = told.ids(&tokenizer)?;
    let context = engine.context();
    let before = told.turns.len();
    if overflow == Overflow::DropOldest {
        let room = ROOM.min(context / 4);
        while ids.len() + room > context && told.drop_oldest() {
            ids = told.ids(&tokenizer)?;
        }
    }
    if ids.len() >= context {
        return Err(Error::ContextFull { tokens: ids.len(), context });
    }
    if told.turns.len() < before {
        say.event(Event::LeftOut(reply, before - told.turns.len()));
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
        let text = if engine.stop_ids().contains(&(id as u32)) {
            None
        } else {
            // Not `decode`, which may drop a space at the start.
            let Some(piece) = tokenizer.piece(id as u32) else { continue };
            Some(piece.replace('▁', " "))
        };
        list.push((text, share));
    }
    Ok(list)
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
