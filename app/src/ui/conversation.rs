//! The messages of the open chat. Only what is in sight is drawn: the heights of the rest are remembered, or guessed until
//! they have been seen.

use std::collections::HashMap;

use egui::{Rect, Ui, UiBuilder, pos2, vec2};

use super::App;
use super::blocks::{Block, Kind};
use super::message::MessagePart;
use super::style::COLUMN;
use crate::chats::{Id, Role};
use crate::state::Model;

/// How far beyond the edges is drawn, so that the keyboard reaches what is just out of sight.
const MARGIN: f32 = 300.0;
/// How much of a page is passed at once, so that a line or two are seen before and after.
const PAGE_FRACTION: f32 = 0.9;

/// Where keys lead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Navigation {
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first message.
    First,
    /// To the last message.
    Last,
}

/// What drawing remembers of conversations.
#[derive(Default)]
pub(super) struct Conversation {
    /// The width and zoom for which the heights hold.
    shape: (f32, f32),
    heights: HashMap<(Id, usize), f32>,
    pub(super) markdown: egui_commonmark::CommonMarkCache,
    chat: Option<Id>,
    /// Where a key leads, and whether what is there has been measured.
    pub(super) navigation: Option<(Navigation, bool)>,
    /// Where the next frame begins, when what is above it came to be higher or lower than it was thought.
    offset: Option<f32>,
}

/// A row of the conversation.
struct Row {
    message: Id,
    /// Its place in the message.
    index: usize,
    part: MessagePart,
    height: f32,
}

impl Row {
    /// Whether the keyboard has something to do in it.
    fn has_controls(&self) -> bool {
        match &self.part {
            MessagePart::Footer | MessagePart::Editor => true,
            MessagePart::Block(block) => matches!(block.kind, Kind::Code { .. }),
            MessagePart::Header => false,
        }
    }
}

impl App {
    /// The middle of the window.
    pub(super) fn conversation_area(&mut self, ui: &mut Ui) {
        // Where there is nothing to turn, it is not kept for the next chat.
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
        self.blocks.retain(&path);
        let chat = self.state.open_id();
        let switched = self.conversation.chat.replace(chat) != Some(chat);
        let target = self.state.scroll_to;
        let editing = self.state.editing.as_ref().map(|(id, _)| *id);
        // How much what is above came to be higher than it was thought.
        let mut grown = 0.0;
        let area =
            egui::ScrollArea::vertical().id_salt(("conversation", chat)).auto_shrink(false).stick_to_bottom(true);
        let area = match self.conversation.offset.take().filter(|_| !switched) {
            Some(offset) => area.vertical_scroll_offset(offset),
            None => area,
        };
        let shown = area.show_viewport(ui, |ui, viewport| {
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
                // What is there is drawn first, for its true height.
                Some((navigation, false)) => {
                    self.conversation.navigation = Some((navigation, true));
                    ui.ctx().request_repaint();
                }
                Some((navigation, true)) => {
                    let way = match navigation {
                        Navigation::PageUp => page,
                        Navigation::PageDown => -page,
                        Navigation::First => viewport.min.y,
                        Navigation::Last => viewport.max.y - total - 16.0,
                    };
                    ui.scroll_with_delta_animation(vec2(0.0, way), egui::style::ScrollAnimation::none());
                }
                None => {}
            }
            let (from, to) = (viewport.min.y - margin, viewport.max.y + margin);
            let near = nearest_with_controls(&rows, from, to);
            let mut y = 8.0;
            let mut settled = true;
            for (place, row) in rows.into_iter().enumerate() {
                let begins = y;
                y += row.height;
                if target == Some(row.message) && row.index == 0 {
                    let height = if editing == target { 200.0 } else { 40.0 };
                    let place = Rect::from_min_size(pos2(left, top + begins), vec2(width, height));
                    let align = if switched { Some(egui::Align::Center) } else { None };
                    ui.scroll_to_rect(place, align);
                }
                // An editor that is not drawn would lose the cursor, and what is typed next with it.
                let kept = near.contains(&Some(place)) || matches!(row.part, MessagePart::Editor);
                if (y < from || begins > to) && !kept {
                    continue;
                }
                let place = Rect::from_min_size(pos2(left, top + begins), vec2(width, row.height.max(1.0)));
                let salt = (row.message, row.index);
                let mut child = ui.new_child(UiBuilder::new().id_salt(salt).max_rect(place));
                child.set_width(width);
                self.message_part(&mut child, row.message, &row.part);
                let height = child.min_rect().height() + child.spacing().item_spacing.y;
                if (height - row.height).abs() > 0.5 {
                    settled = false;
                    if y <= viewport.min.y {
                        grown += height - row.height;
                    }
                }
                self.conversation.heights.insert((row.message, row.index), height);
            }
            if !settled {
                ui.ctx().request_repaint();
            }
        });
        // What is read stays where it is.
        self.conversation.offset = (grown != 0.0).then(|| (shown.state.unclamped_offset().y + grown).max(0.0));
        if target.is_some() && !switched {
            self.state.scroll_to = None;
        } else if target.is_some() {
            // The heights around it are known only now: once more.
            ui.ctx().request_repaint();
        }
    }

    /// Everything there is to draw, from the top.
    fn rows(&mut self, path: &[Id], width: f32) -> Vec<Row> {
        let mut rows = Vec::new();
        let editing = self.state.editing.as_ref().map(|(id, _)| *id);
        for id in path {
            let Some(message) = self.state.tree().and_then(|tree| tree.get(*id)) else { continue };
            let guess = |part: &MessagePart| match part {
                MessagePart::Header => 34.0,
                MessagePart::Editor => 120.0,
                MessagePart::Footer if message.role == Role::Model => 40.0,
                MessagePart::Footer => 36.0,
                MessagePart::Block(block) => guess_height(&message.text[block.range.clone()], &block.kind, width),
            };
            let mut add = |index: usize, part: MessagePart| {
                // While a block grows its last height is the best guess.
                let known = self.conversation.heights.get(&(*id, index)).copied();
                let height = known.unwrap_or_else(|| guess(&part));
                rows.push(Row { message: *id, index, part, height });
            };
            add(0, MessagePart::Header);
            if editing == Some(*id) {
                add(usize::MAX - 1, MessagePart::Editor);
                continue;
            }
            let blocks: Vec<Block> = self.blocks.of(*id, &message.text).to_vec();
            for (index, block) in blocks.into_iter().enumerate() {
                add(index + 1, MessagePart::Block(block));
            }
            add(usize::MAX, MessagePart::Footer);
        }
        // What is not shown any more need not be remembered for ever.
        if self.conversation.heights.len() > 4 * rows.len() + 4096 {
            let shown: std::collections::HashSet<Id> = path.iter().copied().collect();
            self.conversation.heights.retain(|(id, _), _| shown.contains(id));
        }
        rows
    }

    /// What an empty chat shows.
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
                ("No model".into(), "The model could not be loaded; above is why.", &[])
            }
            None => ("One moment".into(), "The model is loading. You can type already.", &[]),
        };
        let middle = egui::vec2(ui.available_width().min(520.0), ui.available_height());
        let place = egui::Align2::CENTER_CENTER.align_size_within_rect(middle, ui.max_rect());
        ui.scope_builder(UiBuilder::new().max_rect(place).layout(egui::Layout::top_down(egui::Align::Center)), |ui| {
            ui.add_space((ui.available_height() * 0.28).min(220.0));
            ui.heading(title);
            ui.label(egui::RichText::new(text).weak());
            ui.add_space(12.0);
            for question in questions {
                if ui.button(*question).clicked() {
                    // What was being typed is not given up for it.
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

/// The last row with controls above `from`, and the first below `to`: from one to the next the keyboard walks the whole chat.
fn nearest_with_controls(rows: &[Row], from: f32, to: f32) -> [Option<usize>; 2] {
    let (mut above, mut below) = (None, None);
    let mut y = 8.0;
    for (place, row) in rows.iter().enumerate() {
        let begins = y;
        y += row.height;
        if !row.has_controls() {
            continue;
        }
        if y < from {
            above = Some(place);
        } else if begins > to {
            below = Some(place);
            break;
        }
    }
    [above, below]
}

/// How high a block that was never seen may be.
fn guess_height(text: &str, kind: &Kind, width: f32) -> f32 {
    let (char_width, line_height) = match kind {
        Kind::Text => (7.2, 20.0),
        _ => (0.0, 18.0),
    };
    let lines: f32 = text.lines().map(|line| (line.len() as f32 * char_width / width).ceil().max(1.0)).sum();
    lines.max(1.0) * line_height + 12.0
}
