//! What stands below a message: its status, its actions, its branches and its speed.

use egui::{Align, Layout, RichText, Ui, vec2};

use super::colours::Colours;
use super::{App, Page, icons, kit};
use crate::chats::{Id, Message, Role, Speed, Status};
use crate::state::Model;
use crate::worker::{Overflow, Remedy};

/// Below this number of tokens a speed says nothing.
const LEAST_TOKENS_FOR_SPEED: u32 = 8;

/// The action chosen below a message.
enum Choice {
    Sibling(isize),
    Copy,
    Edit,
    Regenerate,
    Continue(Overflow),
    Alternatives,
    Fork,
    Delete,
    Cancel,
    Reload,
    Summary,
    Models,
}

impl App {
    /// The row below a message.
    pub(super) fn footer(&mut self, ui: &mut Ui, id: Id) {
        let Some(message) = self.state.tree().and_then(|tree| tree.get(id)) else { return };
        let mut choice = None;
        if message.role == Role::Model {
            let problem = self.state.problems.get(&id).copied();
            choice = reply_status(ui, message, self.state.is_writing(id), problem, self.state.settings.overflow);
        }
        if self.state.is_writing(id) {
            self.writing(ui, id);
        } else {
            choice = self.actions(ui, id).or(choice);
        }
        if let Some(choice) = choice {
            self.act(ui, id, choice);
        }
    }

    /// What is shown while a reply is written.
    fn writing(&self, ui: &mut Ui, id: Id) {
        let Some(message) = self.state.tree().and_then(|tree| tree.get(id)) else { return };
        let text = match message.text.is_empty() {
            _ if self.state.is_stopping() => "Stopping…",
            true => "Reading…",
            false => "Writing…",
        };
        ui.horizontal(|ui| {
            ui.set_min_height(28.0);
            kit::working(ui);
            kit::hint(ui, text);
        });
    }

    /// The actions. They are always there for the keyboard and for screen readers, and seen where the pointer or the focus
    /// is, and below the last reply.
    fn actions(&mut self, ui: &mut Ui, id: Id) -> Option<Choice> {
        let busy = self.state.is_replying_here();
        let tree = self.state.tree()?;
        let message = tree.get(id)?;
        let last = tree.leaf() == Some(id);
        // Not while a job for the message is queued, nor without a model, which would leave the old reply without a new one.
        let can_generate = !self.state.is_queued(id) && !matches!(self.state.model, Model::Failed(_));
        let of_server = self.state.used_server().is_some();
        let (index, count) = tree.sibling_position(id);
        let is_reply = message.role == Role::Model;
        let conversation = &self.conversation;
        let seen = (last && is_reply) || conversation.hovered == Some(id) || conversation.focused == Some(id);
        let overflow = self.state.settings.overflow;
        let layout = if is_reply { Layout::left_to_right(Align::Center) } else { Layout::right_to_left(Align::Center) };
        let mut choice = None;
        let mut focused = false;
        let height = if is_reply { 32.0 } else { 28.0 };
        ui.allocate_ui_with_layout(vec2(ui.available_width(), height), layout, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            // The icon, not its ground, is aligned with the text.
            if is_reply {
                ui.add_space(-6.0);
            }
            let mut action = |ui: &mut Ui, enabled: bool, sign: char, name: &str, chosen: Choice| {
                let response = kit::scroll_on_focus(kit::small_icon_button(ui, enabled, sign, name));
                focused |= response.has_focus();
                if response.clicked() {
                    choice = Some(chosen);
                }
            };
            ui.scope(|ui| {
                ui.set_opacity(if seen { 1.0 } else { 0.0 });
                if !message.text.is_empty() {
                    action(ui, true, icons::COPY, "Copy", Choice::Copy);
                }
                action(ui, true, icons::PENCIL, "Edit", Choice::Edit);
                if is_reply {
                    if self.state.question_of(id).is_some() {
                        action(ui, can_generate, icons::REFRESH_CW, "Regenerate", Choice::Regenerate);
                    }
                    // A server would answer a reply rather than continue it.
                    if !of_server || message.text.is_empty() {
                        action(ui, can_generate, icons::PLAY, "Continue", Choice::Continue(overflow));
                    }
                    if !message.text.is_empty() {
                        action(ui, true, icons::SPLIT, "Alternatives", Choice::Alternatives);
                    }
                } else if last && !busy && message.status != Status::Queued {
                    action(ui, can_generate, icons::REFRESH_CW, "Answer", Choice::Regenerate);
                }
                if self.state.is_queued(id) {
                    action(ui, true, icons::X, "Cancel this", Choice::Cancel);
                } else {
                    action(ui, true, icons::GIT_BRANCH, "New chat from here", Choice::Fork);
                    action(ui, true, icons::TRASH_2, "Delete this message", Choice::Delete);
                }
            });
            if count > 1 {
                // Arrows point the same way in both layouts.
                let arrows = [
                    (icons::CHEVRON_LEFT, "Previous branch", index > 0, -1),
                    (icons::CHEVRON_RIGHT, "Next branch", index + 1 < count, 1),
                ];
                let [first, second] = if is_reply { arrows } else { [arrows[1], arrows[0]] };
                ui.add_space(8.0);
                action(ui, first.2, first.0, first.1, Choice::Sibling(first.3));
                let mid = Colours::of(ui.visuals()).mid;
                ui.label(kit::medium(format!("{}/{count}", index + 1), 12.5).color(mid));
                action(ui, second.2, second.0, second.1, Choice::Sibling(second.3));
            }
            if is_reply && let Some(speed) = message.speed.filter(|speed| speed.tokens > 0) {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| show_speed(ui, &speed, seen));
            }
        });
        if focused {
            self.conversation.focused = Some(id);
        }
        choice
    }

    fn act(&mut self, ui: &Ui, id: Id, choice: Choice) {
        match choice {
            Choice::Sibling(step) => self.state.show_sibling(id, step),
            Choice::Copy => {
                if let Some(message) = self.state.tree().and_then(|tree| tree.get(id)) {
                    ui.ctx().copy_text(message.text.clone());
                    self.state.notify("Copied.");
                }
            }
            Choice::Edit => self.state.edit(id),
            Choice::Regenerate => {
                self.state.regenerate(id);
                self.follow();
            }
            Choice::Continue(overflow) => {
                self.state.continue_reply(id, overflow);
                self.follow();
            }
            Choice::Alternatives => self.state.show_alternatives(id),
            Choice::Fork => self.state.fork(id),
            Choice::Delete => self.state.delete_message(id),
            Choice::Cancel => self.state.cancel_queued(id),
            Choice::Reload => self.state.reload_and_continue(id),
            Choice::Summary => self.state.start_from_summary(),
            Choice::Models => self.show_page(Page::Models),
        }
    }
}

/// The speed of a reply in short, and in full as a tooltip.
fn show_speed(ui: &mut Ui, speed: &Speed, seen: bool) {
    let tokens = if speed.tokens == 1 { "1 token".to_owned() } else { format!("{} tokens", speed.tokens) };
    let first = format!("first after {:.2} s", speed.first_token_ms / 1e3);
    let (short, full) = if speed.tokens >= LEAST_TOKENS_FOR_SPEED {
        let rate = speed.tokens_per_s;
        let rate = if rate < 10.0 { format!("{rate:.1} tok/s") } else { format!("{rate:.0} tok/s") };
        (rate.clone(), format!("{:.1} tokens/s · {first} · {tokens}", speed.tokens_per_s))
    } else {
        (tokens.clone(), format!("{first} · {tokens}"))
    };
    let weak = Colours::of(ui.visuals()).weak;
    ui.set_opacity(if seen { 1.0 } else { 0.0 });
    ui.label(RichText::new(short).size(12.5).color(weak)).on_hover_text(full);
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
    let colours = Colours::of(ui.visuals());
    let colour = if failed { colours.danger } else { colours.weak };
    for line in text.into_iter().chain(message.note.as_deref().filter(|_| !writing || !failed)) {
        ui.label(RichText::new(line).color(colour).size(13.0));
    }
    let full = message.status == Status::ContextFull || (failed && remedy == Some(Remedy::MakeRoom));
    if writing || !(full || failed) {
        return None;
    }
    let mut choice = None;
    ui.add_space(6.0);
    ui.horizontal_wrapped(|ui| {
        let mut offer = |ui: &mut Ui, text: &str, explanation: &str, chosen: Choice| {
            let response = kit::scroll_on_focus(ui.button(text));
            let response = if explanation.is_empty() { response } else { response.on_hover_text(explanation) };
            if response.clicked() {
                choice = Some(chosen);
            }
        };
        match remedy {
            _ if full => {
                let explanation = "They stay in the chat, but the model no longer sees them";
                offer(ui, "Drop the oldest messages", explanation, Choice::Continue(Overflow::DropOldest));
                let explanation = "A new chat that begins with a summary of this one";
                offer(ui, "Start from a summary", explanation, Choice::Summary);
            }
            Some(Remedy::Reload) => offer(ui, "Load the model again and continue", "", Choice::Reload),
            Some(Remedy::ReduceMemory | Remedy::OtherFile | Remedy::Driver) => {
                offer(ui, "Choose another model", "", Choice::Models);
            }
            _ => offer(ui, "Try again", "", Choice::Continue(overflow)),
        }
    });
    choice
}
