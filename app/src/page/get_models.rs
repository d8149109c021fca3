//! In place of `ui::get_models`: on a page, models come from the user's disk.

use egui::{Context, Ui};

use super::{App, Purpose, kit};

/// What the part of the page of models keeps.
#[derive(Default)]
pub(super) struct GetModels;

impl App {
    /// Says where models come from. Returns that it does not draw in place of the models here.
    pub(super) fn get_models(&mut self, ui: &mut Ui) -> bool {
        kit::hint(
            ui,
            "A model is a .gguf file on your disk. The page reads it from there whenever it is loaded, and keeps no copy; choose it \
             again after you reload the page.",
        );
        false
    }

    /// The way from the guide to a model.
    pub(super) fn offer_models(&mut self, ui: &mut Ui) {
        if kit::primary(ui, "Open a model").clicked() {
            self.files.prompt_for(Purpose::OpenModel, String::new());
        }
    }

    /// Bytes of the device's memory. Browsers do not tell.
    pub(super) fn device_memory(&self) -> Option<u64> {
        self.state.loaded().and_then(|loaded| loaded.memory.device_memory)
    }

    /// Nothing that the page loads asks for terms.
    pub(super) fn terms_dialog(&mut self, _: &Context) {}

    /// A page has no token.
    pub(super) fn token_settings(&mut self, _: &mut Ui) {}
}
