//! The pages about version and licences, and about privacy.

use egui::{Context, RichText};

use super::sheet;

/// Draws the page about the program. Returns whether it should be closed.
pub(super) fn about(ctx: &Context) -> bool {
    sheet(ctx, "About Lapidary", |ui| {
        ui.label(format!("Version {}", env!("CARGO_PKG_VERSION")));
        ui.label("Gemma-2 on your own GPU, through WebGPU.");
        ui.add_space(8.0);
        ui.strong("Licences");
        ui.label("Lapidary, and the guide with all that it was trained on: MIT or Apache-2.0, as you like.");
        ui.label("Gemma models are Google's, under the Gemma terms of use; Lapidary comes with none of them.");
        ui.label(
            "It is built on wgpu, naga, egui, winit, tokenizers and safetensors (MIT or Apache-2.0) and SQLite (public domain), \
             among others; Cargo.lock in the source names them all.",
        );
        ui.label(
            "Fonts: Ubuntu (Ubuntu Font Licence), Hack (MIT), Noto Emoji (OFL), emoji-icon-font (MIT), KaTeX (MIT).",
        );
    })
}

/// Draws the page about privacy. Returns whether it should be closed.
pub(super) fn privacy(ctx: &Context) -> bool {
    sheet(ctx, "Privacy", |ui| {
        ui.label("Everything runs on this machine: the model, the chats, the search.");
        ui.add_space(6.0);
        ui.strong("What goes over the network");
        ui.label("Nothing. This version makes no network call at all: it downloads nothing and sends nothing.");
        ui.label("Links in a reply open in your browser when you click them. Pictures in a reply are not loaded.");
        ui.add_space(6.0);
        ui.strong("What is kept");
        if let Some(folder) = crate::last_model::data_folder() {
            ui.label("Chats and settings, in a file of this folder:");
            ui.label(RichText::new(folder.display().to_string()).monospace());
        }
    })
}
