//! The composer: the field for messages, and the context meter.

use egui::{Event, ImeEvent, Key, KeyboardShortcut, Modifiers, RichText, Ui};

use super::style::COLUMN;
use super::{App, style};
use crate::state::{Meter, Model};

/// The state of the composer.
pub(super) struct Composer {
    /// Whether to move the focus to the field.
    pub(super) focus: bool,
    /// Whether an input method is composing. It then owns Enter and Escape.
    pub(super) composing: bool,
    /// Whether Enter sends in this frame, because no input method owns it.
    pub(super) enter_sends: bool,
    /// The field's id, once it was drawn.
    pub(super) field: Option<egui::Id>,
}

impl Default for Composer {
    fn default() -> Self {
        Self { focus: true, composing: false, enter_sends: true, field: None }
    }
}

impl Composer {
    /// Tracks the input method. Returns whether Enter may send in this frame.
    fn track_ime(&mut self, ui: &Ui) -> bool {
        let mut free = !self.composing;
        ui.input(|input| {
            for event in &input.events {
                match event {
                    Event::Ime(ImeEvent::Preedit { text, .. }) => {
                        self.composing = !text.is_empty();
                        free &= !self.composing;
                    }
                    Event::Ime(ImeEvent::Commit(_)) => {
                        // On some systems the Enter that commits comes in the same frame.
                        self.composing = false;
                        free = false;
                    }
                    // Some systems send no event when the input method ends because the window loses the focus.
                    Event::WindowFocused(false) => self.composing = false,
                    _ => {}
                }
            }
        });
        free
    }
}

impl App {
    /// The panel at the bottom of the window.
    pub(super) fn composer_panel(&mut self, ui: &mut Ui) {
        egui::Panel::bottom("composer").show_separator_line(false).show(ui, |ui| {
            ui.add_space(6.0);
            let width = (ui.available_width() - 16.0).min(COLUMN);
            ui.vertical_centered(|ui| {
                ui.allocate_ui(egui::vec2(width, 0.0), |ui| {
                    ui.set_width(width);
                    ui.vertical(|ui| self.composer_area(ui));
                });
            });
            ui.add_space(6.0);
        });
    }

    fn composer_area(&mut self, ui: &mut Ui) {
        self.composer.enter_sends = self.composer.track_ime(ui);
        let id = ui.make_persistent_id("draft");
        self.composer.field = Some(id);
        // Text typed while nothing has the focus, such as after a click on a message, goes to the composer.
        let typed =
            |event: &Event| matches!(event, Event::Text(_) | Event::Paste(_) | Event::Ime(ImeEvent::Preedit { .. }));
        // An edit on the shown branch takes the text instead.
        let path = self.state.tree().map_or(&[][..], |tree| tree.path());
        let edits = self.state.editing.as_ref().is_some_and(|(edited, _)| path.contains(edited));
        let unfocused = self.sheet.is_none() && !edits && ui.ctx().memory(|memory| memory.focused().is_none());
        if unfocused && ui.input(|input| input.events.iter().any(typed)) {
            ui.ctx().memory_mut(|memory| memory.request_focus(id));
        }
        let focused = ui.ctx().memory(|memory| memory.has_focus(id));
        let mut send = false;
        if focused && self.composer.enter_sends {
            send = consume_enter(ui);
            let empty = self.state.draft().is_empty();
            if empty && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::ArrowUp)) {
                self.state.edit_last();
                ui.ctx().memory_mut(|memory| memory.surrender_focus(id));
            }
        }
        let mut draft = self.state.draft().to_owned();
        let most = ui.ctx().content_rect().height() * 0.4;
        let hint = match &self.state.model {
            Model::Ready(loaded) if loaded.is_guide() => "Ask the guide",
            Model::Loading { .. } => "The model is loading; you can type already",
            _ => "Type a message",
        };
        let frame = egui::Frame::new()
            .fill(ui.visuals().extreme_bg_color)
            .stroke(egui::Stroke::new(1.0, ui.visuals().widgets.noninteractive.bg_stroke.color))
            .corner_radius(10)
            .inner_margin(egui::Margin::symmetric(10, 8));
        frame.show(ui, |ui| {
            ui.horizontal(|ui| {
                let buttons = 64.0;
                let width = ui.available_width() - buttons;
                let response = egui::ScrollArea::vertical()
                    .max_height(most)
                    .min_scrolled_height(0.0)
                    .auto_shrink([false, true])
                    .max_width(width)
                    .show(ui, |ui| {
                        let edit = egui::TextEdit::multiline(&mut draft)
                            .id(id)
                            .frame(egui::Frame::NONE)
                            .hint_text(hint)
                            .desired_rows(1)
                            .desired_width(width)
                            .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
                        ui.add(edit)
                    })
                    .inner
                    .accessible_name("Message");
                if std::mem::take(&mut self.composer.focus) {
                    response.request_focus();
                }
                if response.changed() {
                    self.state.set_draft(draft);
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let writing = self.state.reply().is_some();
                    let empty = self.state.draft().trim().is_empty();
                    let here = self.state.is_replying_here();
                    if (here || self.state.is_queued_here()) && empty {
                        let hover = if here { "Stop the reply (Esc)" } else { "Cancel the queued messages (Esc)" };
                        if ui.button("Stop").on_hover_text(hover).clicked() {
                            self.state.stop();
                        }
                    } else {
                        let text = if writing { "Queue" } else { "Send" };
                        let hover = "Enter sends, Shift+Enter starts a new line";
                        send |= ui.add_enabled(!empty, egui::Button::new(text)).on_hover_text(hover).clicked();
                    }
                });
            });
        });
        if send {
            self.state.send();
            self.composer.focus = true;
        }
        if let Some(meter) = self.state.meter() {
            let elsewhere = self.state.reply().filter(|_| !self.state.is_replying_here()).map(|reply| reply.chat);
            let elsewhere = elsewhere.and_then(|chat| self.state.chat(chat)).map(|chat| chat.shown_title().to_owned());
            show_meter(ui, meter, elsewhere);
        } else {
            ui.label(RichText::new(" ").small());
        }
    }
}

/// Consumes an Enter without modifiers. `consume_key` would also consume Shift+Enter.
pub(super) fn consume_enter(ui: &Ui) -> bool {
    ui.input_mut(|input| {
        let count = input.events.len();
        input.events.retain(|event| {
            !matches!(event, Event::Key { key: Key::Enter, pressed: true, modifiers, .. } if modifiers.is_none())
        });
        input.events.len() < count
    })
}

fn show_meter(ui: &mut Ui, meter: Meter, elsewhere: Option<String>) {
    let fraction = meter.used as f32 / meter.context.max(1) as f32;
    ui.horizontal(|ui| {
        let over = meter.used > meter.context;
        let colour = if fraction > 0.9 { style::error_color(ui.visuals()) } else { ui.visuals().selection.bg_fill };
        let bar = egui::ProgressBar::new(fraction.min(1.0)).desired_width(120.0).desired_height(5.0).fill(colour);
        ui.add(bar).accessible_name("Context used");
        let mut text = format!("{} of {} tokens", with_thousands(meter.used), with_thousands(meter.context));
        if meter.draft > 0 {
            text += &format!(", {} of them typed now", with_thousands(meter.draft));
        }
        if over {
            text += ": more than the context holds";
        }
        let text = RichText::new(text).small();
        ui.label(if over { text.color(colour) } else { text.weak() });
        if let Some(title) = elsewhere {
            let text = RichText::new(format!("The reply in “{title}” comes first.")).weak().small();
            ui.add(egui::Label::new(text).truncate());
        }
    });
}

/// A number with separated thousands.
pub(super) fn with_thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_separated() {
        assert_eq!([7, 1234, 1_000_000].map(super::with_thousands), ["7", "1,234", "1,000,000"]);
    }
}
