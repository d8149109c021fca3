//! The panel of models: the loaded one, how models are loaded, and those on this machine.

use std::path::PathBuf;

use egui::{RichText, Ui};
use lapidary_engine::WeightFormat;

use super::{App, Panel, Purpose, style};
use crate::state::Model;
use crate::worker::{FoundModel, MemoryEstimate};

/// The weight format if none is chosen.
const AS_STORED: &str = "auto (as in the file)";

impl App {
    pub(super) fn models_panel(&mut self, ui: &mut Ui) {
        let mut open: Option<Option<PathBuf>> = None;
        let mut close = false;
        egui::Panel::right("models").default_size(380.0).size_range(300.0..=560.0).show(ui, |ui| {
            close = super::panel_head(ui, "Models");
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                self.loaded_model(ui);
                ui.separator();
                self.loading_options(ui);
                ui.separator();
                ui.strong("On this machine");
                let models = self.state.models.clone().unwrap_or_default();
                if models.is_empty() {
                    ui.spinner();
                }
                for model in &models {
                    self.model_entry(ui, model, &mut open);
                }
                ui.add_space(6.0);
                if ui.button("Open a file or folder…").clicked() {
                    self.files.prompt_for(Purpose::OpenModel, String::new());
                }
                ui.add_space(6.0);
                ui.strong("More models");
                ui.label(
                    RichText::new(
                        "Lapidary cannot download models yet. Get a Gemma 2 .gguf file or folder from Hugging Face with your \
                         browser or its own tools, accept Google's terms there, and drop it here. What those tools keep in \
                         their cache is listed above.",
                    )
                    .weak(),
                );
                ui.hyperlink_to("Gemma terms of use", "https://ai.google.dev/gemma/terms");
            });
        });
        if let Some(model) = open {
            self.state.load_model(model);
            self.composer.focus = true;
        }
        if close {
            self.toggle(Panel::Models);
        }
    }

    /// The loaded model.
    fn loaded_model(&mut self, ui: &mut Ui) {
        let Model::Ready(loaded) = &self.state.model else {
            ui.label(RichText::new("No model is loaded.").weak());
            return;
        };
        ui.label(RichText::new(&loaded.name).strong());
        ui.label(format!("On {}", loaded.adapter));
        ui.label(RichText::new(&loaded.driver).weak().small());
        ui.label(format!("Context of {} tokens", super::composer::with_thousands(loaded.context)));
        memory_bar(ui, loaded.memory, loaded.memory.device_memory);
    }

    /// The settings that apply when a model is loaded.
    pub(super) fn loading_options(&mut self, ui: &mut Ui) {
        let settings = &mut self.state.settings;
        ui.strong("How models are loaded");
        egui::Grid::new("loading").num_columns(2).spacing([12.0, 8.0]).show(ui, |ui| {
            ui.label("Weights");
            let shown = settings.weights.clone().unwrap_or_else(|| AS_STORED.into());
            let combo = egui::ComboBox::from_id_salt("weights").selected_text(shown);
            let response = combo.show_ui(ui, |ui| {
                ui.selectable_value(&mut settings.weights, None, AS_STORED);
                for format in WeightFormat::ALL {
                    ui.selectable_value(&mut settings.weights, Some(format.name().to_owned()), format.name());
                }
            });
            response.response.accessible_name("Weights");
            ui.end_row();
            ui.label("Context");
            ui.horizontal(|ui| {
                let mut own = settings.context.is_none();
                if ui.checkbox(&mut own, "auto (the model's own)").changed() {
                    settings.context = if own { None } else { Some(4096) };
                }
                if let Some(context) = &mut settings.context {
                    let value =
                        egui::DragValue::new(context).range(256..=131_072).speed(64).update_while_editing(false);
                    ui.add(value.suffix(" tokens")).accessible_name("Tokens of context");
                }
            });
            ui.end_row();
        });
        let changed =
            self.state.loaded().is_some_and(|loaded| loaded.load != self.state.load_of(loaded.load.model.clone()));
        if changed && ui.button("Load the model again with these").clicked() {
            self.state.reload();
        }
    }

    fn model_entry(&mut self, ui: &mut Ui, model: &FoundModel, open: &mut Option<Option<PathBuf>>) {
        let loaded = self.state.loaded().is_some_and(|loaded| loaded.load.model == model.path);
        let device_memory = self.state.loaded().and_then(|loaded| loaded.memory.device_memory);
        let load = self.state.load_of(model.path.clone());
        // Not for every value while a control is dragged.
        let dragged = ui.ctx().dragged_id().is_some();
        let asked = if dragged { None } else { self.state.memory_estimate(&load) };
        let estimate = asked.or_else(|| self.state.last_memory_estimate(model.path.as_ref()));
        egui::Frame::group(ui.style()).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let button = egui::Button::new(if loaded { "In use" } else { "Use" });
                    let button = ui.add_enabled(!loaded, button);
                    if button.accessible_name(format!("Use {}", model.name)).clicked() {
                        *open = Some(model.path.clone());
                    }
                    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                        ui.add(egui::Label::new(RichText::new(&model.name).strong()).truncate());
                    });
                });
            });
            ui.label(RichText::new(format!("{}, {} on disk", model.note, size(model.bytes))).weak().small());
            match estimate {
                None => {}
                Some(Ok(estimate)) => memory_bar(ui, estimate, device_memory),
                Some(Err(reason)) => {
                    ui.label(RichText::new(reason).color(style::error_color(ui.visuals())).small());
                }
            }
        });
    }
}

/// The memory that a model takes, and its share of the device's memory if that is known.
fn memory_bar(ui: &mut Ui, estimate: MemoryEstimate, device_memory: Option<u64>) {
    let needed = estimate.weights + estimate.sequence;
    let text =
        format!("{} of memory: {} weights, {} context", size(needed), size(estimate.weights), size(estimate.sequence));
    ui.label(RichText::new(text).small());
    if let Some(device_memory) = device_memory {
        let fraction = needed as f32 / device_memory.max(1) as f32;
        let colour = if fraction > 0.9 { style::error_color(ui.visuals()) } else { ui.visuals().selection.bg_fill };
        let bar = egui::ProgressBar::new(fraction.min(1.0)).desired_height(6.0).fill(colour);
        ui.add(bar).accessible_name("Share of the device's memory");
        let fits = if fraction > 1.0 { "does not fit" } else { "fits" };
        ui.label(RichText::new(format!("{fits}: the device has {}", size(device_memory))).weak().small());
    }
}

/// A size in bytes as text.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        bytes if bytes >= 1e6 => format!("{:.0} MB", bytes / 1e6),
        bytes => format!("{:.0} kB", bytes / 1e3),
    }
}
