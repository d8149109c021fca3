//! The model for other programs on this machine.

use egui::{RichText, Ui, vec2};

use crate::ui::colours::Colours;
use crate::ui::{App, icons, kit};

/// Ports below are the system's.
const PORTS: std::ops::RangeInclusive<u16> = 1024..=u16::MAX;

impl App {
    pub(super) fn serving_page(&mut self, ui: &mut Ui) {
        ui.add_space(8.0);
        ui.label(
            "Programs on this machine that speak OpenAI's API, such as editors and scripts, can use the model that is loaded here, \
             beside your chats. Other machines cannot; lapidary serve is for them.",
        );
        kit::section(ui, "Server");
        kit::setting(ui, "Let programs use the model", "Also from the next start on, until you turn it off.", |ui| {
            kit::named(ui.checkbox(&mut self.state.settings.serves, "On"), "Serve the model");
        });
        let mut changing = false;
        kit::setting(ui, "Port", "A number that no other program uses.", |ui| {
            let port = egui::DragValue::new(&mut self.state.settings.serving_port).range(PORTS).speed(1);
            let port = ui.add(port.update_while_editing(false)).accessible_name("Port of the server");
            changing = port.dragged() || port.has_focus();
        });
        // A new start breaks connections.
        if !changing {
            self.state.serve_as_set();
        }
        self.serving_state(ui);
        if self.state.settings.serves {
            self.serving_key(ui);
        }
        self.answers(ui);
    }

    /// Where programs find the model, or why they do not.
    fn serving_state(&self, ui: &mut Ui) {
        let colours = Colours::of(ui.visuals());
        match &self.state.serving.served {
            _ if !self.state.settings.serves => {}
            Some(Ok(served)) => {
                ui.horizontal(|ui| {
                    ui.label(RichText::new(&served.address).monospace().color(colours.ok));
                    if kit::icon_button(ui, icons::COPY, "Copy the address of the server").clicked() {
                        ui.copy_text(served.address.clone());
                    }
                });
            }
            Some(Err(reason)) => {
                ui.label(RichText::new(reason).color(colours.danger));
            }
            None if self.state.used_server().is_some() => {
                kit::hint(ui, "A model of a server answers at present. Choose a model on this machine.");
            }
            None => {
                kit::hint(ui, "It begins as soon as a model is loaded.");
            }
        }
    }

    fn serving_key(&mut self, ui: &mut Ui) {
        let has_key = self.state.serving.served.as_ref().and_then(|served| Some(served.as_ref().ok()?.has_key));
        kit::section(ui, "Key");
        let explanation = match has_key {
            Some(true) => "Programs need the key that you saved.",
            Some(false) => {
                "Programs need no key. One keeps out other users of this machine, and programs that you did not give it."
            }
            None => "A key keeps out other users of this machine, and programs that you did not give it.",
        };
        kit::hint(ui, explanation);
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 180.0).max(80.0);
            let field = egui::TextEdit::singleline(&mut self.serving_key).password(true).hint_text("A new key");
            let field = ui.add(field.desired_width(width).margin(vec2(10.0, 8.0))).accessible_name("Key of the server");
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let ready = !self.serving_key.trim().is_empty();
            let save = kit::primary_if(ui, ready, "Save").accessible_name("Save the key of the server");
            if save.clicked() || (entered && ready) {
                // The key is not kept here longer than needed.
                let key = std::mem::take(&mut self.serving_key);
                self.state.save_serving_key(&key);
            }
            if has_key != Some(false)
                && kit::ghost(ui, "Remove").accessible_name("Remove the key of the server").clicked()
            {
                self.state.save_serving_key("");
            }
        });
    }

    /// The newest answers, the newest first.
    fn answers(&self, ui: &mut Ui) {
        if self.state.serving.answers.is_empty() {
            return;
        }
        kit::section(ui, "Requests");
        for line in self.state.serving.answers.iter().rev() {
            ui.label(RichText::new(line).monospace().size(12.5));
        }
    }
}
