//! In place of `state::downloads`: downloading models into the browser's own file system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::State;
use super::download::{Download, HubProblem, HubSearch};
use crate::hub::{Name, endpoint, terms};
use crate::page::download_handle::{Downloads, Event};
use crate::page::download_worker::{Order, Report};
use crate::page::opfs;

/// What the window knows about models on the hub.
#[derive(Default)]
pub struct Hub {
    downloads: Option<Downloads>,
    /// The downloads of this session, those that earlier ones left, and the models that are here, by name.
    pub active: BTreeMap<Name, Download>,
    /// The search.
    pub search: HubSearch,
    /// The models whose terms are shown, before their downloads.
    pub asks_terms: BTreeSet<Name>,
}

impl Hub {
    fn send(&mut self, order: Order) {
        if let Some(downloads) = &mut self.downloads {
            downloads.send(&order);
        }
    }

    /// Remembers that the person accepts the terms.
    pub(super) fn accept_terms(&self) -> Result<(), String> {
        opfs::accept(terms::TERMS)
    }
}

impl State {
    /// Lets the window download models, and lists those that the browser keeps.
    pub(crate) fn set_downloads(&mut self, downloads: Downloads) {
        self.hub.downloads = Some(downloads);
    }

    /// Searches the hub for words.
    pub fn search_hub(&mut self, words: &str) {
        self.hub.search = HubSearch { words: words.to_owned(), found: None };
        if let Some(downloads) = &self.hub.downloads {
            downloads.search(words.to_owned(), endpoint());
        }
    }

    /// Starts a download, or goes on with one. If the model is under terms that were not accepted yet, they are shown first.
    pub fn start_download(&mut self, name: &str) {
        let (name, hub, accepted) = (name.to_owned(), endpoint(), opfs::has_accepted(terms::TERMS));
        self.hub.active.insert(name.clone(), Download::Running(None));
        self.hub.send(Order::Start { name, hub, accepted });
    }

    /// Pauses a download, and keeps what came.
    pub fn pause_download(&mut self, name: &str) {
        self.hub.send(Order::Pause(name.to_owned()));
    }

    /// Cancels a download, and deletes what came.
    pub fn cancel_download(&mut self, name: &str) {
        self.hub.send(Order::Cancel(name.to_owned()));
    }

    /// Deletes a model that the browser keeps. If it is loaded, it stays so.
    pub fn delete_stored_model(&mut self, path: &Path) {
        if let Some(downloads) = &self.hub.downloads {
            downloads.delete(path);
        }
    }

    /// Handles all waiting events of the downloads.
    pub(super) fn tick_downloads(&mut self) {
        while let Some(event) = self.hub.downloads.as_mut().and_then(Downloads::event) {
            match event {
                Event::Report(report) => self.on_report(report),
                Event::Listed(listed) => {
                    self.hub.active.retain(|_, download| !matches!(download, Download::Done));
                    for (name, is_complete) in listed {
                        let download = self.hub.active.entry(name).or_insert(Download::Done);
                        // Also where an older version is complete.
                        if !is_complete && matches!(download, Download::Done) {
                            *download = Download::Paused;
                        }
                    }
                    self.refresh_lists();
                }
                Event::Found(words, found) => {
                    if words == self.hub.search.words {
                        let problem = |sentence| HubProblem { sentence, wants_token: false };
                        self.hub.search.found = Some(found.map_err(problem));
                    }
                }
                Event::Deleted(_, Ok(())) => {}
                Event::Deleted(path, Err(reason)) => {
                    self.notify_error(&format!("{} cannot be deleted: {reason}.", path.display()));
                }
            }
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Progress(name, progress) => {
                self.hub.active.insert(name, Download::Running(Some(progress)));
            }
            Report::Done(name) => {
                self.notify(&format!("{name} is on this machine now."));
                self.hub.active.insert(name, Download::Done);
            }
            Report::Paused(name) => {
                self.hub.active.insert(name, Download::Paused);
            }
            Report::Cancelled(name) => {
                self.hub.active.remove(&name);
            }
            Report::AsksTerms(name) => self.ask_for_terms(name),
            Report::Failed(name, sentence) => {
                self.on_download_failed(name, HubProblem { sentence, wants_token: false });
            }
        }
    }
}
