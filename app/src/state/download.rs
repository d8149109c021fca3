//! A download of a model and a search of the hub, as the window shows them, and what all downloads have in common.

use super::State;
use crate::hub::{Progress, SearchResult};

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

/// A search of the hub.
#[derive(Debug, Default)]
pub struct HubSearch {
    /// The words that were searched for last.
    pub words: String,
    /// What was found; `None` before the first search and while one runs.
    pub found: Option<Result<Vec<SearchResult>, HubProblem>>,
}

impl State {
    /// Accepts the terms that are shown, and starts the downloads that asked for them.
    pub fn accept_terms(&mut self) {
        let names = std::mem::take(&mut self.hub.asks_terms);
        match self.hub.accept_terms() {
            Ok(()) => names.iter().for_each(|name| self.start_download(name)),
            Err(reason) => self.notify_error(&format!("That you accept the terms cannot be kept: {reason}.")),
        }
    }

    /// Shows the terms, which come before a download.
    pub(super) fn ask_for_terms(&mut self, name: String) {
        self.hub.active.remove(&name);
        self.hub.asks_terms.insert(name);
    }

    /// Shows that a download failed.
    pub(super) fn on_download_failed(&mut self, name: String, problem: HubProblem) {
        self.notify_error(&format!("{name}: {}", problem.sentence));
        self.hub.active.insert(name, Download::Failed(problem));
    }
}
