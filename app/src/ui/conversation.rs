//! The messages of the open chat, of which only the visible rows are drawn.

use std::collections::HashMap;

use egui::{Rect, Ui, UiBuilder, pos2, vec2};

use super::App;
use super::colours::Colours;
use super::icons;
use super::kit;
use super::markdown::Block;
use super::message::{MessagePart, bubble_pieces};
use super::style::COLUMN;
use super::virtual_rows::{Anchor, VirtualRows};
use crate::chats::{Id, Role};
use crate::state::Found;

/// How far beyond the visible area rows are drawn, in points, so that Tab reaches controls just outside.
const MARGIN: f32 = 300.0;
/// The fraction of the visible height that a page key scrolls. The rest stays visible for context.
const PAGE_FRACTION: f32 = 0.9;
/// The space above the first message and below the last, in points.
const EDGE: f32 = 20.0;
/// How far the view must be from the end for the button to the end to be shown, in points.
const FAR_FROM_END: f32 = 60.0;

/// A scroll command from the keyboard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Navigation {
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the start of the chat.
    First,
    /// To the end of the chat.
    Last,
}

/// A row: a message, and the index of one of its parts.
type RowKey = (Id, usize);

/// The row above a message's text.
const HEADER: usize = 0;
/// The row of the editor.
const EDITOR: usize = usize::MAX - 1;
/// The row below a message's text.
const FOOTER: usize = usize::MAX;

/// Where a chat is scrolled to.
#[derive(Clone, Copy, Debug)]
enum View {
    /// At the end, also while it grows.
    End,
    /// With this place at the top.
    At(Anchor<RowKey>),
}

/// The drawing state of the conversation.
#[derive(Default)]
pub(super) struct Conversation {
    rows: VirtualRows<RowKey>,
    /// The views of chats that are not at their end.
    views: HashMap<Id, Anchor<RowKey>>,
    /// The offset of the end in the last frame.
    end: f32,
    /// A pending scroll command, and whether the rows at its target have been measured.
    pub(super) navigation: Option<(Navigation, bool)>,
    /// The message under the pointer in the last frame.
    pub(super) hovered: Option<Id>,
    /// The message of which a control has the focus.
    pub(super) focused: Option<Id>,
}

impl App {
    /// The central area of the window.
    pub(super) fn conversation_area(&mut self, ui: &mut Ui) {
        // Taken before the early returns, so that it does not apply to the next chat.
        let navigation = self.conversation.navigation.take();
        let Some(tree) = self.state.tree() else {
            ui.centered_and_justified(kit::working);
            return;
        };
        if tree.path().is_empty() {
            self.greeting(ui);
            return;
        }
        let path = tree.path().to_vec();
        self.documents.retain(&path);
        self.markdown.wanted = self.find.text().unwrap_or_default().to_owned();
        let chat = self.state.open_id();
        // The bar at the right has its own room, so that it covers nothing.
        let bar = ui.spacing().scroll.allocated_width();
        let area_width = ui.available_width() - bar;
        let width = (area_width - 2.0 * 16.0).min(COLUMN);
        let left = ui.max_rect().left() + (area_width - width) / 2.0;
        self.place_rows(&path, width);
        let height = ui.available_height();
        let total = self.conversation.rows.total() + 2.0 * EDGE;
        let end = (total - height).max(0.0);
        let view = self.view(chat, &path, height);
        let mut wanted = match &view {
            View::End => end,
            View::At(anchor) => self.conversation.rows.offset_of(anchor).map_or(end, |offset| offset + EDGE),
        };
        let mut moved = false;
        match navigation {
            // The target rows are drawn once before scrolling, to measure their heights.
            Some((navigation, false)) => {
                self.conversation.navigation = Some((navigation, true));
                ui.ctx().request_repaint();
            }
            Some((navigation, true)) => {
                moved = true;
                wanted = match navigation {
                    Navigation::PageUp => wanted - height * PAGE_FRACTION,
                    Navigation::PageDown => wanted + height * PAGE_FRACTION,
                    Navigation::First => 0.0,
                    Navigation::Last => end,
                };
            }
            None => {}
        }
        let wanted = wanted.clamp(0.0, end);
        let margin = if navigation.is_some() { MARGIN.max(height) } else { MARGIN };
        let over = ui.rect_contains_pointer(ui.max_rect());
        let wheel = if over { ui.input(|input| input.smooth_scroll_delta().y) } else { 0.0 };
        // A bound of the frame before would pull the view back while the text grows.
        ui.spacing_mut().scroll.kinetic.rubber_band = false;
        let output = egui::ScrollArea::vertical()
            .id_salt(("conversation", chat))
            .auto_shrink(false)
            .vertical_scroll_offset(wanted)
            .show_viewport(ui, |ui, viewport| {
                ui.set_min_size(vec2(ui.available_width(), total));
                self.draw_rows(ui, (viewport.min.y - margin, viewport.max.y + margin), left, width);
            });
        // What the wheel, the bar or a finger made of it.
        // The library clamps to the end of the frame before. Where that is above the present one, only the wheel tells what
        // the user did.
        let grew = end > std::mem::replace(&mut self.conversation.end, end) + 0.5;
        let offset = if grew { wanted - wheel } else { output.state.unclamped_offset().y };
        let offset = offset.clamp(0.0, end);
        moved |= (offset - wanted).abs() > 0.5;
        if moved || matches!(view, View::End) {
            let at_end = offset >= end - 1.0;
            let anchor = self.conversation.rows.anchor_at(offset - EDGE).filter(|_| moved && !at_end);
            match anchor {
                Some(anchor) => {
                    self.conversation.views.insert(chat, anchor);
                }
                None if at_end || !moved => {
                    self.conversation.views.remove(&chat);
                }
                None => {}
            }
        }
        if end - offset > FAR_FROM_END {
            self.button_to_the_end(ui, output.inner_rect, chat);
        }
    }

    /// Where the chat is scrolled to, after a message that is to be shown has moved it.
    fn view(&mut self, chat: Id, path: &[Id], height: f32) -> View {
        if let Some(target) = self.state.scroll_to.filter(|target| path.contains(target)) {
            self.state.scroll_to = None;
            self.conversation.views.insert(chat, Anchor { row: (target, HEADER), below: -height * 0.2 });
        }
        self.conversation.views.get(&chat).map_or(View::End, |anchor| View::At(*anchor))
    }

    /// Scrolls the open chat to its end, and keeps it there while it grows.
    pub(super) fn follow(&mut self) {
        self.state.scroll_to = None;
        self.conversation.views.remove(&self.state.open_id());
    }

    /// Shows the row of a message in which a text was found.
    pub(super) fn scroll_to_found(&mut self, found: &Found) {
        let Some(message) = self.state.tree().and_then(|tree| tree.get(found.message)) else { return };
        let row = if message.role == Role::User {
            let pieces = bubble_pieces(&message.text);
            pieces.iter().rposition(|piece| piece.start <= found.range.start).unwrap_or(0)
        } else {
            self.documents.block_at(found.message, found.range.start)
        };
        let anchor = Anchor { row: (found.message, row + 1), below: -80.0 };
        self.conversation.views.insert(self.state.open_id(), anchor);
    }

    fn button_to_the_end(&mut self, ui: &mut Ui, area: Rect, chat: Id) {
        let colours = Colours::of(ui.visuals());
        let rect = Rect::from_center_size(pos2(area.center().x, area.bottom() - 30.0), vec2(36.0, 36.0));
        let button = egui::Button::new(kit::icon(icons::ARROW_DOWN, 18.0).color(colours.text));
        let button = button.fill(colours.card).stroke(egui::Stroke::new(1.0, colours.line)).corner_radius(18);
        let response = ui.scope(|ui| {
            ui.spacing_mut().button_padding = vec2(9.0, 9.0);
            ui.put(rect, button)
        });
        if kit::named(response.inner, "To the end").clicked() {
            self.conversation.views.remove(&chat);
        }
    }

    /// Draws the rows that touch the range from `from` to `to`, in points from the top of the content.
    fn draw_rows(&mut self, ui: &mut Ui, (from, to): (f32, f32), left: f32, width: f32) {
        let top = ui.max_rect().top() + EDGE;
        let pointer = ui.ctx().pointer_hover_pos().filter(|pos| ui.clip_rect().contains(*pos));
        let pointer = pointer.filter(|_| ui.ctx().memory(|memory| memory.allows_interaction(ui.layer_id())));
        let rows = &self.conversation.rows;
        self.conversation.hovered = pointer.and_then(|pos| {
            let rows_below = (0.0..=rows.total()).contains(&(pos.y - top));
            rows.anchor_at(pos.y - top).filter(|_| rows_below).map(|anchor| anchor.row.0)
        });
        let inside = rows.within(from - EDGE, to - EDGE);
        // The nearest rows with controls beyond the range, so that Tab can move through the whole chat. An editor that is
        // not drawn would lose the focus, and the text typed next with it.
        let documents = &self.documents;
        let has_controls = |index: &usize| match rows.placed()[*index].row {
            (_, FOOTER | EDITOR) => true,
            (_, HEADER) => false,
            (id, part) => documents.block(id, part - 1).is_some_and(Block::has_controls),
        };
        let above = (0..inside.start).rev().find(has_controls);
        let below = (inside.end..rows.placed().len()).find(has_controls);
        let editor = rows.placed().iter().position(|row| row.row.1 == EDITOR);
        let drawn: std::collections::BTreeSet<usize> = inside.chain(above).chain(below).chain(editor).collect();
        self.conversation.focused =
            self.conversation.focused.filter(|_| ui.ctx().memory(|memory| memory.focused().is_some()));
        let mut settled = true;
        for index in drawn {
            let placed = self.conversation.rows.placed()[index];
            let (id, part) = placed.row;
            let Some(part) = self.part(id, part) else { continue };
            let rect = Rect::from_min_size(pos2(left, top + placed.top), vec2(width, placed.height.max(1.0)));
            let mut child = ui.new_child(UiBuilder::new().id_salt(placed.row).max_rect(rect));
            child.set_width(width);
            child.spacing_mut().item_spacing.y = 0.0;
            self.message_part(&mut child, id, &part);
            let height = child.min_rect().height();
            settled &= !self.conversation.rows.measured(placed.row, height);
        }
        if !settled {
            ui.ctx().request_repaint();
        }
    }

    /// The part of a message that a row shows.
    fn part(&mut self, id: Id, index: usize) -> Option<MessagePart> {
        let message = self.state.tree()?.get(id)?;
        Some(match index {
            HEADER => MessagePart::Header,
            EDITOR => MessagePart::Editor,
            FOOTER => MessagePart::Footer,
            _ if message.role == Role::User => {
                let pieces = bubble_pieces(&message.text);
                let range = pieces.get(index - 1)?.clone();
                MessagePart::Bubble { range, first: index == 1, last: index == pieces.len() }
            }
            _ => MessagePart::Block(index - 1),
        })
    }

    /// Places all rows of the branch.
    fn place_rows(&mut self, path: &[Id], width: f32) {
        let editing = self.state.editing.as_ref().map(|(id, _)| *id);
        self.conversation.rows.begin(width);
        for id in path {
            let Some(message) = self.state.tree().and_then(|tree| tree.get(*id)) else { continue };
            let rows = &mut self.conversation.rows;
            rows.push((*id, HEADER), || 20.0);
            if editing == Some(*id) {
                rows.push((*id, EDITOR), || 120.0);
                continue;
            }
            if message.role == Role::User {
                for (index, piece) in bubble_pieces(&message.text).into_iter().enumerate() {
                    rows.push((*id, index + 1), || estimated_height(&message.text[piece], width * 0.8));
                }
            } else {
                for (index, block) in self.documents.of(*id, &message.text).iter().enumerate() {
                    rows.push((*id, index + 1), || block.estimated_height(width));
                }
            }
            rows.push((*id, FOOTER), || 36.0);
        }
        self.conversation.rows.retain(|(id, _)| path.contains(id));
    }
}

/// Estimates the height of a question's text that was never drawn, in points.
fn estimated_height(text: &str, width: f32) -> f32 {
    let lines: f32 = text.lines().map(|line| (line.len() as f32 * 7.6 / width).ceil().max(1.0)).sum();
    lines.max(1.0) * 24.0 + 12.0
}
