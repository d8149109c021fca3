//! The panel of settings.

use egui::{RichText, Slider, Ui};

use super::{App, Panel};
use crate::settings::{Preset, SamplingParams, Theme, ZOOM_RANGE};
use crate::worker::Overflow;

impl App {
    pub(super) fn settings_panel(&mut self, ui: &mut Ui) {
        let mut close = false;
        egui::Panel::right("settings").default_size(340.0).size_range(300.0..=520.0).show(ui, |ui| {
            close = super::panel_head(ui, "Settings");
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                self.model_line(ui);
                ui.separator();
                ui.strong("Replies");
                if self.state.loaded().is_some_and(|loaded| loaded.is_guide()) {
                    ui.label(
                        RichText::new("The guide always says the likeliest word; the rest is for other models.").weak(),
                    );
                }
                sampling_controls(ui, &mut self.state.settings.sampling);
                ui.separator();
                self.system_prompts(ui);
                ui.separator();
                self.presets(ui);
                ui.separator();
                ui.strong("When a chat outgrows the context");
                let overflow = &mut self.state.settings.overflow;
                ui.radio_value(overflow, Overflow::Ask, "Stop, and ask me");
                ui.radio_value(overflow, Overflow::DropOldest, "Leave out the oldest messages, and say so");
                ui.separator();
                self.loading_options(ui);
                ui.separator();
                self.device(ui);
                ui.separator();
                self.appearance(ui);
                ui.separator();
                if ui.button("Privacy…").clicked() {
                    self.sheet = Some(super::Sheet::Privacy);
                }
            });
        });
        if close {
            self.toggle(Panel::Settings);
        }
    }

    fn model_line(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            ui.strong("Model");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("Choose…").accessible_name("Choose a model").clicked() {
                    self.toggle(Panel::Models);
                }
                ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                    ui.add(egui::Label::new(self.model_name()).truncate());
                });
            });
        });
    }

    fn system_prompts(&mut self, ui: &mut Ui) {
        ui.strong("System prompt");
        ui.label("Of this chat");
        let mut system = self.state.open().map(|chat| chat.system.clone()).unwrap_or_default();
        let field = egui::TextEdit::multiline(&mut system).desired_rows(2).desired_width(f32::INFINITY);
        let field = field.hint_text("What the model should know before the first message");
        if ui.add(field).accessible_name("System prompt of this chat").changed() {
            self.state.set_system(system);
        }
        ui.label("Of new chats");
        let system = &mut self.state.settings.system;
        let field = egui::TextEdit::multiline(system).desired_rows(2).desired_width(f32::INFINITY);
        ui.add(field).accessible_name("System prompt of new chats");
    }

    fn presets(&mut self, ui: &mut Ui) {
        ui.strong("Presets");
        let mut chosen = None;
        let mut removed = None;
        for (index, preset) in self.state.settings.presets.iter().enumerate() {
            ui.horizontal(|ui| {
                if ui.button(&preset.name).on_hover_text("Use these settings").clicked() {
                    chosen = Some(preset.clone());
                }
                let button = ui.add(egui::Button::new("Remove").frame_when_inactive(false));
                if button.accessible_name(format!("Remove the preset {}", preset.name)).clicked() {
                    removed = Some(index);
                }
            });
        }
        if let Some(preset) = chosen {
            self.state.settings.sampling = preset.sampling;
            // A preset without a system prompt keeps the chat's.
            if !preset.system.is_empty() {
                self.state.set_system(preset.system);
            }
        }
        if let Some(index) = removed {
            self.state.settings.presets.remove(index);
        }
        ui.horizontal(|ui| {
            let field = egui::TextEdit::singleline(&mut self.new_preset).hint_text("Name").desired_width(140.0);
            ui.add(field).accessible_name("Name of the preset");
            let name = self.new_preset.trim().to_owned();
            let button = ui.add_enabled(!name.is_empty(), egui::Button::new("Save as preset"));
            if button.on_hover_text("The settings above, and this chat's system prompt").clicked() {
                let system = self.state.open().map(|chat| chat.system.clone()).unwrap_or_default();
                let settings = &mut self.state.settings;
                let preset = Preset { name, sampling: settings.sampling.clone(), system, model: None };
                settings.presets.retain(|known| known.name != preset.name);
                settings.presets.push(preset);
                self.new_preset.clear();
            }
        });
    }

    fn device(&mut self, ui: &mut Ui) {
        ui.strong("Graphics adapter");
        let devices = self.state.devices.clone().unwrap_or_default();
        let shown = self.state.settings.device.clone().unwrap_or_else(|| "the fastest".into());
        let before = self.state.settings.device.clone();
        let combo =
            egui::ComboBox::from_id_salt("device").selected_text(shown).width(ui.available_width() - 16.0).truncate();
        let response = combo.show_ui(ui, |ui| {
            let device = &mut self.state.settings.device;
            ui.selectable_value(device, None, "the fastest");
            for name in devices {
                ui.selectable_value(device, Some(name.clone()), &name);
            }
        });
        response.response.accessible_name("Graphics adapter");
        if self.state.settings.device != before {
            self.state.reload();
        }
        if let Some(loaded) = self.state.loaded() {
            ui.label(RichText::new(format!("In use: {}", loaded.adapter)).weak().small());
        }
    }

    fn appearance(&mut self, ui: &mut Ui) {
        let settings = &mut self.state.settings;
        ui.strong("Looks");
        ui.horizontal(|ui| {
            ui.selectable_value(&mut settings.theme, Theme::System, "As the system");
            ui.selectable_value(&mut settings.theme, Theme::Light, "Light");
            ui.selectable_value(&mut settings.theme, Theme::Dark, "Dark");
        });
        ui.horizontal(|ui| {
            ui.label("Size");
            // Applied after dragging, because zooming would move the control away from the pointer.
            let mut percent = (settings.zoom * 100.0).round() as i32;
            let range = (*ZOOM_RANGE.start() * 100.0) as i32..=(*ZOOM_RANGE.end() * 100.0) as i32;
            let value =
                egui::DragValue::new(&mut percent).range(range).speed(1).suffix(" %").update_while_editing(false);
            if ui.add(value).accessible_name("Size of everything").changed() {
                settings.zoom = percent as f32 / 100.0;
            }
            if ui.button("Normal").clicked() {
                settings.zoom = 1.0;
            }
        });
        ui.checkbox(&mut settings.reduced_motion, "Reduce motion");
    }
}

fn sampling_controls(ui: &mut Ui, sampling: &mut SamplingParams) {
    let row = |ui: &mut Ui, name: &str, hover: &str, slider: Slider<'_>| {
        ui.label(name).on_hover_text(hover);
        ui.name_inputs(name, |ui| ui.add(slider)).on_hover_text(hover);
        ui.end_row();
    };
    egui::Grid::new("drawing").num_columns(2).spacing([12.0, 8.0]).show(ui, |ui| {
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
    if *sampling != SamplingParams::default() && ui.button("As recommended").clicked() {
        *sampling = SamplingParams::default();
    }
}
