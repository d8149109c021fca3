//! The bar above the conversation: title, model, and error messages.

use egui::{RichText, Ui};

use super::{App, Panel, Purpose, style};
use crate::state::Model;
use crate::worker::Remedy;

impl App {
    pub(super) fn top_bar(&mut self, ui: &mut Ui) {
        egui::Panel::top("top").show(ui, |ui| {
            ui.add_space(2.0);
            ui.horizontal(|ui| {
                let sidebar = self.state.settings.sidebar;
                let label = if sidebar { "Hide chats" } else { "Chats" };
                if ui.button(label).on_hover_text(ui.ctx().format_modifiers(egui::Modifiers::COMMAND) + "+B").clicked()
                {
                    self.state.settings.sidebar = !sidebar;
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.selectable_label(self.panel == Some(Panel::Settings), "Settings").clicked() {
                        self.toggle(Panel::Settings);
                    }
                    let button =
                        egui::Button::selectable(self.panel == Some(Panel::Models), self.model_name()).truncate();
                    let button = ui.add_sized([(ui.available_width() * 0.45).min(240.0), 26.0], button);
                    if button.on_hover_text("Models").clicked() {
                        self.toggle(Panel::Models);
                    }
                    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                        let title = self.state.open().map(|chat| chat.shown_title().to_owned()).unwrap_or_default();
                        ui.add(egui::Label::new(RichText::new(title).strong()).truncate());
                    });
                });
            });
            ui.add_space(2.0);
            self.banners(ui);
        });
    }

    /// The model's name or status in one line.
    pub(super) fn model_name(&self) -> String {
        match &self.state.model {
            Model::Ready(loaded) if loaded.is_guide() => "Guide (built in)".to_owned(),
            Model::Ready(loaded) => loaded.name.clone(),
            Model::Loading { name, progress } => format!("Loading {name} … {:.0} %", progress * 100.0),
            Model::Failed(_) => "No model".to_owned(),
            Model::None => "…".to_owned(),
        }
    }

    fn banners(&mut self, ui: &mut Ui) {
        let bad = style::error_color(ui.visuals());
        if self.state.store_ended {
            let text = "Chats are not saved any more: the thread that writes them has ended. Copy what you want to keep, and start Lapidary \
                        again.";
            ui.label(RichText::new(text).color(bad));
        } else if let Some(Err(reason)) = &self.state.opened {
            let reason = reason.trim_end_matches('.');
            let text = format!("{reason}. You can chat, but nothing will be saved. Export what you want to keep.");
            ui.label(RichText::new(text).color(bad));
        }
        if let Some(reason) = self.state.cannot_save.as_ref().filter(|_| !self.state.store_ended) {
            let text = format!(
                "Chats cannot be saved at present ({reason}). Make room on the disk; Lapidary keeps trying, and loses nothing while it runs."
            );
            ui.label(RichText::new(text).color(bad));
        }
        if let Model::Failed(problem) = self.state.model.clone() {
            let cancelled = problem.remedy == Remedy::Resume;
            let colour = if cancelled { ui.visuals().weak_text_color() } else { bad };
            ui.label(RichText::new(&problem.sentence).color(colour));
            ui.horizontal_wrapped(|ui| {
                let again = match problem.remedy {
                    Remedy::Reload => "Load the model again",
                    Remedy::Resume => "Load it after all",
                    _ => "Try again",
                };
                if problem.remedy == Remedy::Driver {
                    ui.label("A newer graphics driver may help, or another adapter in the settings.");
                    if ui.button("Settings…").clicked() {
                        self.panel = None;
                        self.toggle(Panel::Settings);
                    }
                }
                if problem.remedy == Remedy::ReduceMemory && ui.button("Choose smaller weights or context…").clicked()
                {
                    self.panel = None;
                    self.toggle(Panel::Models);
                }
                if problem.remedy == Remedy::OtherFile && ui.button("Open another model…").clicked() {
                    self.files.prompt_for(Purpose::OpenModel, String::new());
                }
                if ui.button(again).clicked() {
                    self.state.reload();
                }
                if self.state.requested_model().is_some() && ui.button("Use the guide").clicked() {
                    self.state.load_model(None);
                }
            });
            ui.add_space(4.0);
        }
        if let Model::Loading { progress, .. } = self.state.model
            && progress > 0.0
        {
            ui.horizontal(|ui| {
                let bar =
                    egui::ProgressBar::new(progress).desired_height(6.0).desired_width(ui.available_width() - 90.0);
                ui.add(bar).accessible_name("Loading the model");
                if ui.button("Cancel").clicked() {
                    self.state.cancel_load();
                }
            });
        }
    }
}
