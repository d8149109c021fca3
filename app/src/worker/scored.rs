//! What models of servers might have said in place of the words of their last replies.

use std::collections::VecDeque;

use super::Candidate;
use crate::chats::Id;
use crate::endpoint::TokenLists;

/// The most tokens of all replies whose alternatives are kept, unless one reply has more.
const MAX_TOKENS: usize = 1 << 15;
/// Why there is nothing to show.
const UNKNOWN: &str =
    "The server gave no alternatives here. They are kept for the last replies, until Lapidary is closed.";

/// The alternatives of the last replies' tokens.
#[derive(Default)]
pub(super) struct ScoredReplies(VecDeque<(Id, TokenLists)>);

impl ScoredReplies {
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
        let after = lists.partition_point(|(start, _)| *start <= at);
        let list = after.checked_sub(1).map(|index| lists[index].1.clone());
        list.ok_or_else(|| UNKNOWN.to_owned())
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
    fn a_byte_belongs_to_the_token_that_starts_before_it() {
        let mut replies = ScoredReplies::default();
        replies.add(1, vec![(0, list("a")), (4, list("b"))]);
        assert_eq!([0, 3, 4, 9].map(|at| replies.at(1, at).unwrap()), [list("a"), list("a"), list("b"), list("b")]);
        assert!(replies.at(2, 0).is_err());
    }

    #[test]
    fn the_oldest_replies_are_forgotten() {
        let mut replies = ScoredReplies::default();
        for reply in 0..3 {
            replies.add(reply, (0..MAX_TOKENS / 2).map(|at| (at, list("a"))).collect());
        }
        assert!(replies.at(0, 0).is_err() && replies.at(1, 0).is_ok() && replies.at(2, 0).is_ok());
    }
}
