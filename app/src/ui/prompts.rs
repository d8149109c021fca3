//! The library of prompts above the field for messages, opened by `/`, and its page in the settings.

use egui::{Align, Context, Key, Layout, Modifiers, Rect, Sense, Ui, vec2};

use super::tokens::Tokens;
use super::{App, icons, kit};
use crate::chats::title_of;
use crate::settings::SavedPrompt;

/// The most prompts shown at once. More words find the others.
const MOST: usize = 8;
/// The height of a row in points.
const ROW: f32 = 36.0;

/// The list of prompts above the field, and the prompt that is being saved.
#[derive(Default)]
pub(super) struct Prompts {
    chosen: usize,
    /// The prompts that the list shows, by their positions; empty while it is closed.
    shown: Vec<usize>,
    /// The draft at which the list was closed by Escape.
    closed_at: Option<String>,
    /// The name of the prompt that is being saved from the draft.
    saving: Option<String>,
}

impl Prompts {
    /// Whether the list is open, which owns the arrows, Enter and Tab.
    pub(super) fn is_open(&self) -> bool {
        !self.shown.is_empty()
    }

    /// Whether the dialog for a name is open.
    pub(super) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Closes the dialog. Returns whether it was open.
    pub(super) fn close_dialog(&mut self) -> bool {
        self.saving.take().is_some()
    }
}

impl App {
    /// Finds the prompts that the draft asks for, and handles the keys of their list. To be called before the field is drawn.
    pub(super) fn prompt_keys(&mut self, ui: &Ui, field: egui::Id, focused: bool) {
        let draft = self.state.draft();
        if self.prompts.closed_at.as_deref().is_some_and(|at| !draft.starts_with(at)) {
            self.prompts.closed_at = None;
        }
        let wanted = self.state.wanted_prompts().filter(|_| focused && self.prompts.closed_at.is_none());
        let mut shown = wanted.unwrap_or_default();
        shown.truncate(MOST);
        let prompts = &mut self.prompts;
        if shown != prompts.shown {
            prompts.chosen = 0;
            prompts.shown = shown;
        }
        let count = prompts.shown.len();
        if count == 0 || !self.composer.enter_sends {
            return;
        }
        let pressed = |key: Key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::ArrowDown) {
            prompts.chosen = (prompts.chosen + 1) % count;
        }
        if pressed(Key::ArrowUp) {
            prompts.chosen = (prompts.chosen + count - 1) % count;
        }
        let chosen = super::composer::consume_enter(ui) | pressed(Key::Tab);
        if chosen && let Some(index) = prompts.shown.get(prompts.chosen).copied() {
            self.use_prompt(ui.ctx(), index, field);
        }
    }

    /// Closes the list of prompts until the draft begins anew. Returns whether it was open.
    pub(super) fn close_prompts(&mut self) -> bool {
        let open = self.prompts.is_open();
        if open {
            self.prompts.closed_at = Some(self.state.draft().to_owned());
            self.prompts.shown.clear();
        }
        open
    }

    fn use_prompt(&mut self, ctx: &Context, index: usize, field: egui::Id) {
        self.state.insert_prompt(index);
        // A prompt may begin with a slash itself.
        self.prompts.closed_at = Some(self.state.draft().to_owned());
        self.prompts.shown.clear();
        self.composer.focus = true;
        let mut edit = egui::TextEdit::load_state(ctx, field).unwrap_or_default();
        let end = egui::text::CCursor::new(self.state.draft().chars().count());
        edit.cursor.set_char_range(Some(egui::text::CCursorRange::one(end)));
        edit.store(ctx, field);
    }

    /// Draws the list above the field, or how to fill an empty library.
    pub(super) fn prompt_list(&mut self, ui: &Ui, card: Rect, field: egui::Id) {
        let empty = self.state.settings.prompts.is_empty() && self.state.draft() == "/";
        let focused = ui.ctx().memory(|memory| memory.has_focus(field));
        if !(self.prompts.is_open() || (empty && focused)) {
            return;
        }
        let mut used = None;
        let width = (card.width() - 16.0).min(480.0);
        let area = egui::Area::new(ui.scope_id().with("prompts")).order(egui::Order::Foreground);
        let area = area.pivot(egui::Align2::LEFT_BOTTOM).fixed_pos(card.left_top() - vec2(0.0, 6.0));
        area.show(ui.ctx(), |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = 2.0;
                if empty {
                    kit::hint(ui, "You have no prompts yet. Write one, then choose “Save as a prompt…” in the menu below; or add one in Settings, Prompts.");
                }
                for (row, index) in self.prompts.shown.iter().enumerate() {
                    if let Some(prompt) = self.state.settings.prompts.get(*index)
                        && prompt_row(ui, prompt, row == self.prompts.chosen)
                    {
                        used = Some(*index);
                    }
                }
            });
        });
        if let Some(index) = used {
            self.use_prompt(ui.ctx(), index, field);
        }
    }

    /// Starts saving the draft as a prompt.
    pub(super) fn save_draft_as_prompt(&mut self) {
        self.prompts.saving = Some(title_of(self.state.draft()));
    }

    /// Draws the dialog for the name of a new prompt.
    pub(super) fn save_prompt_dialog(&mut self, ctx: &Context) {
        let Some(mut name) = self.prompts.saving.take() else { return };
        let known = self.state.settings.prompts.iter().any(|prompt| prompt.name == name.trim());
        let mut done = false;
        let close = kit::dialog(ctx, "Save as a prompt", 380.0, |ui| {
            done = name_field(ui, &mut name, "Name of the prompt");
            kit::hint(
                ui,
                if known { "It replaces the prompt that has this name." } else { "Type / and its name to use it." },
            );
            ui.add_space(4.0);
            done |= kit::primary_if(ui, !name.trim().is_empty(), "Save").clicked();
        });
        if done && !name.trim().is_empty() {
            let draft = self.state.draft().to_owned();
            self.state.save_prompt(&name, &draft);
            self.state.notify("The prompt is saved. Type / to use it.");
            self.composer.focus = true;
        } else if !close {
            self.prompts.saving = Some(name);
        }
    }

    /// The page of the settings.
    pub(super) fn prompts_page(&mut self, ui: &mut Ui) {
        ui.add_space(4.0);
        kit::hint(ui, "Texts that you send again and again. Type / in an empty message to find one by its name.");
        let mut removed = None;
        for (index, prompt) in self.state.settings.prompts.iter_mut().enumerate() {
            ui.add_space(6.0);
            let called = if prompt.name.trim().is_empty() { format!("{}", index + 1) } else { prompt.name.clone() };
            ui.horizontal(|ui| {
                let width = (ui.available_width() - 40.0).max(80.0);
                let field = egui::TextEdit::singleline(&mut prompt.name).hint_text("Name").desired_width(width);
                ui.add(field.margin(vec2(10.0, 7.0))).accessible_name(format!("Name of the prompt {}", index + 1));
                let remove = format!("Remove the prompt {called}");
                if kit::small_icon_button(ui, true, icons::TRASH_2, &remove).clicked() {
                    removed = Some(index);
                }
            });
            let field = egui::TextEdit::multiline(&mut prompt.text).hint_text("Text").desired_rows(2);
            let field = field.desired_width(f32::INFINITY).margin(10.0);
            ui.add(field).accessible_name(format!("Text of the prompt {}", index + 1));
        }
        if let Some(index) = removed {
            self.state.settings.prompts.remove(index);
        }
        ui.add_space(8.0);
        if kit::primary(ui, "Add a prompt").clicked() {
            self.state.settings.prompts.push(SavedPrompt::default());
        }
    }
}

/// A field for a name in a dialog, which gets the focus. Returns whether Enter was pressed in it.
pub(super) fn name_field(ui: &mut Ui, name: &mut String, label: &str) -> bool {
    let field = egui::TextEdit::singleline(name).desired_width(f32::INFINITY).margin(10.0);
    let field = ui.add(field).accessible_name(label);
    let done = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    if !done && !ui.ctx().memory(|memory| memory.focused().is_some()) {
        field.request_focus();
    }
    done
}

/// Draws a prompt's name, and the start of its text behind it. Returns whether it was clicked.
fn prompt_row(ui: &mut Ui, prompt: &SavedPrompt, chosen: bool) -> bool {
    let tokens = Tokens::of(ui.visuals());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    if chosen || response.hovered() {
        let ground = if chosen { tokens.selected } else { tokens.hover };
        ui.painter().rect_filled(rect, super::style::RADIUS, ground);
    }
    let start = title_of(&prompt.text);
    let name = if prompt.name.trim().is_empty() { &start } else { &prompt.name };
    let mut row = ui.new_child(egui::UiBuilder::new().max_rect(rect.shrink2(vec2(10.0, 0.0))));
    row.with_layout(Layout::left_to_right(Align::Center), |ui| {
        let text = kit::medium(kit::shorten_middle(name, 36), 13.5).color(tokens.text);
        ui.add(egui::Label::new(text).selectable(false));
        let text = egui::RichText::new(&start).size(12.5).color(tokens.weak);
        ui.add(egui::Label::new(text).truncate().selectable(false));
    });
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, chosen, format!("Prompt {name}")));
    response.clicked()
}
