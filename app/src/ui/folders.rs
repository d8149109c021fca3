//! The dialog that moves chats to a folder, and makes new folders.

use egui::Context;

use super::{App, icons, kit};
use crate::chats::{Folder, Id};

/// The chats that are being moved, and the name of a new folder as it is typed.
pub(super) struct Moving {
    chats: Vec<Id>,
    name: String,
}

impl App {
    /// Asks for the folder of chats, or for the name of a new folder if there are no chats.
    pub(super) fn ask_folder(&mut self, chats: Vec<Id>) {
        self.moving = Some(Moving { chats, name: String::new() });
    }

    /// Draws the dialog.
    pub(super) fn folder_dialog(&mut self, ctx: &Context) {
        let Some(mut moving) = self.moving.take() else { return };
        let title = match moving.chats.len() {
            0 => "New folder".to_owned(),
            1 => "Move to a folder".to_owned(),
            count => format!("Move {count} chats to a folder"),
        };
        let in_folder =
            |id: &Id| self.state.chat(*id).and_then(|chat| self.state.folder_of(chat)).map(|folder| folder.id);
        let present: Vec<Option<Id>> = moving.chats.iter().map(in_folder).collect();
        let folders: Vec<Folder> = self.state.folders().to_vec();
        let mut chosen: Option<Option<Id>> = None;
        let mut create = false;
        let close = kit::dialog(ctx, &title, 380.0, |ui| {
            if !moving.chats.is_empty() {
                let most = ctx.content_rect().height() * 0.4;
                egui::ScrollArea::vertical().max_height(most).show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    for folder in &folders {
                        let here = present.iter().all(|known| *known == Some(folder.id));
                        let sign = if here { icons::CHECK } else { icons::FOLDER_OPEN };
                        if kit::menu_item(ui, sign, &folder.name, "").clicked() {
                            chosen = Some(Some(folder.id));
                        }
                    }
                });
                if present.iter().any(Option::is_some) && kit::menu_item(ui, icons::X, "No folder", "").clicked() {
                    chosen = Some(None);
                }
                kit::section(ui, "A new folder");
            }
            create = kit::name_field(ui, &mut moving.name, "Name of the new folder");
            ui.add_space(6.0);
            let verb = if moving.chats.is_empty() { "Create" } else { "Create and move" };
            create |= kit::primary_if(ui, !moving.name.trim().is_empty(), verb).clicked();
        });
        if create && let Some(folder) = self.state.add_folder(&moving.name) {
            chosen = Some(Some(folder));
        }
        match chosen {
            Some(folder) => {
                self.state.move_chats(&moving.chats, folder);
                self.selection.clear();
            }
            None if !close => self.moving = Some(moving),
            None => {}
        }
    }
}
