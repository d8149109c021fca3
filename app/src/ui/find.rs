//! Finding a text in the open chat.

use egui::{Align, Key, Layout, Margin, Modifiers, Ui, vec2};

use super::colours::Colours;
use super::{App, icons, kit};
use crate::chats::Id;
use crate::state::Found;

/// The bar above the conversation.
#[derive(Default)]
pub(super) struct Find {
    /// The text, while the bar is open.
    text: Option<String>,
    /// The places of the text in the open chat.
    hits: Vec<Found>,
    /// What was searched: the open chat, its last message and the length of that. The hits are stale once it differs.
    searched: (Id, Option<Id>, usize),
    /// The occurrence that is shown.
    at: usize,
    focus: bool,
}

impl Find {
    /// Opens the bar.
    fn open(&mut self) {
        self.text.get_or_insert_default();
        self.focus = true;
    }

    /// Closes the bar. Returns whether it was open.
    pub(super) fn close(&mut self) -> bool {
        self.hits.clear();
        self.text.take().is_some()
    }

    /// The text that is looked for.
    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !text.is_empty())
    }
}

impl App {
    /// Draws the bar if it is open.
    pub(super) fn find_bar(&mut self, ui: &mut Ui) {
        let Some(mut text) = self.find.text.take() else { return };
        let colours = Colours::of(ui.visuals());
        let (mut close, mut all, mut step) = (false, false, 0);
        let frame = egui::Frame::new().fill(colours.card).corner_radius(10).inner_margin(Margin::symmetric(8, 4));
        let bar = vec2(ui.available_width(), 44.0);
        ui.allocate_ui_with_layout(bar, Layout::right_to_left(Align::Center), |ui| {
            ui.add_space(16.0);
            frame.show(ui, |ui| {
                ui.set_height(32.0);
                ui.set_width(440.0_f32.min(ui.available_width() - 16.0));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    ui.spacing_mut().item_spacing.x = 2.0;
                    close = kit::small_icon_button(ui, true, icons::X, "Close the search").clicked();
                    let some = !self.find.hits.is_empty();
                    if kit::small_icon_button(ui, some, icons::CHEVRON_DOWN, "Next").clicked() {
                        step = 1;
                    }
                    if kit::small_icon_button(ui, some, icons::CHEVRON_UP, "Previous").clicked() {
                        step = -1;
                    }
                    let count = match (text.is_empty(), some) {
                        (true, _) => String::new(),
                        (false, true) => format!("{}/{}", self.find.at + 1, self.find.hits.len()),
                        (false, false) => "none".to_owned(),
                    };
                    kit::hint(ui, count);
                    all = kit::ghost(ui, "All chats").on_hover_text("Search all chats for this").clicked();
                    let field = egui::TextEdit::singleline(&mut text).hint_text("Find in this chat");
                    let frame = egui::Frame::NONE.inner_margin(vec2(4.0, 6.0));
                    let field = field.frame(frame).desired_width(ui.available_width());
                    let field = ui.add(field).accessible_name("Find in this chat");
                    if std::mem::take(&mut self.find.focus) {
                        field.request_focus();
                    }
                    if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
                        let back = ui.input(|input| input.modifiers.matches_logically(Modifiers::SHIFT));
                        step = if back { -1 } else { 1 };
                        self.find.focus = true;
                    }
                    if field.changed() {
                        self.search_again(&text);
                        // The last one is nearest to what is read.
                        self.find.at = self.find.hits.len().saturating_sub(1);
                        self.show_hit(0);
                    } else if self.find.searched != self.searchable() {
                        self.search_again(&text);
                        self.find.at = self.find.at.min(self.find.hits.len().saturating_sub(1));
                    }
                });
            });
        });
        self.find.text = Some(text);
        if step != 0 {
            self.show_hit(step);
        }
        if all {
            let text = self.find.text.take().unwrap_or_default();
            self.find.close();
            self.search_all(ui.ctx());
            self.state.search_for(&text);
        } else if close {
            self.find.close();
            self.composer.focus = true;
        }
    }

    fn search_again(&mut self, text: &str) {
        self.find.hits = self.state.find_in_chat(text);
        self.find.searched = self.searchable();
    }

    /// What the hits depend on besides the text.
    fn searchable(&self) -> (Id, Option<Id>, usize) {
        let last = self.state.tree().and_then(|tree| tree.branch().last());
        (self.state.open_id(), last.map(|message| message.id), last.map_or(0, |message| message.text.len()))
    }

    /// Opens the bar above the open chat.
    pub(super) fn open_find(&mut self) {
        self.show_page(super::Page::Chat);
        self.find.open();
    }

    /// Scrolls to the occurrence that is `step` after the present one.
    fn show_hit(&mut self, step: isize) {
        let count = self.find.hits.len() as isize;
        if count > 0 {
            self.find.at = (self.find.at as isize + step).rem_euclid(count) as usize;
            let found = self.find.hits[self.find.at].clone();
            self.scroll_to_found(&found);
        }
    }
}
