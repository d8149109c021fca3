//! What is stored on this machine, and what leaves it.

use egui::{RichText, Ui};

use crate::ui::kit;

/// Draws the page.
pub(super) fn page(ui: &mut Ui) {
    ui.add_space(8.0);
    ui.label("Everything runs on this machine: the model, the chats, the search.");
    kit::section(ui, "What goes over the network");
    ui.label("Nothing. This version makes no network call at all: it downloads nothing and sends nothing.");
    ui.label("Links in a reply open in your browser when you click them. Pictures in a reply are not loaded.");
    kit::section(ui, "What is kept");
    if let Some(folder) = crate::last_model::data_folder() {
        ui.label("Chats and settings, in a file of this folder:");
        ui.label(RichText::new(folder.display().to_string()).monospace());
    }
}
