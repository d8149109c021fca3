//! The parts of a message.

use egui::{Response, RichText, Ui};

use super::markdown;
use super::{App, composer, style};
use crate::chats::{Id, Message, Role, Status};
use crate::state::Model;
use crate::worker::{Overflow, Remedy};

/// A part of a message that is drawn as one row.
#[derive(Clone, Debug)]
pub(super) enum MessagePart {
    /// The author.
    Header,
    /// A block of its text.
    Block {
        /// Its index in the message.
        index: usize,
        /// Whether it has controls that Tab reaches.
        controls: bool,
        /// Its estimated height in points.
        estimate: f32,
    },
    /// The status and the actions.
    Footer,
    /// The editor of its text.
    Editor,
}

/// The action chosen below a message.
enum Choice {
    Stop,
    Sibling(isize),
    Copy,
    Edit,
    Regenerate,
    Continue(Overflow),
    Alternatives,
    Reload,
    Summary,
    Models,
}

impl App {
    /// Draws a part of a message.
    pub(super) fn message_part(&mut self, ui: &mut Ui, id: Id, part: &MessagePart) {
        let Some(message) = self.state.tree().and_then(|tree| tree.get(id)) else { return };
        if message.role == Role::User {
            // All rows of a user's message share one background.
            let background = ui.max_rect().expand2(egui::vec2(10.0, 0.5));
            ui.painter().rect_filled(background, 0.0, ui.visuals().faint_bg_color);
        }
        match part {
            MessagePart::Header => self.header(ui, id),
            MessagePart::Block { index, .. } => {
                if let Some(block) = self.documents.block(id, *index) {
                    let palette = palette(ui);
                    markdown::draw_block(ui, block, &mut self.markdown, &palette);
                }
            }
            MessagePart::Footer => self.footer(ui, id),
            MessagePart::Editor => self.editor(ui, id),
        }
    }

    fn header(&mut self, ui: &mut Ui, id: Id) {
        let Some(tree) = self.state.tree() else { return };
        let Some(message) = tree.get(id) else { return };
        let name = match (message.role, &message.model) {
            (Role::User, _) => "You".to_owned(),
            (Role::Model, Some(model)) => model.clone(),
            (Role::Model, None) => "Model".to_owned(),
        };
        ui.add_space(4.0);
        ui.horizontal(|ui| {
            ui.add(egui::Label::new(RichText::new(name).strong().size(13.5)).truncate());
            if message.status == Status::Queued || (message.role == Role::Model && self.state.is_queued(id)) {
                ui.label(RichText::new("queued").weak().small());
            }
        });
    }

    fn footer(&mut self, ui: &mut Ui, id: Id) {
        let writing = self.state.is_writing(id);
        let busy = self.state.is_replying_here();
        let Some(tree) = self.state.tree() else { return };
        let Some(message) = tree.get(id) else { return };
        let last = tree.leaf() == Some(id);
        // Not while a job for the message is queued, nor without a model, which would leave the old reply without a new one.
        let can_generate = !self.state.is_queued(id) && !matches!(self.state.model, Model::Failed(_));
        let (index, count) = tree.sibling_position(id);
        let mut choice = None;
        if message.role == Role::Model {
            let problem = self.state.problems.get(&id).copied();
            choice = reply_status(ui, message, writing, problem, self.state.settings.overflow);
        }
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            if writing {
                ui.add(egui::Spinner::new().size(14.0));
                let what = if message.text.is_empty() { " Reading…" } else { " Writing…" };
                ui.label(RichText::new(what).weak().small());
                ui.add_space(8.0);
                if quiet_button(ui, "Stop", "Stop the reply (Esc)") {
                    choice = Some(Choice::Stop);
                }
                return;
            }
            if count > 1 {
                if branch_arrow(ui, index > 0, "<", "Previous branch") {
                    choice = Some(Choice::Sibling(-1));
                }
                ui.label(RichText::new(format!("{}/{count}", index + 1)).weak().size(12.5));
                if branch_arrow(ui, index + 1 < count, ">", "Next branch") {
                    choice = Some(Choice::Sibling(1));
                }
                ui.add_space(4.0);
            }
            if !message.text.is_empty() && quiet_button(ui, "Copy", "Copy the message") {
                choice = Some(Choice::Copy);
            }
            if message.status != Status::Queued && quiet_button(ui, "Edit", "Edit; the old version stays as a branch") {
                choice = Some(Choice::Edit);
            }
            match message.role {
                Role::Model => {
                    // An imported reply may have no question.
                    if message.parent.is_some()
                        && quiet_button_if(ui, can_generate, "Regenerate", "Another reply, as a branch")
                    {
                        choice = Some(Choice::Regenerate);
                    }
                    if quiet_button_if(ui, can_generate, "Continue", "Let the model continue this reply") {
                        choice = Some(Choice::Continue(self.state.settings.overflow));
                    }
                    if !message.text.is_empty()
                        && quiet_button(ui, "Alternatives", "What else the model might have said")
                    {
                        choice = Some(Choice::Alternatives);
                    }
                }
                Role::User if last && !busy && message.status != Status::Queued => {
                    if quiet_button_if(ui, can_generate, "Answer", "Let the model answer this") {
                        choice = Some(Choice::Regenerate);
                    }
                }
                Role::User => {}
            }
            // A reply stopped before its first token has no speed.
            if let Some(speed) = message.speed.filter(|speed| speed.tokens > 0) {
                let text = format!(
                    "{:.1} tokens/s · first after {:.2} s · {} tokens",
                    speed.tokens_per_s,
                    speed.first_token_ms / 1e3,
                    speed.tokens
                );
                ui.add_space(8.0);
                // Kept on one line.
                ui.add(egui::Label::new(RichText::new(text).weak().small()).extend());
            }
        });
        ui.add_space(if message.role == Role::User { 4.0 } else { 10.0 });
        let Some(choice) = choice else { return };
        match choice {
            Choice::Stop => self.state.stop(),
            Choice::Sibling(step) => self.state.show_sibling(id, step),
            Choice::Copy => {
                ui.ctx().copy_text(message.text.clone());
                self.state.notify("Copied.");
            }
            Choice::Edit => self.state.edit(id),
            Choice::Regenerate => self.state.regenerate(id),
            Choice::Continue(overflow) => self.state.continue_reply(id, overflow),
            Choice::Alternatives => self.state.show_alternatives(id),
            Choice::Reload => self.state.reload_and_continue(id),
            Choice::Summary => self.state.start_from_summary(),
            Choice::Models => self.toggle(super::Panel::Models),
        }
    }

    fn editor(&mut self, ui: &mut Ui, id: Id) {
        let Some((_, mut text)) = self.state.editing.take() else { return };
        let user = self.state.tree().and_then(|tree| tree.get(id)).is_some_and(|message| message.role == Role::User);
        let field = ui.make_persistent_id(("edit", id));
        // A dialog above the editor owns the keyboard.
        let layer = ui.layer_id();
        let reachable = ui.ctx().memory(|memory| memory.allows_interaction(layer));
        if !reachable {
            ui.ctx().memory_mut(|memory| memory.surrender_focus(field));
        }
        let focused = reachable && ui.ctx().memory(|memory| memory.has_focus(field));
        // Enter sends an edited message of the user. In a reply it starts a new line.
        let sent = user && focused && self.composer.enter_sends && composer::consume_enter(ui);
        let new_line = if user { egui::Modifiers::SHIFT } else { egui::Modifiers::NONE };
        let response = ui.add(
            egui::TextEdit::multiline(&mut text)
                .id(field)
                .return_key(egui::KeyboardShortcut::new(new_line, egui::Key::Enter))
                .desired_width(f32::INFINITY)
                .desired_rows(3)
                .margin(8.0),
        );
        let response = response.accessible_name("Edit the message");
        if response.changed() {
            self.state.edit_changed();
        }
        if reachable && !ui.ctx().memory(|memory| memory.focused().is_some()) {
            response.request_focus();
        }
        let (mut done, mut cancel) = (sent, false);
        ui.horizontal(|ui| {
            done |= scroll_on_focus(ui.button(if user { "Send" } else { "Save" })).clicked();
            cancel = scroll_on_focus(ui.button("Cancel")).clicked();
            ui.label(RichText::new("The old version stays as a branch.").weak().small());
        });
        let enter = egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, egui::Key::Enter);
        done |= reachable && response.has_focus() && ui.input_mut(|input| input.consume_shortcut(&enter));
        ui.add_space(6.0);
        self.state.editing = Some((id, text));
        if done {
            self.state.finish_edit();
            self.composer.focus = true;
        } else if cancel {
            self.state.editing = None;
            self.state.edit_changed();
            self.composer.focus = true;
        }
    }
}

/// The status of a reply that did not end normally, and its remedies.
fn reply_status(
    ui: &mut Ui,
    message: &Message,
    writing: bool,
    remedy: Option<Remedy>,
    overflow: Overflow,
) -> Option<Choice> {
    let text = match message.status {
        Status::Stopped if message.note.is_none() => Some("Stopped."),
        Status::MaxTokens => Some("The reply reached the limit of tokens in the settings."),
        Status::ContextFull => Some("The context is full, so the reply ends here."),
        _ => None,
    };
    let failed = message.status == Status::Failed;
    let colour = if failed { style::error_color(ui.visuals()) } else { ui.visuals().weak_text_color() };
    for line in text.into_iter().chain(message.note.as_deref().filter(|_| !writing || !failed)) {
        ui.label(RichText::new(line).color(colour).size(13.0));
    }
    let full = message.status == Status::ContextFull || (failed && remedy == Some(Remedy::MakeRoom));
    let mut choice = None;
    if writing || !(full || failed) {
        return None;
    }
    ui.horizontal_wrapped(|ui| match remedy {
        _ if full => {
            let drop = scroll_on_focus(ui.button("Drop the oldest messages"));
            if drop.on_hover_text("They stay in the chat, but the model no longer sees them").clicked() {
                choice = Some(Choice::Continue(Overflow::DropOldest));
            }
            let sum_up = scroll_on_focus(ui.button("Start from a summary"));
            if sum_up.on_hover_text("A new chat that begins with a summary of this one").clicked() {
                choice = Some(Choice::Summary);
            }
        }
        Some(Remedy::Reload) => {
            if scroll_on_focus(ui.button("Load the model again and continue")).clicked() {
                choice = Some(Choice::Reload);
            }
        }
        Some(Remedy::ReduceMemory | Remedy::OtherFile | Remedy::Driver) => {
            if scroll_on_focus(ui.button("Choose another model")).clicked() {
                choice = Some(Choice::Models);
            }
        }
        _ => {
            if scroll_on_focus(ui.button("Try again")).clicked() {
                choice = Some(Choice::Continue(overflow));
            }
        }
    });
    choice
}

/// A small button that shows another branch.
fn branch_arrow(ui: &mut Ui, enabled: bool, sign: &str, label: &str) -> bool {
    let button = ui.add_enabled(enabled, egui::Button::new(sign).small().frame_when_inactive(false));
    scroll_on_focus(button).accessible_name(label).on_hover_text(label).clicked()
}

/// A button without a frame and in a weak colour.
fn quiet_button(ui: &mut Ui, text: &str, hover: &str) -> bool {
    quiet_button_if(ui, true, text, hover)
}

/// A [`quiet_button`] that may be disabled.
fn quiet_button_if(ui: &mut Ui, enabled: bool, text: &str, hover: &str) -> bool {
    let colour = ui.visuals().weak_text_color();
    let button = egui::Button::new(RichText::new(text).color(colour).size(12.5)).frame_when_inactive(false);
    let response = ui.add_enabled(enabled, button);
    scroll_on_focus(response).on_hover_text(hover).clicked()
}

/// Scrolls to a control when it gains the focus.
fn scroll_on_focus(response: Response) -> Response {
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    response
}

/// The colours of a message's text.
fn palette(ui: &Ui) -> markdown::Palette {
    let visuals = ui.visuals();
    markdown::Palette {
        text: visuals.text_color(),
        weak: visuals.weak_text_color(),
        accent_text: visuals.hyperlink_color,
        code_bg: visuals.extreme_bg_color,
        line: visuals.widgets.noninteractive.bg_stroke.color,
        bg: visuals.panel_fill,
    }
}
