//! The trash.

use egui::{Context, Ui};

use super::{App, kit};
use crate::chats::Id;

impl App {
    /// Draws the trash. Returns whether it should be closed.
    pub(super) fn trash_dialog(&mut self, ctx: &Context) -> bool {
        let chats: Vec<(Id, String)> =
            self.state.trash().iter().map(|chat| (chat.id, chat.shown_title().to_owned())).collect();
        let (mut restore, mut empty) = (None, false);
        let emptying = &mut self.emptying;
        let close = kit::dialog(ctx, "Trash", 460.0, |ui| {
            if chats.is_empty() {
                kit::hint(ui, "The trash is empty.");
                return;
            }
            let most = ctx.content_rect().height() * 0.6;
            egui::ScrollArea::vertical().max_height(most).show(ui, |ui| {
                for (id, title) in &chats {
                    ui.horizontal(|ui| {
                        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                            if ui.button("Restore").accessible_name(format!("Restore {title}")).clicked() {
                                restore = Some(*id);
                            }
                            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                                ui.add(egui::Label::new(title).truncate());
                            });
                        });
                    });
                }
            });
            ui.add_space(8.0);
            empty = empty_button(ui, chats.len(), emptying);
        });
        if let Some(id) = restore {
            self.state.restore(id);
            return true;
        }
        if empty {
            self.emptying = false;
            self.state.empty_trash();
        }
        close
    }
}

/// The button that empties the trash, and its confirmation. Returns whether it was confirmed.
fn empty_button(ui: &mut Ui, count: usize, emptying: &mut bool) -> bool {
    if !*emptying {
        *emptying = ui.button("Empty the trash").clicked();
        return false;
    }
    let what = if count == 1 { "this chat".to_owned() } else { format!("these {count} chats") };
    ui.label(format!("Remove {what} for good? It cannot be undone."));
    ui.horizontal(|ui| {
        // The first position is the safe choice, because the second click of a double click may hit it.
        *emptying &= !ui.button("Keep").clicked();
        ui.button("Remove for good").clicked()
    })
    .inner
}
