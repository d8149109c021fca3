//! Work on a session: replies, alternatives and profiles.

use std::collections::HashMap;

use lapidary_engine::template::{self, Turn};
use lapidary_engine::tokenizer::{Tokenizer, byte_of};
use lapidary_engine::{Error, Result, Sampling, Session};

use super::event_sender::EventSender;
use super::stop::StopSignal;
use super::{Candidate, Event, NextToken, Overflow};
use crate::chat_ability::completion_ids;
use crate::chats::{Id, Role};

/// Tokens of context kept free for the reply when old turns are dropped.
const REPLY_RESERVE: usize = 256;
/// Tokens that are listed as alternatives.
pub(super) const MAX_CANDIDATES: usize = 10;

/// The input of a model: a system prompt and turns, or a plain text that is continued.
pub(super) struct Prompt {
    pub(super) turns: Vec<(Role, String)>,
    pub(super) system: String,
    /// Whether the texts of the turns are one text.
    pub(super) plain: bool,
}

impl Prompt {
    fn ids(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        if self.plain {
            return completion_ids(tokenizer, &self.text());
        }
        let role = |role| match role {
            Role::User => template::Role::User,
            Role::Model => template::Role::Model,
        };
        let turns: Vec<Turn> =
            self.turns.iter().map(|(who, text)| Turn { role: role(*who), text: text.clone() }).collect();
        template::render(tokenizer, Some(&self.system), &turns)
    }

    /// The texts of all turns as one text, in which each question begins a new line.
    fn text(&self) -> String {
        let mut text = String::new();
        for (role, said) in &self.turns {
            if *role == Role::User && !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(said);
        }
        text
    }

    /// The token ids after dropping the fewest oldest pairs of question and reply for which they fit `max_tokens`, and
    /// the number of messages dropped. The last question is always kept.
    fn fit_context(&self, tokenizer: &Tokenizer, signal: &StopSignal, max_tokens: usize) -> Result<(Vec<u32>, usize)> {
        let all = self.ids(tokenizer)?;
        if all.len() <= max_tokens {
            return Ok((all, 0));
        }
        let without = |pairs: usize| Self {
            turns: self.turns[2 * pairs..].to_vec(),
            system: self.system.clone(),
            plain: self.plain,
        };
        // The length falls with each pair dropped, so a binary search finds the fewest pairs.
        let (mut not_enough, mut enough) = (0, self.turns.len().saturating_sub(1) / 2);
        while not_enough + 1 < enough {
            if signal.is_stopped() {
                return Err(Error::Cancelled);
            }
            let half = (not_enough + enough) / 2;
            if without(half).ids(tokenizer)?.len() <= max_tokens { enough = half } else { not_enough = half }
        }
        Ok((without(enough).ids(tokenizer)?, 2 * enough))
    }
}

/// Generates a reply and sends its text as it grows.
pub(super) async fn reply(
    session: &mut Session,
    signal: &StopSignal,
    sender: &EventSender,
    reply: Id,
    prompt: &Prompt,
    sampling: &Sampling,
    overflow: Overflow,
) -> Result<()> {
    let engine = session.engine().clone();
    let tokenizer = engine.tokenizer()?.clone();
    let context = engine.context();
    let (ids, dropped) = match overflow {
        Overflow::DropOldest => prompt.fit_context(&tokenizer, signal, context - REPLY_RESERVE.min(context / 4))?,
        Overflow::Ask => (prompt.ids(&tokenizer)?, 0),
    };
    if ids.len() >= context {
        return Err(Error::ContextFull { tokens: ids.len(), context });
    }
    if dropped > 0 {
        sender.send(Event::TurnsDropped(reply, dropped));
    }
    let mut generation = session.generate_text(&ids, sampling)?;
    let end = loop {
        match signal.wait(generation.next()).await {
            Ok(Some(piece)) => sender.send(Event::ReplyText(reply, piece)),
            Ok(None) | Err(Error::Cancelled) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Some(rest) = generation.rest() {
        sender.send(Event::ReplyText(reply, rest));
    }
    let (finish, timings) = (generation.finish(), generation.timings());
    end?;
    sender.send(Event::Ended { reply, finish, timings });
    Ok(())
}

/// The most probable next tokens after a prompt, with their probabilities at temperature 1.
pub(super) async fn alternatives(
    session: &mut Session,
    signal: &StopSignal,
    prompt: &Prompt,
) -> Result<Vec<Candidate>> {
    let engine = session.engine().clone();
    let tokenizer = engine.tokenizer()?;
    let ids = prompt.ids(tokenizer)?;
    let logits = signal.wait(session.next_logits(&ids)).await?;
    // A damaged model can give others, which have no probability.
    let mut by_logit: Vec<usize> = (0..logits.len()).filter(|id| logits[*id].is_finite()).collect();
    let highest = by_logit.iter().map(|id| logits[*id]).fold(f32::NEG_INFINITY, f32::max);
    if by_logit.is_empty() {
        return Err(Error::NoToken { model: engine.name().to_owned() });
    }
    let sum: f64 = by_logit.iter().map(|id| f64::from(logits[*id] - highest).exp()).sum();
    by_logit.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let mut list = Vec::new();
    for id in by_logit.into_iter().take(MAX_CANDIDATES) {
        let probability = (f64::from(logits[id] - highest).exp() / sum) as f32;
        let next = if engine.stop_ids().contains(&(id as u32)) {
            NextToken::End
        } else {
            // Not `decode`, which may drop a leading space.
            let Some(piece) = tokenizer.piece(id as u32) else { continue };
            if tokenizer.is_control(id as u32) || byte_of(&piece).is_some() {
                NextToken::NonText(piece)
            } else {
                NextToken::Text(piece.replace('▁', " "))
            }
        };
        list.push((next, probability));
    }
    Ok(list)
}

/// Per kernel: its name, and its dispatches and milliseconds per token, the slowest first.
pub(super) async fn profile(session: &mut Session, signal: &StopSignal) -> Result<Vec<(String, usize, f64)>> {
    let mut kernels: HashMap<&'static str, (usize, f64)> = HashMap::new();
    for (kernel, ms) in signal.wait(session.profile()).await? {
        let entry = kernels.entry(kernel).or_default();
        entry.0 += 1;
        entry.1 += ms;
    }
    let mut list: Vec<_> = kernels.into_iter().map(|(kernel, (count, ms))| (kernel.to_owned(), count, ms)).collect();
    list.sort_by(|a, b| b.2.total_cmp(&a.2));
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide;

    #[test]
    fn a_plain_text_is_continued_where_it_ends() {
        let turn = |role, text: &str| (role, text.to_owned());
        let turns = vec![
            turn(Role::User, "Once upon a time"),
            turn(Role::Model, ", there was a king."),
            turn(Role::User, "He had"),
        ];
        let prompt = Prompt { turns, system: String::new(), plain: true };
        assert_eq!(prompt.text(), "Once upon a time, there was a king.\nHe had");
    }

    #[test]
    fn the_fewest_oldest_turns_are_dropped() {
        let files = guide::files().unwrap();
        let tokenizer = Tokenizer::load(files.tokenizer(), files.config().vocab_size).unwrap();
        let signal = StopSignal::default();
        let turns = (0..41).map(|i| {
            let role = if i % 2 == 0 { Role::User } else { Role::Model };
            (role, "some words ".repeat(1 + i % 7))
        });
        let prompt = Prompt { turns: turns.collect(), system: "Be brief.".into(), plain: false };
        let all = prompt.ids(&tokenizer).unwrap().len();
        for max_tokens in [0, 40, all / 3, all / 2, all - 1, all] {
            let without = |pairs: usize| {
                let turns = prompt.turns[2 * pairs..].to_vec();
                let rest = Prompt { turns, system: prompt.system.clone(), plain: false };
                rest.ids(&tokenizer).unwrap()
            };
            let pairs = (0..20).find(|pairs| without(*pairs).len() <= max_tokens).unwrap_or(20);
            assert_eq!(
                prompt.fit_context(&tokenizer, &signal, max_tokens).unwrap(),
                (without(pairs), 2 * pairs),
                "{max_tokens} of {all}"
            );
        }
    }
}
