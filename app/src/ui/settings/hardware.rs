//! The adapter, the memory, and how models are loaded.

use egui::{RichText, Ui};
use lapidary_engine::WeightFormat;

use crate::ui::colours::Colours;
use crate::ui::models::memory_bar;
use crate::ui::{App, kit};

/// The weight format if none is chosen.
const AS_STORED: &str = "as in the file";
/// The adapter if none is chosen.
const AUTOMATIC: &str = "Automatic (fastest)";

impl App {
    pub(super) fn hardware_page(&mut self, ui: &mut Ui) {
        kit::section(ui, "Graphics adapter");
        self.adapter(ui);
        if let Some(server) = self.state.used_server() {
            ui.label(format!("{} runs on a server, which has its own hardware.", server.author()));
        } else if let Some(loaded) = self.state.loaded() {
            ui.label(format!("In use: {}", loaded.adapter));
            kit::hint(ui, loaded.driver.clone());
            memory_bar(ui, loaded.memory, loaded.memory.device_memory);
        }
        kit::section(ui, "Loading");
        self.loading_options(ui);
    }

    fn adapter(&mut self, ui: &mut Ui) {
        let devices = self.state.devices.clone().unwrap_or_default();
        let shown = self.state.settings.device.clone().unwrap_or_else(|| AUTOMATIC.into());
        let before = self.state.settings.device.clone();
        let combo = egui::ComboBox::from_id_salt("device")
            .selected_text(shown)
            .width(ui.available_width().min(360.0))
            .truncate();
        let response = combo.show_ui(ui, |ui| {
            let device = &mut self.state.settings.device;
            ui.selectable_value(device, None, AUTOMATIC);
            for name in devices {
                ui.selectable_value(device, Some(name.clone()), &name);
            }
        });
        response.response.accessible_name("Graphics adapter");
        if self.state.settings.device != before {
            self.state.reload();
        }
    }

    /// The settings that apply when a model is loaded.
    pub(in crate::ui) fn loading_options(&mut self, ui: &mut Ui) {
        let settings = &mut self.state.settings;
        kit::setting(ui, "Weights", "Fewer bits per weight take less memory and lose some quality.", |ui| {
            let shown = settings.weights.clone().unwrap_or_else(|| AS_STORED.into());
            let combo = egui::ComboBox::from_id_salt("weights").width(150.0).selected_text(shown);
            let response = combo.show_ui(ui, |ui| {
                ui.selectable_value(&mut settings.weights, None, AS_STORED);
                for format in WeightFormat::ALL {
                    ui.selectable_value(&mut settings.weights, Some(format.name().to_owned()), format.name());
                }
            });
            response.response.accessible_name("Weights");
        });
        kit::setting(ui, "Context", "How many tokens of a chat the model sees.", |ui| {
            let mut own = settings.context.is_none();
            if ui.checkbox(&mut own, "the model's own").changed() {
                settings.context = if own { None } else { Some(4096) };
            }
            if let Some(context) = &mut settings.context {
                let value = egui::DragValue::new(context).range(256..=131_072).speed(64).update_while_editing(false);
                ui.add(value.suffix(" tokens")).accessible_name("Tokens of context");
            }
        });
        let here = self.state.loaded().filter(|loaded| loaded.server().is_none());
        let changed = here.is_some_and(|loaded| loaded.load != self.state.load_of(loaded.load.model.clone()));
        if changed {
            ui.horizontal(|ui| {
                let warn = Colours::of(ui.visuals()).warn;
                ui.label(RichText::new("The loaded model has other settings.").color(warn));
                if kit::primary(ui, "Load the model again with these").clicked() {
                    self.state.reload();
                }
            });
        }
    }
}
