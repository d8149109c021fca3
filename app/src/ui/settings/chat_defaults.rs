//! What new chats start with: sampling, system prompt, presets.

use egui::{Slider, Ui};

use crate::settings::SamplingParams;
use crate::ui::{App, icons, kit};

impl App {
    pub(super) fn chat_defaults_page(&mut self, ui: &mut Ui) {
        kit::section(ui, "System prompt");
        kit::hint(ui, "What the model should know before the first message.");
        let system = &mut self.state.settings.system;
        let field = egui::TextEdit::multiline(system).desired_rows(3).desired_width(f32::INFINITY).margin(10.0);
        ui.add(field).accessible_name("System prompt of new chats");
        kit::section(ui, "Sampling");
        if self.state.loaded().is_some_and(|loaded| loaded.is_guide()) {
            kit::hint(ui, "The guide always says the likeliest word; this is for other models.");
        }
        sampling_controls(ui, &mut self.state.settings.sampling);
        kit::section(ui, "Presets");
        kit::hint(ui, "A preset is saved from the settings of a chat, and chosen below its messages.");
        let mut removed = None;
        for (index, preset) in self.state.settings.presets.iter().enumerate() {
            ui.horizontal(|ui| {
                let name = format!("Remove the preset {}", preset.name);
                if kit::small_icon_button(ui, true, icons::TRASH_2, &name).clicked() {
                    removed = Some(index);
                }
                ui.label(kit::medium(&preset.name, 13.5));
            });
        }
        if let Some(index) = removed {
            self.state.settings.presets.remove(index);
        }
    }
}

/// The controls of how tokens are chosen.
pub(in crate::ui) fn sampling_controls(ui: &mut Ui, sampling: &mut SamplingParams) {
    let row = |ui: &mut Ui, name: &str, hover: &str, slider: Slider<'_>| {
        ui.label(name).on_hover_text(hover);
        ui.name_inputs(name, |ui| ui.add(slider)).on_hover_text(hover);
        ui.end_row();
    };
    ui.spacing_mut().slider_width = (ui.available_width() - 220.0).clamp(80.0, 220.0);
    egui::Grid::new("sampling").num_columns(2).spacing([12.0, 4.0]).show(ui, |ui| {
        let temperature = Slider::new(&mut sampling.temperature, 0.0..=2.0).max_decimals(2).step_by(0.05);
        row(ui, "Temperature", "0 always chooses the most probable token; higher values vary more", temperature);
        let top_k = Slider::new(&mut sampling.top_k, 0..=200);
        row(ui, "Top-k", "The number of most probable tokens to choose among; 0 for all", top_k);
        let top_p = Slider::new(&mut sampling.top_p, 0.05..=1.0).max_decimals(2).step_by(0.01);
        row(ui, "Top-p", "Choose among the most probable tokens up to this total probability", top_p);
        let min_p = Slider::new(&mut sampling.min_p, 0.0..=1.0).max_decimals(2).step_by(0.01);
        row(ui, "Min-p", "Leave out tokens less probable than this fraction of the most probable one", min_p);
        let penalty = Slider::new(&mut sampling.repetition_penalty, 0.5..=2.0).max_decimals(2).step_by(0.01);
        row(ui, "Repetition penalty", "Above 1, tokens that occurred already become less probable", penalty);
    });
    ui.horizontal(|ui| {
        let mut fixed = sampling.seed.is_some();
        if ui.checkbox(&mut fixed, "Fixed seed").on_hover_text("Equal seeds give equal replies").changed() {
            sampling.seed = fixed.then_some(0);
        }
        if let Some(seed) = &mut sampling.seed {
            ui.add(egui::DragValue::new(seed)).accessible_name("Seed");
        }
    });
    ui.horizontal(|ui| {
        let mut limited = sampling.max_tokens.is_some();
        if ui.checkbox(&mut limited, "Max tokens").changed() {
            sampling.max_tokens = limited.then_some(1024);
        }
        if let Some(most) = &mut sampling.max_tokens {
            ui.add(egui::DragValue::new(most).range(1..=131_072).suffix(" tokens"))
                .accessible_name("Max tokens of a reply");
        }
    });
    if *sampling != SamplingParams::default() && ui.button("Reset to defaults").clicked() {
        *sampling = SamplingParams::default();
    }
}
