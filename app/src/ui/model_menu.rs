//! The list of models behind the button that names the model.

use egui::{Align, Layout, RichText, Sense, Ui, vec2};

use super::colours::Colours;
use super::connect::ServerChoice;
use super::{App, Page, Purpose, icons, kit};
use crate::IS_PAGE;
use crate::size::size;
use crate::worker::FoundModel;

impl App {
    pub(super) fn model_menu(&mut self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = 2.0;
        let models = self.state.models.as_deref().unwrap_or_default();
        if models.is_empty() {
            kit::working(ui);
        }
        let (mut chosen, mut server) = (None, None);
        egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
            for model in models {
                if self.model_row(ui, model) {
                    chosen = Some(model.path.clone());
                }
            }
            server = self.server_rows(ui);
        });
        ui.separator();
        if kit::menu_item(ui, icons::HARD_DRIVE, "All models…", "").clicked() {
            self.show_page(Page::Models);
        }
        if kit::menu_item(ui, icons::FOLDER_OPEN, "Open a file…", "").clicked() {
            self.files.prompt_for(Purpose::OpenModel, String::new());
        }
        if !IS_PAGE && kit::menu_item(ui, icons::CLOUD, "Connect to a server…", "").clicked() {
            self.show_connect();
        }
        match server {
            Some(ServerChoice::Use(server)) => {
                self.state.use_server(server, false);
                self.composer.focus = true;
                ui.close();
            }
            Some(ServerChoice::Forget(server)) => self.state.forget_server(&server),
            None => {}
        }
        if let Some(path) = chosen {
            self.state.load_model(path);
            self.composer.focus = true;
            ui.close();
        }
    }

    /// Draws a model. Returns whether it was chosen.
    fn model_row(&self, ui: &mut Ui, model: &FoundModel) -> bool {
        let colours = Colours::of(ui.visuals());
        let used = self.state.loaded().is_some_and(|loaded| loaded.is_file(model.path.as_ref()));
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 44.0), Sense::click());
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, super::style::RADIUS, colours.hover);
        }
        let mut row = ui.new_child(egui::UiBuilder::new().max_rect(rect.shrink2(vec2(10.0, 4.0))));
        row.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let sign = if used { icons::CHECK } else { ' ' };
            kit::sign(ui, sign, 16.0, colours.accent_text);
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                let name = kit::shorten_middle(&model.name, 38);
                ui.add(egui::Label::new(kit::medium(name, 13.5)).selectable(false));
                let note = format!("{}, {}", size(model.bytes), model.note);
                ui.add(
                    egui::Label::new(RichText::new(note).size(12.0).color(colours.weak)).truncate().selectable(false),
                );
            });
        });
        let name = format!("Use {}", model.name);
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, used, &name));
        response.clicked() && !used
    }
}
