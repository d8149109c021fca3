//! Searching the hub and downloading models.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::State;
use crate::hub::HubError;
use crate::hub::downloads::{Command, Downloads, Event, Name, Planned};
use crate::worker::to_sentence;

use super::download::{Download, HubProblem, HubSearch};
use super::hub_token::HubToken;

impl From<HubError> for HubProblem {
    fn from(error: HubError) -> Self {
        Self { sentence: to_sentence(&error.to_string()), wants_token: error.wants_token() }
    }
}

/// What a download would consist of, or why that cannot be told.
pub type PlanResult = Result<Box<Planned>, HubProblem>;

/// What the window knows about models on the hub.
#[derive(Default)]
pub struct Hub {
    downloads: Option<Downloads>,
    plans: HashMap<Name, Option<PlanResult>>,
    /// The downloads of this session, by name.
    pub active: BTreeMap<Name, Download>,
    /// The search.
    pub search: HubSearch,
    /// The models whose terms are shown, before their downloads.
    pub asks_terms: BTreeSet<Name>,
    /// The token for the hub.
    pub token: HubToken,
}

impl Hub {
    /// What a download would consist of; `None` before it was asked for and while it is found out.
    pub fn plan(&self, name: &str) -> Option<&PlanResult> {
        self.plans.get(name)?.as_ref()
    }

    /// Whether a plan was asked for and has not come.
    pub fn is_planning(&self, name: &str) -> bool {
        self.plans.get(name).is_some_and(Option::is_none)
    }

    pub(super) fn send(&mut self, command: Command) {
        if let Some(downloads) = &mut self.downloads {
            downloads.send(command);
        }
    }

    /// Remembers that the person accepts the terms.
    pub(super) fn accept_terms(&self) -> Result<(), String> {
        let accepted = self.downloads.as_ref().map_or(Ok(()), Downloads::accept_terms);
        accepted.map_err(|error| error.to_string())
    }
}

impl State {
    /// Lets the window search the hub and download from it. Without this call it never opens a connection.
    pub fn set_downloads(&mut self, downloads: Downloads) {
        self.hub.downloads = Some(downloads);
    }

    /// Searches the hub for words.
    pub fn search_hub(&mut self, words: &str) {
        self.hub.search = HubSearch { words: words.to_owned(), found: None };
        self.hub.send(Command::Search(words.to_owned()));
    }

    /// Finds out what a download would consist of, and whether the model fits.
    pub fn plan_download(&mut self, name: &str) {
        self.hub.plans.insert(name.to_owned(), None);
        self.hub.send(Command::Plan(name.to_owned()));
    }

    /// Starts a download, or goes on with one. If the model is under terms that were not accepted yet, they are shown first.
    pub fn start_download(&mut self, name: &str) {
        self.hub.active.insert(name.to_owned(), Download::Running(None));
        self.hub.send(Command::Start(name.to_owned()));
    }

    /// Pauses a download, and keeps what came.
    pub fn pause_download(&mut self, name: &str) {
        self.hub.send(Command::Pause(name.to_owned()));
    }

    /// Cancels a download, and deletes what came of files that are not complete.
    pub fn cancel_download(&mut self, name: &str) {
        self.hub.send(Command::Cancel(name.to_owned()));
    }

    /// Handles all waiting events of the hub.
    pub(super) fn tick_downloads(&mut self) {
        while let Some(event) = self.hub.downloads.as_mut().and_then(Downloads::event) {
            self.on_hub_event(event);
        }
    }

    fn on_hub_event(&mut self, event: Event) {
        match event {
            Event::Found(words, found) => {
                if words == self.hub.search.words {
                    self.hub.search.found = Some(found.map_err(HubProblem::from));
                }
            }
            Event::Planned(name, planned) => {
                self.hub.plans.insert(name, Some(planned.map_err(HubProblem::from)));
            }
            Event::Progress(name, progress) => {
                self.hub.active.insert(name, Download::Running(Some(progress)));
            }
            Event::Done(name, _) => {
                self.notify(&format!("{name} is on this machine now."));
                self.hub.active.insert(name, Download::Done);
                self.refresh_lists();
            }
            Event::Paused(name) => {
                self.hub.active.insert(name, Download::Paused);
            }
            Event::Cancelled(name) => {
                self.hub.active.remove(&name);
            }
            Event::Failed(name, HubError::TermsNotAccepted { .. }) => self.ask_for_terms(name),
            Event::Failed(name, error) => self.on_download_failed(name, error.into()),
            Event::Token(source) => self.hub.token.on_source(source),
            Event::LoggedIn(saved) => self.hub.token.on_logged_in(saved),
        }
    }
}
