//! Messages above the conversation that stay until their cause is gone.

use egui::{RichText, Ui};

use super::colours::Colours;
use super::{App, Page, Purpose, SettingsPage};
use crate::state::Model;
use crate::worker::Remedy;

impl App {
    pub(super) fn banners(&mut self, ui: &mut Ui) {
        let colours = Colours::of(ui.visuals());
        let bad = colours.danger;
        if self.state.store_ended {
            let text = "Chats are not saved any more: the thread that writes them has ended. Copy what you want to keep, and start Lapidary \
                        again.";
            ui.label(RichText::new(text).color(bad));
        } else if let Some(Err(reason)) = &self.state.opened {
            let reason = reason.trim_end_matches('.');
            let text = format!("{reason}. You can chat, but nothing will be saved. Export what you want to keep.");
            ui.label(RichText::new(text).color(bad));
        }
        if let Some(reason) = self.state.cannot_save.as_ref().filter(|_| !self.state.store_ended) {
            let text = format!(
                "Chats cannot be saved at present ({reason}). Make room on the disk; Lapidary keeps trying, and loses nothing while it runs."
            );
            ui.label(RichText::new(text).color(bad));
        }
        let loaded = self.state.loaded().filter(|_| self.page == Page::Chat && !self.state.is_plain());
        if let Some(problem) = loaded.and_then(|loaded| loaded.chat_problem.clone()) {
            ui.horizontal_wrapped(|ui| {
                ui.label(RichText::new(problem).color(colours.warn));
                if ui.button("Continue texts instead").clicked() {
                    self.state.set_plain(true);
                }
            });
            ui.add_space(4.0);
        }
        let failed = match &self.state.model {
            Model::Failed(problem) => Some(problem.clone()),
            _ => None,
        };
        if let Some(problem) = failed {
            let cancelled = problem.remedy == Remedy::Resume;
            let colour = if cancelled { colours.weak } else { bad };
            ui.label(RichText::new(&problem.sentence).color(colour));
            ui.horizontal_wrapped(|ui| {
                let again = match problem.remedy {
                    Remedy::Reload => "Load the model again",
                    Remedy::Resume => "Load it after all",
                    _ => "Try again",
                };
                if problem.remedy == Remedy::Driver {
                    ui.label("A newer graphics driver may help, or another adapter in the settings.");
                    if ui.button("Settings…").clicked() {
                        self.show_settings(SettingsPage::Hardware);
                    }
                }
                if problem.remedy == Remedy::ReduceMemory && ui.button("Choose smaller weights or context…").clicked()
                {
                    self.show_page(Page::Models);
                }
                if problem.remedy == Remedy::OtherFile && ui.button("Open another model…").clicked() {
                    self.files.prompt_for(Purpose::OpenModel, String::new());
                }
                if ui.button(again).clicked() {
                    self.state.reload();
                }
                let other = self.state.requested_model().is_some() || self.state.requested_server().is_some();
                if other && ui.button("Use the guide").clicked() {
                    self.state.load_model(None);
                }
            });
            ui.add_space(4.0);
        }
    }
}
