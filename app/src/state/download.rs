//! A download of a model, as the window shows it.

use crate::hub::Progress;

/// A download, as far as the window shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Download {
    /// It runs; `None` until the first report.
    Running(Option<Progress>),
    /// It was paused. What came is kept.
    Paused,
    /// It failed, and why. What came is kept.
    Failed(HubProblem),
    /// It is in the cache.
    Done,
}

/// Why the hub did not give what it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct HubProblem {
    /// The reason, as a sentence.
    pub sentence: String,
    /// Whether a token, or another one, may help.
    pub wants_token: bool,
}
