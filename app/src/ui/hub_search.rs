//! What a search of the hub found.

use egui::Ui;

use super::{App, kit};
use crate::hub::SearchResult;

impl App {
    /// The repositories that were found, each with its own card.
    pub(super) fn search_results(&mut self, ui: &mut Ui) {
        let words = self.state.hub.search.words.clone();
        if kit::ghost(ui, "Back to the catalogue").clicked() {
            self.state.hub.search.words.clear();
            self.get_models.words.clear();
            return;
        }
        if words.contains('/') {
            self.repository_card(ui, &words, "what you named");
        }
        let mut problem = None;
        match &self.state.hub.search.found {
            None => {
                kit::working(ui);
            }
            Some(Err(reason)) => problem = Some(reason.clone()),
            Some(Ok(found)) if found.is_empty() => {
                kit::hint(ui, "The hub has no model of that name that holds GGUF or safetensors files.");
            }
            Some(Ok(found)) => {
                let rows: Vec<_> = found.iter().map(|found| (found.repo.to_string(), note(found))).collect();
                for (name, note) in rows {
                    self.repository_card(ui, &name, &note);
                }
            }
        }
        self.hub_problem(ui, "search", problem);
    }
}

fn note(found: &SearchResult) -> String {
    let kinds = [(found.gguf, "GGUF"), (found.safetensors, "safetensors")];
    let kinds: Vec<&str> = kinds.iter().filter(|(has, _)| *has).map(|(_, kind)| *kind).collect();
    let gate = if found.gated { ", asks for an account" } else { "" };
    format!("{}, {} downloads a month{gate}", kinds.join(" and "), kit::with_thousands(found.downloads as usize))
}
