//! Renaming a chat or a folder.

use egui::Context;

use super::{App, kit};

impl App {
    /// Draws the prompt for a new title of a chat, or a new name of a folder.
    pub(super) fn rename_prompt(&mut self, ctx: &Context) {
        let Some((id, mut title)) = self.renaming.take() else { return };
        let mut done = false;
        let is_folder = self.state.folders().iter().any(|folder| folder.id == id);
        let (heading, label) = if is_folder { ("Rename the folder", "Name") } else { ("Rename the chat", "Title") };
        let close = kit::dialog(ctx, heading, 380.0, |ui| {
            done = kit::name_field(ui, &mut title, label);
            ui.add_space(8.0);
            done |= kit::primary(ui, "Rename").clicked();
        });
        if done {
            if is_folder {
                self.state.rename_folder(id, &title);
            } else {
                self.state.rename(id, &title);
            }
        } else if !close {
            self.renaming = Some((id, title));
        }
    }
}
