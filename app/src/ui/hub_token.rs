//! The field for the hub's token: in the settings, and below a refusal that a token may change.

use egui::{RichText, Ui, vec2};

use super::colours::Colours;
use super::{App, kit};
use crate::hub::{DEFAULT_ENDPOINT, TokenSource};

impl App {
    /// Draws what the settings show about the token.
    pub(super) fn token_settings(&mut self, ui: &mut Ui) {
        kit::section(ui, "Hugging Face token");
        self.state.look_for_token();
        let text = match &self.state.hub.token.source {
            None => String::new(),
            Some(None) => "None is saved. Most models need none.".to_owned(),
            Some(Some(TokenSource::Saved)) => "One is saved.".to_owned(),
            Some(Some(TokenSource::Variable(name))) => {
                format!("The variable {name} holds one, which wins over one that is saved here.")
            }
            Some(Some(TokenSource::File(path))) => {
                format!("That of Hugging Face's own programs is used: {}", path.display())
            }
        };
        if !text.is_empty() {
            kit::hint(ui, text);
        }
        if self.state.hub.token.source == Some(Some(TokenSource::Saved)) {
            let button = ui.add_enabled(!self.state.hub.token.busy, egui::Button::new("Forget it"));
            if button.accessible_name("Forget the Hugging Face token").clicked() {
                self.state.log_out();
            }
        }
        self.token_form(ui, "settings");
    }

    /// Draws the field, with what it is for. `place` tells it from the others that are shown: what is above a field changes, and
    /// it keeps its focus.
    pub(super) fn token_form(&mut self, ui: &mut Ui, place: &str) {
        let colours = Colours::of(ui.visuals());
        let busy = self.state.hub.token.busy;
        kit::hint(
            ui,
            "Some models are only for accounts of the hub that accepted their terms. A token with read access tells the hub which \
             account asks. It goes to the hub alone, and is kept in the system's key store, or else in a file that only you can \
             read.",
        );
        ui.hyperlink_to("Create a token", format!("{DEFAULT_ENDPOINT}/settings/tokens"));
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 110.0).max(80.0);
            let field = egui::TextEdit::singleline(&mut self.get_models.token).password(true).hint_text("hf_…");
            let field = field.id(egui::Id::unique(("hub token", place)));
            let field =
                ui.add(field.desired_width(width).margin(vec2(10.0, 8.0))).accessible_name("Hugging Face token");
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let ready = !busy && !self.get_models.token.trim().is_empty();
            let save = kit::primary_if(ui, ready, "Save").accessible_name("Save the token");
            if save.clicked() || (entered && ready) {
                // The token is not kept here longer than needed.
                let token = std::mem::take(&mut self.get_models.token);
                self.state.log_in(&token);
            }
            if busy {
                kit::working(ui);
            }
        });
        match &self.state.hub.token.outcome {
            None => {}
            Some(Ok(text)) => {
                ui.label(RichText::new(text).size(13.0).color(colours.ok));
            }
            Some(Err(reason)) => {
                ui.label(RichText::new(reason).size(13.0).color(colours.danger));
            }
        }
    }
}
