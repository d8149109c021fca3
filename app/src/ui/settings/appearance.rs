//! Theme, size and motion.

use egui::Ui;

use crate::settings::Theme;
use crate::ui::{App, kit};

/// The sizes that can be chosen, in percent. The keys allow those between as well.
const SIZES: [u16; 7] = [80, 90, 100, 110, 125, 150, 200];

impl App {
    pub(super) fn appearance_page(&mut self, ui: &mut Ui) {
        let settings = &mut self.state.settings;
        ui.add_space(8.0);
        kit::setting(ui, "Theme", "Light, dark, or as the system is set.", |ui| {
            let choices = [(Theme::System, "System"), (Theme::Light, "Light"), (Theme::Dark, "Dark")];
            kit::segmented(ui, &mut settings.theme, &choices);
        });
        let command = ui.ctx().format_modifiers(egui::Modifiers::COMMAND);
        let keys = format!("{command}++, {command}+− and {command}+0 change it everywhere.");
        kit::setting(ui, "Size", &keys, |ui| {
            let percent = (settings.zoom * 100.0).round() as u16;
            let combo = egui::ComboBox::from_id_salt("zoom").width(110.0).selected_text(format!("{percent} %"));
            let response = combo.show_ui(ui, |ui| {
                for size in SIZES {
                    if ui.selectable_label(percent == size, format!("{size} %")).clicked() {
                        settings.zoom = f32::from(size) / 100.0;
                    }
                }
            });
            response.response.accessible_name("Size of everything");
        });
        kit::setting(ui, "Motion", "Scrolling and menus then change at once.", |ui| {
            ui.checkbox(&mut settings.reduced_motion, "Reduce motion");
        });
    }
}
