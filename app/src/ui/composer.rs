//! The composer: the field for messages, the button to send or stop, and how full the context is.

use egui::{
    Align, Event, ImeEvent, Key, KeyboardShortcut, Layout, Margin, Modifiers, RichText, Sense, Stroke, Ui, vec2,
};

use super::colours::Colours;
use super::style::{COLUMN, LARGE_RADIUS};
use super::{App, Purpose, icons, kit, prompts};
use crate::state::{Meter, Model};

/// The diameter of the button to send.
const SEND_BUTTON: f32 = 36.0;

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
        let frame =
            egui::Frame::new().fill(Colours::of(ui.visuals()).bg).inner_margin(Margin { top: 4, ..Margin::ZERO });
        egui::Panel::bottom("composer").frame(frame).show_separator_line(false).show(ui, |ui| {
            let width = (ui.available_width() - 32.0).min(COLUMN + 16.0);
            ui.vertical_centered(|ui| {
                ui.allocate_ui(vec2(width, 0.0), |ui| {
                    ui.set_width(width);
                    ui.vertical(|ui| self.composer_card(ui));
                });
                ui.add_space(2.0);
                self.privacy_line(ui);
                ui.add_space(10.0);
            });
        });
    }

    /// Where the model runs, and whether messages leave this machine.
    fn privacy_line(&self, ui: &mut Ui) {
        // Also while the server's model is loading, because what is typed meanwhile goes there.
        if let Some(server) = self.state.requested_server() {
            return super::connect::warning(ui, &server.address);
        }
        let text = match self.state.loaded() {
            Some(loaded) => format!("Runs on {} · nothing leaves this machine", loaded.adapter),
            None => "Nothing leaves this machine".to_owned(),
        };
        let weak = Colours::of(ui.visuals()).weak;
        ui.add(egui::Label::new(RichText::new(text).size(12.0).color(weak)).truncate());
    }

    fn composer_card(&mut self, ui: &mut Ui) {
        self.composer.enter_sends = self.composer.track_ime(ui);
        let id = ui.make_persistent_id("draft");
        self.composer.field = Some(id);
        self.take_typed_text(ui, id);
        let focused = ui.ctx().memory(|memory| memory.has_focus(id));
        let mut send = false;
        if focused && self.composer.enter_sends && !self.prompts.suggested {
            send = consume_enter(ui);
            let empty = self.state.draft().is_empty();
            if empty && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::ArrowUp)) {
                self.state.edit_last();
                ui.ctx().memory_mut(|memory| memory.surrender_focus(id));
            }
        }
        let colours = Colours::of(ui.visuals());
        let line = if focused { colours.weak.gamma_multiply(0.4) } else { colours.line };
        let ground = if ui.visuals().dark_mode { colours.card } else { colours.bg };
        let frame = egui::Frame::new()
            .fill(ground)
            .stroke(Stroke::new(1.0, line))
            .corner_radius(LARGE_RADIUS)
            .inner_margin(Margin { left: 8, right: 8, top: 8, bottom: 6 });
        frame.show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            self.attachment_chips(ui);
            self.empty_library_hint(ui);
            self.field(ui, id);
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                self.composer_tools(ui);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    send |= self.send_or_stop(ui);
                    ui.add_space(6.0);
                    self.context_meter(ui);
                });
            });
        });
        if send {
            self.state.send();
            self.follow();
            self.composer.focus = true;
        }
    }

    /// Text typed while nothing has the focus, such as after a click on a message, goes to the field.
    fn take_typed_text(&mut self, ui: &Ui, id: egui::Id) {
        let typed =
            |event: &Event| matches!(event, Event::Text(_) | Event::Paste(_) | Event::Ime(ImeEvent::Preedit { .. }));
        // An edit on the shown branch takes the text instead.
        let path = self.state.tree().map_or(&[][..], |tree| tree.path());
        let edits = self.state.editing.as_ref().is_some_and(|(edited, _)| path.contains(edited));
        let unfocused = self.dialog.is_none() && !edits && ui.ctx().memory(|memory| memory.focused().is_none());
        if unfocused && ui.input(|input| input.events.iter().any(typed)) {
            ui.ctx().memory_mut(|memory| memory.request_focus(id));
        }
    }

    /// The attachments of the draft, with their tokens and a button to remove each.
    fn attachment_chips(&mut self, ui: &mut Ui) {
        if self.state.attachments().is_empty() {
            return;
        }
        let colours = Colours::of(ui.visuals());
        let mut removed = None;
        // How many tokens they are, only the server knows.
        let counted = self.state.used_server().is_none();
        ui.horizontal_wrapped(|ui| {
            ui.add_space(6.0);
            for (index, attachment) in self.state.attachments().iter().enumerate() {
                let frame =
                    egui::Frame::new().fill(colours.hover).corner_radius(8).inner_margin(Margin::symmetric(8, 2));
                frame.show(ui, |ui| {
                    ui.spacing_mut().item_spacing.x = 6.0;
                    kit::sign(ui, icons::FILE_TEXT, 15.0, colours.mid);
                    ui.label(kit::medium(kit::shorten_middle(&attachment.name, 28), 12.5));
                    let count = self.state.attachment_tokens(attachment.id);
                    let count = match count {
                        Some(count) => format!("{} tokens", kit::with_thousands(count)),
                        None if counted => "…".to_owned(),
                        None => crate::size::size(attachment.text.len() as u64),
                    };
                    ui.label(RichText::new(count).size(12.0).color(colours.weak));
                    let name = format!("Remove {}", attachment.name);
                    if kit::small_icon_button(ui, true, icons::X, &name).clicked() {
                        removed = Some(index);
                    }
                });
            }
        });
        if let Some(index) = removed {
            self.state.remove_attachment(index);
        }
    }

    /// Turns a long pasted text into an attachment.
    fn take_long_paste(&mut self, ui: &Ui) {
        let pasted = ui.input(|input| {
            input.events.iter().find_map(|event| match event {
                Event::Paste(text) => Some(text.clone()),
                _ => None,
            })
        });
        if let Some(text) = pasted
            && self.state.paste(&text)
        {
            ui.input_mut(|input| input.events.retain(|event| !matches!(event, Event::Paste(_))));
        }
    }

    fn field(&mut self, ui: &mut Ui, id: egui::Id) {
        if ui.ctx().memory(|memory| memory.has_focus(id)) {
            self.take_long_paste(ui);
        }
        let mut draft = self.state.draft().to_owned();
        let most = ui.ctx().content_rect().height() * 0.4;
        let hint = match &self.state.model {
            Model::Ready(loaded) if loaded.is_guide() => "Ask the guide…",
            Model::Ready(loaded) if loaded.server().is_some() => "Message the model of the server…",
            Model::Loading { .. } => "The model is loading; you can type already…",
            _ => "Message Gemma…",
        };
        let output = egui::ScrollArea::vertical()
            .id_salt("draft")
            .max_height(most)
            .show(ui, |ui| {
                let edit = egui::TextEdit::multiline(&mut draft)
                    .font(egui::FontId::proportional(15.0))
                    .hint_text(RichText::new(hint).size(15.0))
                    .frame(egui::Frame::NONE.inner_margin(Margin::symmetric(10, 6)))
                    .desired_rows(1)
                    .desired_width(f32::INFINITY)
                    .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
                // The whole draft before the cursor is what is looked for. An input method owns Enter.
                let popup = egui::CompletionPopup::new(id).word_boundary(|_| false).max_height(300.0);
                let popup = if self.composer.enter_sends { popup } else { popup.accept_keys([]) };
                popup.show(ui, edit, |query| prompts::suggestions(&self.state, query.word))
            })
            .inner;
        self.prompts.suggested = output.is_open;
        let inserted = output.accepted.is_some();
        let response = output.text_edit.response.response.accessible_name("Message");
        if std::mem::take(&mut self.composer.focus) {
            response.request_focus();
        }
        if response.changed() || inserted {
            self.composer.focus |= inserted;
            self.state.set_draft(draft);
        }
    }

    /// The controls at the left below the field.
    fn composer_tools(&mut self, ui: &mut Ui) {
        if kit::icon_button(ui, icons::PAPERCLIP, "Attach a file").clicked() {
            self.files.prompt_for(Purpose::Attach, String::new());
        }
        self.preset_menu(ui);
    }

    /// The round button. Returns whether to send.
    fn send_or_stop(&mut self, ui: &mut Ui) -> bool {
        let colours = Colours::of(ui.visuals());
        let empty = !self.state.can_send();
        let here = self.state.is_replying_here();
        let stops = empty && (here || self.state.is_queued_here());
        let (sign, name) = match (stops, here) {
            (true, true) if self.state.is_stopping() => (icons::SQUARE, "Stopping…"),
            (true, true) => (icons::SQUARE, "Stop the reply"),
            (true, false) => (icons::SQUARE, "Cancel the queued messages"),
            (false, _) if self.state.reply().is_some() => (icons::ARROW_UP, "Queue"),
            (false, _) => (icons::ARROW_UP, "Send"),
        };
        let enabled = (stops && !(here && self.state.is_stopping())) || !empty;
        let response = ui.scope(|ui| {
            ui.spacing_mut().button_padding = vec2(9.0, 9.0);
            let button = egui::Button::new(kit::icon(sign, 18.0).color(colours.on_accent))
                .fill(colours.accent)
                .stroke(Stroke::NONE);
            ui.add_enabled(enabled, button.corner_radius(18).min_size(vec2(SEND_BUTTON, SEND_BUTTON)))
        });
        let keys = if stops { "Esc" } else { "Enter; Shift+Enter starts a new line" };
        let response = response.inner.accessible_name(name).on_hover_text(format!("{name} ({keys})"));
        if stops && response.clicked() {
            self.state.stop();
        }
        !stops && response.clicked()
    }

    /// How much of the context the chat takes.
    fn context_meter(&mut self, ui: &mut Ui) {
        let elsewhere = self.state.reply().filter(|_| !self.state.is_replying_here()).map(|reply| reply.chat);
        let elsewhere = elsewhere.and_then(|chat| self.state.chat(chat)).map(|chat| chat.shown_title().to_owned());
        let Some(meter) = self.state.meter() else { return };
        show_meter(ui, &meter);
        if let Some(title) = elsewhere.filter(|_| ui.available_width() > 120.0) {
            let weak = Colours::of(ui.visuals()).weak;
            let text = RichText::new(format!("The reply in “{title}” comes first.")).size(12.0).color(weak);
            ui.add(egui::Label::new(text).truncate());
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

/// A ring that fills, the numbers in short, and all of them as a tooltip.
fn show_meter(ui: &mut Ui, meter: &Meter) {
    let colours = Colours::of(ui.visuals());
    let share = meter.used as f32 / meter.context.max(1) as f32;
    let colour = match share {
        share if share > 1.0 => colours.danger,
        share if share > 0.8 => colours.warn,
        _ => colours.weak,
    };
    let mut full = format!("{} of {} tokens", kit::with_thousands(meter.used), kit::with_thousands(meter.context));
    if meter.draft > 0 {
        full += &format!(", {} of them typed now", kit::with_thousands(meter.draft));
    }
    if share > 1.0 {
        full += ": more than the context holds";
    }
    let text = format!("{} / {}", kit::in_short(meter.used), kit::in_short(meter.context));
    let text = if share > 1.0 { format!("{text}: too long") } else { text };
    let galley = ui.painter().layout_no_wrap(text, egui::FontId::proportional(12.5), colour);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 24.0, 20.0), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &full));
    ui.painter().galley(rect.right_center() - vec2(galley.size().x, galley.size().y / 2.0), galley, colour);
    let (centre, radius) = (rect.left_center() + vec2(8.0, 0.0), 6.0);
    ui.painter().circle_stroke(centre, radius, Stroke::new(2.0, colours.line));
    let filled = share.clamp(0.0, 1.0);
    if filled > 0.0 {
        // From the top, clockwise.
        let angle = |step: f32| std::f32::consts::TAU * filled * step / 32.0 - std::f32::consts::FRAC_PI_2;
        let arc: Vec<egui::Pos2> =
            (0..=32u8).map(|step| centre + radius * egui::Vec2::angled(angle(f32::from(step)))).collect();
        let colour = if share > 0.8 { colour } else { colours.accent_text };
        ui.painter().add(egui::Shape::line(arc, Stroke::new(2.0, colour)));
    }
    response.on_hover_text(full);
}
