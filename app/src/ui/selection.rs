//! The chats of the list that are selected together, and what can be done with all of them.

use std::collections::BTreeSet;

use egui::{Align, Key, Layout, Margin, Modifiers, Ui};

use super::{App, Purpose, icons, kit};
use crate::chats::Id;

/// The selected chats.
#[derive(Default)]
pub(super) struct Selection {
    chats: BTreeSet<Id>,
    /// The chat that was marked last, from which a range goes on.
    anchor: Option<Id>,
}

impl Selection {
    /// Whether any chat is selected.
    pub(super) fn is_active(&self) -> bool {
        !self.chats.is_empty()
    }

    /// Whether a chat is selected.
    pub(super) fn contains(&self, chat: Id) -> bool {
        self.chats.contains(&chat)
    }

    /// The selected chats.
    pub(super) fn chats(&self) -> Vec<Id> {
        self.chats.iter().copied().collect()
    }

    /// Selects a chat, or no longer.
    pub(super) fn toggle(&mut self, chat: Id) {
        if !self.chats.remove(&chat) {
            self.chats.insert(chat);
        }
        self.anchor = Some(chat);
    }

    /// Selects the chats from the one that was marked last to this one. `open` is where a first range begins, and `listed`
    /// are the chats in their order.
    pub(super) fn extend_to(&mut self, chat: Id, open: Id, listed: &[Id]) {
        let place = |wanted: Id| listed.iter().position(|id| *id == wanted);
        let Some(to) = place(chat) else { return };
        let from = self.anchor.and_then(place).or_else(|| place(open)).unwrap_or(to);
        self.chats.extend(&listed[from.min(to)..=from.max(to)]);
    }

    /// Selects nothing. Returns whether anything was selected.
    pub(super) fn clear(&mut self) -> bool {
        let was_active = self.is_active();
        *self = Self::default();
        was_active
    }

    /// Drops chats that are no longer in the list.
    fn retain(&mut self, exists: impl Fn(Id) -> bool) {
        self.chats.retain(|chat| exists(*chat));
    }
}

impl App {
    /// Draws how many chats are selected, and the actions for them, below the list.
    pub(super) fn selection_bar(&mut self, ui: &mut Ui) {
        let state = &self.state;
        self.selection.retain(|id| state.chat(id).is_some_and(|chat| chat.deleted.is_none()));
        if !self.selection.is_active() {
            return;
        }
        let chats = self.selection.chats();
        let all_pinned = chats.iter().all(|id| self.state.chat(*id).is_some_and(|chat| chat.pinned));
        let (mut close, mut delete) = (false, false);
        egui::Frame::new().inner_margin(Margin { left: 20, right: 12, top: 4, bottom: 4 }).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                ui.label(kit::medium(format!("{} selected", chats.len()), 13.0));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    close = kit::small_icon_button(ui, true, icons::X, "Select no chats").clicked();
                    delete = kit::small_icon_button(ui, true, icons::TRASH_2, "Delete the selected chats").clicked();
                    if kit::small_icon_button(ui, true, icons::UPLOAD, "Export the selected chats").clicked() {
                        self.export_selected();
                    }
                    let name = "Move the selected chats to a folder";
                    if kit::small_icon_button(ui, true, icons::FOLDER_OPEN, name).clicked() {
                        self.ask_folder(chats.clone());
                    }
                    let (sign, name) = match all_pinned {
                        true => (icons::PIN_OFF, "Unpin the selected chats"),
                        false => (icons::PIN, "Pin the selected chats"),
                    };
                    if kit::small_icon_button(ui, true, sign, name).clicked() {
                        chats.iter().for_each(|id| self.state.pin(*id, !all_pinned));
                    }
                });
            });
        });
        let free = !self.has_dialog() && !ui.ctx().text_edit_focused();
        if delete || (free && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Delete))) {
            self.state.delete_chats(&chats);
            close = true;
        }
        if close {
            self.selection.clear();
        }
    }

    fn export_selected(&mut self) {
        let listed = self.state.exported_chats(true);
        let chats: Vec<Id> = listed.into_iter().filter(|id| self.selection.contains(*id)).collect();
        self.prompt_export_of(chats, Purpose::ExportSelected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_from_the_last_mark_to_the_click() {
        let listed = [5, 3, 9, 1, 7];
        let mut selection = Selection::default();
        selection.extend_to(1, 3, &listed);
        assert_eq!(selection.chats(), [1, 3, 9], "from the open chat");
        assert!(selection.clear() && !selection.clear());
        selection.toggle(7);
        selection.extend_to(9, 5, &listed);
        assert_eq!(selection.chats(), [1, 7, 9], "upwards");
        selection.toggle(1);
        assert_eq!(selection.chats(), [7, 9]);
        selection.extend_to(42, 5, &listed);
        assert_eq!(selection.chats(), [7, 9], "a chat that is not listed");
    }
}
