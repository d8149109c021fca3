//! What a request for replies asks for.

use lapidary_engine::Sampling;

use super::bias::Biases;
use super::grammar::Grammar;

/// Which API a request is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Chat,
    Completion,
}

/// A request that was read and checked.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// Token ids. Each prompt has at least one, and fits the context.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Replies per prompt.
    pub(super) n: usize,
    /// The seed is of a prompt's first reply; each further one has the next seed.
    pub(super) sampling: Sampling,
    pub(super) biases: Biases,
    /// What the reply must be, if not any text.
    pub(super) grammar: Option<Grammar>,
    pub(super) stops: Vec<String>,
    /// Alternatives to list at each position; `None` without log-probabilities.
    pub(super) logprobs: Option<usize>,
    /// The text of each prompt, if it is to be repeated before the reply.
    pub(super) echo: Vec<String>,
    pub(super) stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub(super) include_usage: bool,
}

impl Request {
    /// How many replies it has in all. Reply `i` belongs to prompt `i / n`.
    pub(super) fn choices(&self) -> usize {
        self.prompts.len() * self.n
    }
}
