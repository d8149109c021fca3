//! What the program does by itself.

use egui::Ui;

use crate::IS_PAGE;
use crate::ui::{App, Page, kit};
use crate::worker::Overflow;

impl App {
    pub(super) fn general_page(&mut self, ui: &mut Ui) {
        kit::section(ui, "Model");
        let name = self.model_name();
        kit::setting(ui, &name, "The model that answers.", |ui| {
            if ui.button("Choose…").accessible_name("Choose a model").clicked() {
                self.show_page(Page::Models);
            }
        });
        kit::section(ui, "Titles");
        kit::setting(ui, "Titles of chats", "Until then, and with the guide, the first line is the title.", |ui| {
            ui.checkbox(&mut self.state.settings.model_titles, "Let the model write them");
        });
        if !IS_PAGE {
            self.background_setting(ui);
        }
        kit::section(ui, "When a chat outgrows the context");
        let overflow = &mut self.state.settings.overflow;
        ui.radio_value(overflow, Overflow::Ask, "Stop, and ask me");
        ui.radio_value(overflow, Overflow::DropOldest, "Leave out the oldest messages, and say so");
        self.token_settings(ui);
    }

    /// Whether the end of a reply is told while the window is in the background.
    fn background_setting(&mut self, ui: &mut Ui) {
        kit::section(ui, "In the background");
        let explanation = if self.desktop_note.is_some() {
            "A note of the desktop names the chat."
        } else {
            "The window asks for attention."
        };
        kit::setting(ui, "Replies that end meanwhile", explanation, |ui| {
            ui.checkbox(&mut self.state.settings.notify_replies, "Tell me");
        });
    }
}
