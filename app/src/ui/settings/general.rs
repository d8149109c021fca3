//! What the program does by itself.

use egui::Ui;

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
        kit::section(ui, "When a chat outgrows the context");
        let overflow = &mut self.state.settings.overflow;
        ui.radio_value(overflow, Overflow::Ask, "Stop, and ask me");
        ui.radio_value(overflow, Overflow::DropOldest, "Leave out the oldest messages, and say so");
    }
}
