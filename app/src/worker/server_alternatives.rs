//! What models of servers might have said in place of the words of their last replies.

use std::collections::VecDeque;

use super::Candidate;
use crate::chats::Id;
use crate::endpoint::TokenLists;

/// The most tokens of all replies whose alternatives are kept, unless one reply has more.
const MAX_TOKENS: usize = 1 << 15;
/// Why there is nothing to show.
const UNKNOWN: &str =
    "There are none for this word: servers' alternatives are kept for their last replies, until Lapidary is closed.";

/// The alternatives of the last replies' tokens.
#[derive(Default)]
pub(super) struct ServerAlternatives(VecDeque<(Id, TokenLists)>);

impl ServerAlternatives {
    /// Keeps those of a reply, and forgets the oldest.
    pub(super) fn add(&mut self, reply: Id, lists: TokenLists) {
        if lists.is_empty() {
            return;
        }
        self.0.push_back((reply, lists));
        while self.0.len() > 1 && self.0.iter().map(|(_, lists)| lists.len()).sum::<usize>() > MAX_TOKENS {
            self.0.pop_front();
        }
    }

    /// Those of the token at a byte of a reply, or why there are none, as a sentence.
    pub(super) fn at(&self, reply: Id, at: usize) -> Result<Vec<Candidate>, String> {
        let lists = self.0.iter().find(|(id, _)| *id == reply).map(|(_, lists)| lists.as_slice()).unwrap_or_default();
        let after = lists.partition_point(|(token, _)| token.start <= at);
        let last = after.checked_sub(1).map(|index| &lists[index]);
        let found = last.filter(|(token, _)| token.contains(&at));
        found.map(|(_, list)| list.clone()).ok_or_else(|| UNKNOWN.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::NextToken;
    use super::*;

    fn list(name: &str) -> Vec<Candidate> {
        vec![(NextToken::Text(name.into()), 1.0)]
    }

    #[test]
    fn only_the_bytes_of_a_token_have_its_alternatives() {
        let mut alternatives = ServerAlternatives::default();
        alternatives.add(1, vec![(0..4, list("a")), (4..6, list("b")), (8..9, list("c"))]);
        let known = [(0, "a"), (3, "a"), (4, "b"), (5, "b"), (8, "c")];
        assert!(known.iter().all(|(at, name)| alternatives.at(1, *at) == Ok(list(name))));
        assert!([6, 7, 9, 99].iter().all(|at| alternatives.at(1, *at).is_err()));
        assert!(alternatives.at(2, 0).is_err());
    }

    #[test]
    fn the_oldest_replies_are_forgotten() {
        let mut alternatives = ServerAlternatives::default();
        for reply in 0..3 {
            alternatives.add(reply, (0..MAX_TOKENS / 2).map(|at| (at..at + 1, list("a"))).collect());
        }
        assert!(alternatives.at(0, 0).is_err() && alternatives.at(1, 0).is_ok() && alternatives.at(2, 0).is_ok());
    }
}
