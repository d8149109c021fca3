//! The panel at the right: the settings of the open chat, and nothing else.

use std::path::PathBuf;

use egui::{Align, Layout, Margin, Ui, vec2};

use super::colours::Colours;
use super::settings::sampling_controls;
use super::{App, SettingsPage, icons, kit};

impl App {
    pub(super) fn rail_panel(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        if self.is_narrow(&ctx) {
            let close = kit::dialog(&ctx, "This chat", 380.0, |ui| {
                let most = ctx.content_rect().height() - 140.0;
                egui::ScrollArea::vertical().max_height(most).show(ui, |ui| self.rail_content(ui));
            });
            self.rail &= !close;
            return;
        }
        let frame = egui::Frame::new().fill(Colours::of(ui.visuals()).sidebar).inner_margin(Margin::same(16));
        let panel = egui::Panel::right("rail").frame(frame).default_size(320.0).size_range(280.0..=460.0);
        panel.show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(kit::semibold("This chat", 15.0));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.rail &= !kit::icon_button(ui, icons::X, "Close").clicked();
                });
            });
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.rail_content(ui));
        });
    }

    fn rail_content(&mut self, ui: &mut Ui) {
        kit::section(ui, "System prompt");
        let mut system = self.state.open().map(|chat| chat.system.clone()).unwrap_or_default();
        let field = egui::TextEdit::multiline(&mut system).desired_rows(4).desired_width(f32::INFINITY).margin(10.0);
        let field = field.hint_text("What the model should know before the first message");
        if ui.add(field).accessible_name("System prompt of this chat").changed() {
            self.state.set_system(system);
        }
        kit::section(ui, "Sampling");
        if self.state.loaded().is_some_and(|loaded| loaded.is_guide()) {
            kit::hint(ui, "The guide always says the likeliest word; this is for other models.");
        }
        let mut own = self.state.has_own_sampling();
        if ui.checkbox(&mut own, "Own sampling for this chat").changed() {
            let sampling = own.then(|| self.state.chat_sampling().clone());
            self.state.set_chat_sampling(sampling);
        }
        ui.add_enabled_ui(own, |ui| {
            let mut sampling = self.state.chat_sampling().clone();
            sampling_controls(ui, &mut sampling);
            if own && sampling != *self.state.chat_sampling() {
                self.state.set_chat_sampling(Some(sampling));
            }
        });
        kit::section(ui, "Model");
        self.own_model(ui);
        let mut plain = self.state.is_plain();
        let explanation = "For models that were not trained to chat: what you write is continued.";
        if ui.checkbox(&mut plain, "Continue the text, without turns").on_hover_text(explanation).changed() {
            self.state.set_plain(plain);
        }
        kit::section(ui, "Presets");
        self.preset_list(ui);
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 130.0).max(80.0);
            let field = egui::TextEdit::singleline(&mut self.new_preset).hint_text("Name").desired_width(width);
            ui.add(field.margin(vec2(8.0, 7.0))).accessible_name("Name of the preset");
            let name = self.new_preset.trim().to_owned();
            let button = ui.add_enabled(!name.is_empty(), egui::Button::new("Save as preset"));
            if button.on_hover_text("The system prompt, the sampling and the model above").clicked() {
                self.state.save_preset(&name);
                self.new_preset.clear();
            }
        });
    }

    /// A button per preset. Returns whether one was chosen.
    fn preset_list(&mut self, ui: &mut Ui) -> bool {
        let mut chosen = None;
        for (index, preset) in self.state.settings.presets.iter().enumerate() {
            if kit::menu_item(ui, icons::FILE_TEXT, &preset.name, "").clicked() {
                chosen = Some(index);
            }
        }
        if let Some(index) = chosen {
            self.state.apply_preset(index);
        }
        chosen.is_some()
    }

    /// Which model answers in the open chat.
    fn own_model(&mut self, ui: &mut Ui) {
        let models = self.state.models.as_deref().unwrap_or_default();
        let own = self.state.chat_model();
        let name = |path: &Option<PathBuf>| {
            let known = models.iter().find(|model| model.path == *path).map(|model| model.name.clone());
            known.unwrap_or_else(|| crate::worker::short_name(path.as_deref()))
        };
        let shown = own.as_ref().map_or_else(|| "the loaded one".to_owned(), name);
        let combo = egui::ComboBox::from_id_salt("own model").width(ui.available_width() - 8.0).truncate();
        let mut chosen = own.clone();
        let response = combo.selected_text(shown).show_ui(ui, |ui| {
            ui.selectable_value(&mut chosen, None, "the loaded one");
            for model in models {
                ui.selectable_value(&mut chosen, Some(model.path.clone()), &model.name);
            }
        });
        response.response.accessible_name("Model of this chat");
        if chosen != own {
            self.state.set_chat_model(chosen.as_ref().map(Option::as_deref));
        }
    }

    /// The menu of presets below the field for messages.
    pub(super) fn preset_menu(&mut self, ui: &mut Ui) {
        let colours = Colours::of(ui.visuals());
        let sign = kit::icon(icons::FILE_TEXT, 18.0).color(colours.mid);
        let chevron = kit::icon(icons::CHEVRON_DOWN, 14.0).color(colours.mid);
        let applied = self.state.open().and_then(|chat| chat.options.preset.clone());
        let text = kit::shorten_middle(applied.as_deref().unwrap_or("Preset"), 24);
        let text = kit::medium(text, 13.5).color(colours.mid);
        let button = egui::Button::new((sign, text, chevron)).frame_when_inactive(false);
        let name = applied.map_or_else(|| "Preset".to_owned(), |name| format!("Preset: {name}"));
        let response = ui.add(button).accessible_name(name);
        egui::Popup::menu(&response).gap(4.0).width(240.0).show(|ui| {
            if self.state.settings.presets.is_empty() {
                kit::hint(ui, "A preset keeps a system prompt and sampling under a name.");
            }
            if self.preset_list(ui) {
                ui.close();
            }
            ui.separator();
            if kit::menu_item(ui, icons::SLIDERS_HORIZONTAL, "Settings of this chat…", "").clicked() {
                self.rail = true;
            }
            let written = !self.state.draft().trim().is_empty();
            ui.add_enabled_ui(written, |ui| {
                if kit::menu_item(ui, icons::BOOK_OPEN, "Save as a prompt…", "").clicked() {
                    self.save_draft_as_prompt();
                }
            });
            if kit::menu_item(ui, icons::BOOK_OPEN, "Prompts…", "/").clicked() {
                self.show_settings(SettingsPage::Prompts);
            }
        });
    }
}
