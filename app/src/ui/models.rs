//! The page of models: those on this machine, the memory that each takes, and how they are loaded.

use std::path::PathBuf;

use egui::{Align, Layout, Margin, RichText, Ui, vec2};
use lapidary_engine::Recipe;

use super::colours::Colours;
use super::{App, Page, Purpose, icons, kit};
use crate::size::size;
use crate::verdict::Verdict;
use crate::worker::{FoundModel, MemoryEstimate};

/// The width of the page in points.
const WIDTH: f32 = 760.0;
/// The format that is proposed: close to lossless, at a third of the memory.
pub(super) const PROPOSED: Recipe = Recipe::Q4KM;

impl App {
    /// The way from the guide to a model.
    pub(super) fn offer_models(&mut self, ui: &mut Ui) {
        if kit::primary(ui, "Get a model").clicked() {
            self.get_models.shown = true;
            self.show_page(Page::Models);
        }
    }

    /// Bytes of the device's memory, if its API says. Browsers do not tell.
    pub(super) fn device_memory(&self) -> Option<u64> {
        self.state.loaded().and_then(|loaded| loaded.memory.device_memory)
    }

    pub(super) fn models_page(&mut self, ui: &mut Ui) {
        let mut open: Option<Option<PathBuf>> = None;
        egui::ScrollArea::vertical().id_salt("models").auto_shrink(false).show(ui, |ui| {
            let width = (ui.available_width() - 48.0).min(WIDTH);
            ui.vertical_centered(|ui| {
                ui.allocate_ui(vec2(width, 0.0), |ui| {
                    ui.set_width(width);
                    ui.vertical(|ui| self.models_content(ui, &mut open));
                });
            });
        });
        if let Some(model) = open {
            self.state.load_model(model);
            self.show_page(Page::Chat);
        }
    }

    fn models_content(&mut self, ui: &mut Ui, open: &mut Option<Option<PathBuf>>) {
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            if kit::icon_button(ui, icons::ARROW_LEFT, "Back to the chat").clicked() {
                self.show_page(Page::Chat);
            }
            ui.label(kit::semibold("Models", 22.0));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if kit::primary(ui, "Open a file…").clicked() {
                    self.files.prompt_for(Purpose::OpenModel, String::new());
                }
            });
        });
        ui.add_space(8.0);
        let choices = [(false, "On this machine"), (true, "Get models")];
        kit::segmented(ui, &mut self.get_models.shown, &choices);
        ui.add_space(4.0);
        if self.get_models.shown {
            self.hub_models(ui);
        } else {
            self.models_here(ui, open);
        }
        ui.add_space(24.0);
    }

    fn models_here(&mut self, ui: &mut Ui, open: &mut Option<Option<PathBuf>>) {
        if crate::IS_PAGE {
            kit::hint(
                ui,
                "A .gguf file of your disk is read from there and not copied; choose it again after you reload the page. Models \
                 that you download here are kept by the browser.",
            );
        }
        let models = self.state.models.clone().unwrap_or_default();
        if models.is_empty() {
            kit::working(ui);
        }
        for model in &models {
            self.model_card(ui, model, open);
        }
        ui.add_space(8.0);
        egui::CollapsingHeader::new(kit::medium("Loading options", 13.5)).show(ui, |ui| {
            self.loading_options(ui);
        });
        if !crate::IS_PAGE {
            self.model_folders(ui);
        }
    }

    /// The folders of other programs whose models are listed.
    fn model_folders(&mut self, ui: &mut Ui) {
        ui.add_space(8.0);
        let mut removed = None;
        for folder in &self.state.model_folders {
            ui.horizontal(|ui| {
                let name = folder.display().to_string();
                if kit::small_icon_button(ui, true, icons::X, &format!("Remove {name}")).clicked() {
                    removed = Some(folder.clone());
                }
                ui.add(egui::Label::new(RichText::new(&name).size(12.5)).truncate()).on_hover_text(&name);
            });
        }
        if let Some(folder) = removed {
            self.state.change_model_folder(folder, false);
        }
        if ui.button("Add a folder of models…").on_hover_text("Such as Ollama's or LM Studio's").clicked() {
            self.files.prompt_for(Purpose::AddModelFolder, String::new());
        }
    }

    fn model_card(&mut self, ui: &mut Ui, model: &FoundModel, open: &mut Option<Option<PathBuf>>) {
        let colours = Colours::of(ui.visuals());
        let loaded = self.state.loaded().is_some_and(|loaded| loaded.is_file(model.path.as_ref()));
        let device_memory = self.device_memory();
        let load = self.state.load_of(model.path.clone());
        // Not for every value while a control is dragged.
        let dragged = ui.ctx().dragged_id().is_some();
        let asked = if dragged { None } else { self.state.memory_estimate(&load) };
        let estimate = asked.or_else(|| self.state.last_memory_estimate(model.path.as_ref()));
        let frame = kit::card(ui).inner_margin(Margin::symmetric(16, 12));
        let frame = if loaded { frame.stroke(egui::Stroke::new(1.0, colours.accent_text)) } else { frame };
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let text = if loaded { "In use" } else { "Use" };
                    let button = ui.add_enabled(!loaded, egui::Button::new(text).min_size(vec2(64.0, 0.0)));
                    if button.accessible_name(format!("{text} {}", model.name)).clicked() {
                        *open = Some(model.path.clone());
                    }
                    #[cfg(target_arch = "wasm32")]
                    self.delete_button(ui, model);
                    ui.with_layout(Layout::top_down(Align::Min), |ui| {
                        ui.spacing_mut().item_spacing.y = 2.0;
                        let name = kit::shorten_middle(&model.name, ((ui.available_width() / 8.0) as usize).max(12));
                        ui.label(kit::semibold(name, 14.5)).on_hover_text(&model.name);
                        let path = model.path.as_ref().map(|path| path.display().to_string());
                        let note = format!("{} on disk, {}", size(model.bytes), model.note);
                        let note = ui.label(RichText::new(note).size(12.5).color(colours.weak));
                        if let Some(path) = path {
                            note.on_hover_text(path);
                        }
                    });
                });
            });
            #[cfg(target_arch = "wasm32")]
            self.deletion(ui, model, loaded);
            match estimate {
                None => {}
                Some(Ok(estimate)) => memory_bar(ui, estimate, device_memory),
                Some(Err(reason)) => {
                    ui.label(RichText::new(reason).color(colours.danger).size(12.5));
                }
            }
        });
    }
}

/// The memory that a model takes, and its share of the device's memory if that is known.
pub(super) fn memory_bar(ui: &mut Ui, estimate: MemoryEstimate, device_memory: Option<u64>) {
    let colours = Colours::of(ui.visuals());
    let needed = estimate.needed();
    let (weights, context) = (size(estimate.weights), size(estimate.sequence));
    let text = format!("{} of memory: {weights} weights, {context} context", size(needed));
    let Some(device_memory) = device_memory else {
        ui.label(RichText::new(text).size(12.5).color(colours.mid));
        return;
    };
    let share = needed as f32 / device_memory.max(1) as f32;
    let (verdict, colour) = match Verdict::of(needed, Some(device_memory)) {
        Verdict::TooLarge => ("Too large", colours.danger),
        Verdict::Tight => ("Tight", colours.warn),
        Verdict::Fits | Verdict::Unknown => ("Fits", colours.ok),
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().interact_size.y = 18.0;
        kit::meter(ui, share, 120.0, 6.0, colour, "Share of the device's memory");
        ui.label(kit::medium(verdict, 12.5).color(colour));
        let text = format!("{text}; the device has {}", size(device_memory));
        ui.add(egui::Label::new(RichText::new(text).size(12.5).color(colours.mid)).wrap());
    });
}
