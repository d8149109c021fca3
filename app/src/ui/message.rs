//! The parts of a message.

use std::ops::Range;

use egui::text::{LayoutJob, TextFormat};
use egui::{Align, CornerRadius, Layout, Ui, UiBuilder, pos2, vec2};

use super::colours::Colours;
use super::markdown;
use super::{App, bidi, composer, icons, kit};
use crate::chats::{Attachment, Id, Role, Status};

/// The share of the column that a bubble may take.
const BUBBLE_WIDTH: f32 = 0.8;
/// The corner radius of a bubble.
const BUBBLE_RADIUS: u8 = 14;
/// Longer questions are drawn in several rows, so that only the visible part of a very long one is laid out.
pub(super) const BUBBLE_BYTES: usize = 4096;

/// A part of a message that is drawn as one row.
#[derive(Clone, Debug)]
pub(super) enum MessagePart {
    /// The space above, and the author where it changed.
    Header,
    /// A block of a reply, by its index.
    Block(usize),
    /// Text of a question.
    Bubble {
        /// Its bytes in the message.
        range: Range<usize>,
        /// Whether the question begins here.
        first: bool,
        /// Whether it ends here.
        last: bool,
    },
    /// The status and the actions.
    Footer,
    /// The editor of its text.
    Editor,
}

/// The pieces in which a question is drawn: whole lines of about [`BUBBLE_BYTES`] each.
pub(super) fn bubble_pieces(text: &str) -> Vec<Range<usize>> {
    let text_end = text.trim_end().len();
    let mut pieces = Vec::new();
    let mut from = 0;
    while text_end - from > BUBBLE_BYTES {
        let most = text.floor_char_boundary(from + BUBBLE_BYTES);
        let end = text[from..most].rfind('\n').map_or(most, |line| from + line + 1);
        pieces.push(from..end);
        from = end;
    }
    pieces.push(from..text_end);
    pieces
}

impl App {
    /// Draws a part of a message.
    pub(super) fn message_part(&mut self, ui: &mut Ui, id: Id, part: &MessagePart) {
        let Some(message) = self.state.tree().and_then(|tree| tree.get(id)) else { return };
        match part {
            MessagePart::Header => self.header(ui, id),
            MessagePart::Bubble { range, first, last } => {
                if *first {
                    attachments(ui, &message.attachments);
                }
                bubble(ui, &message.text[range.clone()], *first, *last, &self.markdown.wanted);
            }
            MessagePart::Block(index) => {
                if let Some(block) = self.documents.block(id, *index) {
                    markdown::draw_block(ui, block, &mut self.markdown);
                }
            }
            MessagePart::Footer => self.footer(ui, id),
            MessagePart::Editor => self.editor(ui, id),
        }
    }

    /// The space above a message. A reply names its model if the one before is of another, or if it is of a server.
    fn header(&mut self, ui: &mut Ui, id: Id) {
        let Some(tree) = self.state.tree() else { return };
        let Some(message) = tree.get(id) else { return };
        if message.role == Role::User {
            ui.add_space(if message.parent.is_some() { 20.0 } else { 4.0 });
            if message.status == Status::Queued {
                ui.with_layout(Layout::right_to_left(Align::Min), |ui| kit::hint(ui, "queued"));
            }
            return;
        }
        let before =
            tree.branch().rev().skip_while(|other| other.id != id).skip(1).find(|other| other.role == Role::Model);
        let queued = self.state.is_queued(id);
        let of_server = message.model.as_deref().is_some_and(crate::endpoint::is_of_server);
        let named = of_server || before.is_some_and(|before| before.model != message.model);
        if !(named || queued) {
            return;
        }
        ui.horizontal(|ui| {
            let weak = Colours::of(ui.visuals()).weak;
            if let Some(model) = message.model.as_ref().filter(|_| named) {
                ui.add(egui::Label::new(kit::medium(model, 12.5).color(weak)).truncate());
            }
            if queued {
                kit::hint(ui, "queued");
            }
        });
        ui.add_space(4.0);
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
                .margin(12.0),
        );
        let response = response.accessible_name("Edit the message");
        if response.changed() {
            self.state.edit_changed();
        }
        if reachable && !ui.ctx().memory(|memory| memory.focused().is_some()) {
            response.request_focus();
        }
        let (mut done, mut cancel) = (sent, false);
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            done |= kit::scroll_on_focus(kit::primary(ui, if user { "Send" } else { "Save" })).clicked();
            cancel = kit::scroll_on_focus(kit::ghost(ui, "Cancel")).clicked();
            kit::hint(ui, "The old version stays as a branch.");
        });
        let enter = egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, egui::Key::Enter);
        done |= reachable && response.has_focus() && ui.input_mut(|input| input.consume_shortcut(&enter));
        ui.add_space(8.0);
        self.state.editing = Some((id, text));
        if done {
            self.state.finish_edit();
            if user {
                self.follow();
            }
            self.composer.focus = true;
        } else if cancel {
            self.state.editing = None;
            self.state.edit_changed();
            self.composer.focus = true;
        }
    }
}

/// Draws the names of a question's attachments above it. A click shows the text of one.
fn attachments(ui: &mut Ui, attachments: &[Attachment]) {
    if attachments.is_empty() {
        return;
    }
    let colours = Colours::of(ui.visuals());
    ui.with_layout(Layout::right_to_left(Align::Min).with_main_wrap(true), |ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        // From the right, so that they read from the left.
        for attachment in attachments.iter().rev() {
            let sign = kit::icon(icons::FILE_TEXT, 15.0).color(colours.mid);
            let text = kit::medium(kit::shorten_middle(&attachment.name, 32), 12.5).color(colours.mid);
            let response = ui.add(egui::Button::new((sign, text)));
            let response = response.accessible_name(format!("Attachment {}", attachment.name));
            egui::Popup::menu(&response).gap(4.0).width(520.0).show(|ui| {
                egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                    // Only the start of a long text: it is there to be recognized, not to be read.
                    let start = &attachment.text[..attachment.text.floor_char_boundary(4000)];
                    ui.label(egui::RichText::new(start).monospace().size(12.5));
                });
            });
        }
    });
    ui.add_space(6.0);
}

/// Draws text of a question in a bubble at the right. A bubble of several rows is as wide as it may be.
fn bubble(ui: &mut Ui, text: &str, first: bool, last: bool, wanted: &str) {
    let colours = Colours::of(ui.visuals());
    if text.is_empty() {
        return;
    }
    let column = egui::Rect::from_min_max(pos2(ui.max_rect().left(), ui.cursor().top()), ui.max_rect().max);
    let padding = vec2(16.0, 10.0);
    let text_width = column.width() * BUBBLE_WIDTH - 2.0 * padding.x;
    let format = TextFormat {
        font_id: egui::FontId::proportional(15.0),
        color: colours.text,
        line_height: Some(24.0),
        ..TextFormat::default()
    };
    let mut job = LayoutJob::single_section(text.to_owned(), format);
    job.wrap.max_width = text_width;
    let galley = bidi::layout(ui, job, &[]);
    let (above, below) = (if first { padding.y } else { 0.0 }, if last { padding.y } else { 0.0 });
    let width = if first && last { galley.size().x } else { text_width };
    let size = vec2(width + 2.0 * padding.x, galley.size().y + above + below);
    let rect = egui::Rect::from_min_size(pos2(column.right() - size.x, column.top()), size);
    let (top, bottom) = (if first { BUBBLE_RADIUS } else { 0 }, if last { BUBBLE_RADIUS } else { 0 });
    let corners = CornerRadius { nw: top, ne: top, sw: bottom, se: bottom };
    ui.painter().rect_filled(rect, corners, colours.card);
    let inner = egui::Rect::from_min_size(rect.min + vec2(padding.x, above), vec2(width, galley.size().y));
    let corner = if galley.job.halign == Align::RIGHT { inner.right_top() } else { inner.min };
    markdown::mark_found(ui, &galley, corner, wanted, colours.found);
    ui.scope_builder(UiBuilder::new().max_rect(inner), |ui| {
        if galley.job.halign == Align::RIGHT {
            ui.set_min_width(width);
            ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
                ui.add(egui::Label::new(bidi::selectable(&galley)).selectable(true))
            });
        } else {
            ui.add(egui::Label::new(bidi::selectable(&galley)).selectable(true));
        }
    });
    ui.advance_cursor_after_rect(rect);
}

#[cfg(test)]
mod tests {
    use super::{BUBBLE_BYTES, bubble_pieces};

    #[test]
    fn a_long_question_is_cut_at_lines() {
        assert!(bubble_pieces("a\nb\n").into_iter().eq(std::iter::once(0..3)));
        assert!(bubble_pieces("").into_iter().eq(std::iter::once(0..0)));
        let text = "one line of text\n".repeat(1000);
        let pieces = bubble_pieces(&text);
        assert!(pieces.len() > 3);
        assert!(pieces.iter().all(|piece| piece.len() <= BUBBLE_BYTES));
        assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start && text[..pair[0].end].ends_with('\n')));
        let long = "ä".repeat(5000);
        assert_eq!(bubble_pieces(&long).iter().map(|piece| long[piece.clone()].len()).sum::<usize>(), long.len());
    }
}
