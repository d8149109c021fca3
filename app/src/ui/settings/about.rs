//! Version and licences.

use egui::Ui;

use crate::ui::kit;

/// Draws the page.
pub(super) fn page(ui: &mut Ui) {
    ui.add_space(8.0);
    ui.label(kit::semibold("Lapidary", 18.0));
    ui.label(format!("Version {}", env!("CARGO_PKG_VERSION")));
    ui.label("Gemma-2 and Gemma-3 on your own GPU, through WebGPU.");
    kit::section(ui, "Licences");
    ui.label("Lapidary, and the guide with all that it was trained on: MIT or Apache-2.0, as you like.");
    ui.label("Gemma models are Google's, under the Gemma terms of use; Lapidary comes with none of them.");
    ui.label(
        "It is built on wgpu, naga, egui, winit, tokenizers and safetensors (MIT or Apache-2.0) and SQLite (public domain), \
         among others; Cargo.lock in the source names them all.",
    );
    ui.label("Fonts: Inter, JetBrains Mono and Noto Emoji (OFL), KaTeX (MIT). Icons: Lucide (ISC).");
}
