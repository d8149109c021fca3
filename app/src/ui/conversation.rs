//! The messages of the open chat. Only visible rows are drawn. The heights of the others are remembered, or estimated
//! until they have been drawn.

use std::collections::HashMap;

use egui::{Rect, Ui, UiBuilder, pos2, vec2};

use super::App;
use super::message::MessagePart;
use super::style::COLUMN;
use crate::chats::{Id, Role};
use crate::state::Model;

/// How far beyond the visible area rows are drawn, in points, so that Tab reaches controls just outside.
const MARGIN: f32 = 300.0;
/// The fraction of the visible height that a page key scrolls. The rest stays visible for context.
const PAGE_FRACTION: f32 = 0.9;

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

/// The drawing state of the conversation.
#[derive(Default)]
pub(super) struct Conversation {
    /// The width and zoom that the heights were measured at.
    shape: (f32, f32),
    heights: HashMap<(Id, usize), f32>,
    chat: Option<Id>,
    /// A pending scroll command, and whether the rows at its target have been measured.
    pub(super) navigation: Option<(Navigation, bool)>,
    /// The scroll offset of the next frame, if rows above the visible area turned out to have other heights.
    offset: Option<f32>,
}

/// A row of the conversation.
struct Row {
    message: Id,
    /// Its index in the message.
    index: usize,
    part: MessagePart,
    height: f32,
}

impl Row {
    /// Whether it has controls that Tab reaches.
    fn has_controls(&self) -> bool {
        match &self.part {
            MessagePart::Footer | MessagePart::Editor => true,
            MessagePart::Block { controls, .. } => *controls,
            MessagePart::Header => false,
        }
    }
}

impl App {
    /// The central area of the window.
    pub(super) fn conversation_area(&mut self, ui: &mut Ui) {
        // Taken before the early returns, so that it does not apply to the next chat.
        let navigation = self.conversation.navigation.take();
        let Some(tree) = self.state.tree() else {
            ui.centered_and_justified(|ui| ui.spinner());
            return;
        };
        if tree.path().is_empty() {
            self.greeting(ui);
            return;
        }
        let path = tree.path().to_vec();
        self.documents.retain(&path);
        let chat = self.state.open_id();
        let switched = self.conversation.chat.replace(chat) != Some(chat);
        let target = self.state.scroll_to;
        let editing = self.state.editing.as_ref().map(|(id, _)| *id);
        // How much higher the rows above the visible area are than estimated.
        let mut growth = 0.0;
        let area =
            egui::ScrollArea::vertical().id_salt(("conversation", chat)).auto_shrink(false).stick_to_bottom(true);
        let area = match self.conversation.offset.take().filter(|_| !switched) {
            Some(offset) => area.vertical_scroll_offset(offset),
            None => area,
        };
        let output = area.show_viewport(ui, |ui, viewport| {
            let left = ui.max_rect().left() + ((ui.available_width() - COLUMN) / 2.0).max(8.0);
            let width = (ui.available_width() - 16.0).min(COLUMN);
            let shape = (width.round(), ui.ctx().zoom_factor());
            if self.conversation.shape != shape {
                self.conversation.shape = shape;
                self.conversation.heights.clear();
            }
            let rows = self.rows(&path, width);
            let total: f32 = rows.iter().map(|row| row.height).sum();
            let top = ui.max_rect().top();
            ui.set_min_size(vec2(ui.available_width(), total + 16.0));
            let page = viewport.height() * PAGE_FRACTION;
            let margin = if navigation.is_some() { MARGIN.max(page) } else { MARGIN };
            match navigation {
                // The target rows are drawn once before scrolling, to measure their heights.
                Some((navigation, false)) => {
                    self.conversation.navigation = Some((navigation, true));
                    ui.ctx().request_repaint();
                }
                Some((navigation, true)) => {
                    let delta = match navigation {
                        Navigation::PageUp => page,
                        Navigation::PageDown => -page,
                        Navigation::First => viewport.min.y,
                        Navigation::Last => viewport.max.y - total - 16.0,
                    };
                    ui.scroll_with_delta_animation(vec2(0.0, delta), egui::style::ScrollAnimation::none());
                }
                None => {}
            }
            let (from, to) = (viewport.min.y - margin, viewport.max.y + margin);
            let nearby = nearest_with_controls(&rows, from, to);
            let mut y = 8.0;
            let mut settled = true;
            for (index, row) in rows.into_iter().enumerate() {
                let begins = y;
                y += row.height;
                if target == Some(row.message) && row.index == 0 {
                    let height = if editing == target { 200.0 } else { 40.0 };
                    let rect = Rect::from_min_size(pos2(left, top + begins), vec2(width, height));
                    let align = if switched { Some(egui::Align::Center) } else { None };
                    ui.scroll_to_rect(rect, align);
                }
                // An editor that is not drawn would lose the focus, and the text typed next with it.
                let kept = nearby.contains(&Some(index)) || matches!(row.part, MessagePart::Editor);
                if (y < from || begins > to) && !kept {
                    continue;
                }
                let rect = Rect::from_min_size(pos2(left, top + begins), vec2(width, row.height.max(1.0)));
                let salt = (row.message, row.index);
                let mut child = ui.new_child(UiBuilder::new().id_salt(salt).max_rect(rect));
                child.set_width(width);
                self.message_part(&mut child, row.message, &row.part);
                let height = child.min_rect().height() + child.spacing().item_spacing.y;
                if (height - row.height).abs() > 0.5 {
                    settled = false;
                    if y <= viewport.min.y {
                        growth += height - row.height;
                    }
                }
                self.conversation.heights.insert((row.message, row.index), height);
            }
            if !settled {
                ui.ctx().request_repaint();
            }
        });
        // Keeps the visible rows in place.
        self.conversation.offset = (growth != 0.0).then(|| (output.state.unclamped_offset().y + growth).max(0.0));
        if target.is_some() && !switched {
            self.state.scroll_to = None;
        } else if target.is_some() {
            // Scrolls once more now that the heights around the message are known.
            ui.ctx().request_repaint();
        }
    }

    /// All rows from the top.
    fn rows(&mut self, path: &[Id], width: f32) -> Vec<Row> {
        let mut rows = Vec::new();
        let editing = self.state.editing.as_ref().map(|(id, _)| *id);
        for id in path {
            let Some(message) = self.state.tree().and_then(|tree| tree.get(*id)) else { continue };
            let estimate = |part: &MessagePart| match part {
                MessagePart::Header => 34.0,
                MessagePart::Editor => 120.0,
                MessagePart::Footer if message.role == Role::Model => 40.0,
                MessagePart::Footer => 36.0,
                MessagePart::Block { estimate, .. } => *estimate,
            };
            let mut add = |index: usize, part: MessagePart| {
                // For a growing block, the last height is the best estimate.
                let known = self.conversation.heights.get(&(*id, index)).copied();
                let height = known.unwrap_or_else(|| estimate(&part));
                rows.push(Row { message: *id, index, part, height });
            };
            add(0, MessagePart::Header);
            if editing == Some(*id) {
                add(usize::MAX - 1, MessagePart::Editor);
                continue;
            }
            for (index, block) in self.documents.of(*id, &message.text, message.role == Role::User).iter().enumerate() {
                let (controls, estimate) = (block.has_controls(), block.estimated_height(width));
                add(index + 1, MessagePart::Block { index, controls, estimate });
            }
            add(usize::MAX, MessagePart::Footer);
        }
        // Forgets the heights of messages that are no longer shown.
        if self.conversation.heights.len() > 4 * rows.len() + 4096 {
            let shown: std::collections::HashSet<Id> = path.iter().copied().collect();
            self.conversation.heights.retain(|(id, _), _| shown.contains(id));
        }
        rows
    }

    /// The content of an empty chat.
    fn greeting(&mut self, ui: &mut Ui) {
        let loaded = self.state.loaded();
        let guide = loaded.is_some_and(|loaded| loaded.is_guide());
        let (title, text, questions): (String, &str, &[&str]) = match loaded {
            Some(_) if guide => (
                "Hello".into(),
                "This is the built-in guide. It knows how to use Lapidary and how Gemma 2 works, and nothing else. For a real \
                 conversation, open a Gemma 2 model: drop its file here.",
                &["How do I open a Gemma 2 model?", "Which model fits my GPU?", "What is a sliding window?"],
            ),
            Some(loaded) => (loaded.name.clone(), "Ask anything. Nothing leaves this machine.", &[]),
            None if matches!(self.state.model, Model::Failed(_)) => {
                ("No model".into(), "The model could not be loaded; the reason is shown above.", &[])
            }
            None => ("One moment".into(), "The model is loading. You can type already.", &[]),
        };
        let middle = egui::vec2(ui.available_width().min(520.0), ui.available_height());
        let rect = egui::Align2::CENTER_CENTER.align_size_within_rect(middle, ui.max_rect());
        ui.scope_builder(UiBuilder::new().max_rect(rect).layout(egui::Layout::top_down(egui::Align::Center)), |ui| {
            ui.add_space((ui.available_height() * 0.28).min(220.0));
            ui.heading(title);
            ui.label(egui::RichText::new(text).weak());
            ui.add_space(12.0);
            for question in questions {
                if ui.button(*question).clicked() {
                    // Keeps the draft.
                    let draft = self.state.draft().to_owned();
                    self.state.set_draft((*question).to_owned());
                    self.state.send();
                    self.state.set_draft(draft);
                    self.composer.focus = true;
                }
            }
            if guide && ui.button("Open a model…").clicked() {
                self.toggle(super::Panel::Models);
            }
        });
    }
}

/// The last row with controls above `from` and the first below `to`. They are drawn so that Tab can move through the
/// whole chat.
fn nearest_with_controls(rows: &[Row], from: f32, to: f32) -> [Option<usize>; 2] {
    let (mut above, mut below) = (None, None);
    let mut y = 8.0;
    for (index, row) in rows.iter().enumerate() {
        let begins = y;
        y += row.height;
        if !row.has_controls() {
            continue;
        }
        if y < from {
            above = Some(index);
        } else if begins > to {
            below = Some(index);
            break;
        }
    }
    [above, below]
}
