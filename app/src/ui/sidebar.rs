//! The list of chats at the left, the search above it, and the buttons below.

use egui::{Align, Context, Key, Layout, Margin, Modifiers, Sense, Ui, vec2};

use super::tokens::Tokens;
use super::{App, Dialog, Page, SettingsPage, icons, kit};
use crate::chats::{Chat, Id};

/// The height of a row, in points.
const ROW: f32 = 32.0;
/// In a narrower window the list is shown above the conversation.
const NARROW: f32 = 860.0;

/// What was chosen in the list.
enum Choice {
    Open(Id),
    Pin(Id, bool),
    Rename(Id, String),
    Export(Id),
    Delete(Id),
}

/// A row of the list.
enum Row<'c> {
    Heading(String),
    Chat(&'c Chat),
}

impl App {
    /// Whether the window is too narrow for the list beside the conversation.
    pub(super) fn is_narrow(&self, ctx: &Context) -> bool {
        ctx.content_rect().width() < NARROW
    }

    /// Whether the list is shown beside the conversation.
    pub(super) fn sidebar_shown(&self, ctx: &Context) -> bool {
        self.state.settings.sidebar && !self.is_narrow(ctx)
    }

    /// Shows or hides the list.
    pub(super) fn toggle_sidebar(&mut self, ctx: &Context) {
        if self.is_narrow(ctx) {
            self.sidebar_overlay ^= true;
        } else {
            self.state.settings.sidebar ^= true;
        }
    }

    /// Draws the list beside the conversation, or above it in a narrow window.
    pub(super) fn sidebar(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        let ground = Tokens::of(ui.visuals()).sidebar;
        let frame = egui::Frame::new().fill(ground);
        if self.sidebar_shown(&ctx) {
            self.sidebar_overlay = false;
            let panel = egui::Panel::left("chats").frame(frame).default_size(264.0).size_range(200.0..=420.0);
            panel.show(ui, |ui| self.sidebar_content(ui));
        } else if self.sidebar_overlay && self.is_narrow(&ctx) {
            let screen = ctx.content_rect();
            let width = 280.0_f32.min(screen.width() - 40.0);
            let id = egui::Id::unique("chats above");
            let area = egui::Modal::default_area(id).anchor(egui::Align2::LEFT_TOP, [0.0, 0.0]);
            let modal = egui::Modal::new(id).area(area).frame(frame).show(&ctx, |ui| {
                ui.set_width(width);
                ui.set_height(screen.height());
                self.sidebar_content(ui);
            });
            if modal.should_close() {
                self.sidebar_overlay = false;
            }
        }
    }

    fn sidebar_content(&mut self, ui: &mut Ui) {
        let tokens = Tokens::of(ui.visuals());
        let command = ui.ctx().format_modifiers(Modifiers::COMMAND);
        ui.spacing_mut().item_spacing.y = 0.0;
        egui::Frame::new().inner_margin(Margin { left: 12, right: 12, top: 10, bottom: 6 }).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                let response = kit::icon_button(ui, icons::PANEL_LEFT, "Hide the chats");
                if response.on_hover_text(format!("{command}+B")).clicked() {
                    self.toggle_sidebar(ui.ctx());
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let response = kit::icon_button(ui, icons::SQUARE_PEN, "New chat");
                    if response.on_hover_text(format!("{command}+N")).clicked() {
                        self.state.new_chat();
                        self.after_choice();
                    }
                    let response = kit::icon_button(ui, icons::SEARCH, "Search");
                    if response.on_hover_text(format!("{command}+Shift+F")).clicked() {
                        self.searching ^= true;
                        self.focus_search = self.searching;
                        self.state.search_for("");
                    }
                });
            });
            if self.searching {
                ui.add_space(6.0);
                self.search_field(ui);
            }
        });
        // The list is drawn before the buttons below it, because Tab follows the order of drawing.
        let list = vec2(ui.available_width(), (ui.available_height() - 58.0).max(0.0));
        ui.allocate_ui(list, |ui| {
            ui.set_min_size(list);
            if self.state.search.text.trim().is_empty() { self.titles(ui) } else { self.hits(ui) }
        });
        let line = ui.cursor().top();
        ui.painter().hline(ui.max_rect().x_range(), line, egui::Stroke::new(1.0, tokens.line));
        egui::Frame::new().inner_margin(Margin::symmetric(12, 12)).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                let models = (kit::icon(icons::HARD_DRIVE, 18.0).color(tokens.mid), "Models");
                let selected = self.page == Page::Models;
                let button = egui::Button::selectable(selected, models).gap(10.0);
                let button = if selected { button.fill(tokens.selected).stroke(egui::Stroke::NONE) } else { button };
                if ui.add(button).accessible_name("Models").clicked() {
                    self.show_page(Page::Models);
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if kit::icon_button(ui, icons::SETTINGS, "Settings").clicked() {
                        self.show_settings(SettingsPage::General);
                    }
                    let count = self.state.trash_count();
                    let name = if count == 0 { "Trash".to_owned() } else { format!("Trash ({count})") };
                    if kit::icon_button(ui, icons::TRASH_2, &name).clicked() {
                        self.dialog = Some(Dialog::Trash);
                    }
                });
            });
        });
    }

    fn search_field(&mut self, ui: &mut Ui) {
        let mut text = self.state.search.text.clone();
        let field = egui::TextEdit::singleline(&mut text).hint_text("Search all chats").desired_width(f32::INFINITY);
        let field = ui.add(field.margin(Margin::symmetric(10, 7))).accessible_name("Search chats");
        if std::mem::take(&mut self.focus_search) {
            field.request_focus();
        }
        if field.changed() {
            self.state.search_for(&text);
        }
        ui.add_space(4.0);
    }

    /// Shows the conversation after a chat was chosen.
    pub(super) fn after_choice(&mut self) {
        self.show_page(Page::Chat);
        self.sidebar_overlay = false;
    }

    fn titles(&mut self, ui: &mut Ui) {
        let mut rows = Vec::new();
        for group in self.state.grouped_chats() {
            rows.push(Row::Heading(group.heading));
            rows.extend(group.chats.into_iter().map(Row::Chat));
        }
        if rows.is_empty() {
            egui::Frame::new()
                .inner_margin(Margin::symmetric(20, 8))
                .show(ui, |ui| kit::hint(ui, "Chats appear here."));
            return;
        }
        let mut choice = None;
        egui::ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW + 2.0, rows.len(), |ui, range| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for row in &rows[range] {
                match row {
                    Row::Heading(heading) => heading_row(ui, heading),
                    Row::Chat(chat) => self.chat_row(ui, chat, &mut choice),
                }
            }
        });
        match choice {
            Some(Choice::Open(id)) => {
                self.state.open_chat(id);
                self.after_choice();
            }
            Some(Choice::Pin(id, pinned)) => self.state.pin(id, pinned),
            Some(Choice::Rename(id, title)) => self.renaming = Some((id, title)),
            Some(Choice::Export(id)) => {
                self.state.open_chat(id);
                self.after_choice();
                self.prompt_export(false);
            }
            Some(Choice::Delete(id)) => self.state.delete(id),
            None => {}
        }
    }

    fn chat_row(&self, ui: &mut Ui, chat: &Chat, choice: &mut Option<Choice>) {
        let (id, title, pinned) = (chat.id, chat.shown_title(), chat.pinned);
        let tokens = Tokens::of(ui.visuals());
        let (whole, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
        let rect = whole.shrink2(vec2(8.0, 0.0));
        let response = ui.interact(rect, ui.scope_id().with(("chat", id)), Sense::click());
        let selected = self.state.open_id() == id && self.page == Page::Chat;
        let over = ui.rect_contains_pointer(rect);
        if selected || over {
            let ground = if selected { tokens.selected } else { tokens.hover };
            ui.painter().rect_filled(rect, super::style::RADIUS, ground);
        }
        if response.has_focus() {
            let ring = egui::Stroke::new(2.0, tokens.accent_text);
            ui.painter().rect_stroke(rect, super::style::RADIUS, ring, egui::StrokeKind::Inside);
        }
        let writing = self.state.reply().is_some_and(|reply| reply.chat == id);
        let colour = if selected { tokens.text } else { tokens.mid };
        let menu_rect = egui::Rect::from_min_max(rect.right_top() - vec2(36.0, 0.0), rect.right_bottom());
        let menu = ui.interact(menu_rect, ui.scope_id().with(("menu", id)), Sense::click());
        let menu_open = egui::Popup::is_id_open(ui.ctx(), egui::Popup::default_response_id(&menu));
        if over || selected || menu_open || menu.has_focus() {
            let colour = if menu.hovered() || menu.has_focus() { tokens.text } else { tokens.mid };
            let font = egui::FontId::new(16.0, super::fonts::icons());
            ui.painter().text(menu_rect.center(), egui::Align2::CENTER_CENTER, icons::ELLIPSIS, font, colour);
        }
        let menu_name = format!("Menu of {title}");
        menu.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &menu_name));
        let items = |ui: &mut Ui, choice: &mut Option<Choice>| {
            if kit::menu_item(ui, icons::PENCIL, "Rename", "F2").clicked() {
                *choice = Some(Choice::Rename(id, title.to_owned()));
            }
            let (sign, pin) = if pinned { (icons::PIN_OFF, "Unpin") } else { (icons::PIN, "Pin") };
            if kit::menu_item(ui, sign, pin, "").clicked() {
                *choice = Some(Choice::Pin(id, !pinned));
            }
            if kit::menu_item(ui, icons::UPLOAD, "Export…", "").clicked() {
                *choice = Some(Choice::Export(id));
            }
            ui.separator();
            if kit::menu_item(ui, icons::TRASH_2, "Delete", "").clicked() {
                *choice = Some(Choice::Delete(id));
            }
        };
        egui::Popup::menu(&menu).gap(4.0).width(200.0).show(|ui| items(ui, choice));
        egui::Popup::context_menu(&response).width(200.0).show(|ui| items(ui, choice));
        let text_rect = egui::Rect::from_min_max(rect.min + vec2(12.0, 0.0), menu_rect.left_bottom());
        let text = if writing { format!("{title} …") } else { title.to_owned() };
        let label = egui::Label::new(kit::medium(text, 13.5).color(colour)).truncate().selectable(false);
        let mut text_ui = ui.new_child(egui::UiBuilder::new().id_salt(("title", id)).max_rect(text_rect));
        text_ui.with_layout(Layout::left_to_right(Align::Center), |ui| ui.add(label));
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, selected, title));
        if response.clicked() {
            *choice = Some(Choice::Open(id));
        }
        let rename_key = response.has_focus() && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::F2));
        if response.double_clicked() || rename_key {
            *choice = Some(Choice::Rename(id, title.to_owned()));
        }
    }

    fn hits(&mut self, ui: &mut Ui) {
        let tokens = Tokens::of(ui.visuals());
        let Some(hits) = &self.state.search.hits else {
            ui.spinner();
            return;
        };
        let note = if hits.is_empty() {
            Some("Nothing found.".to_owned())
        } else if hits.len() >= crate::chats::MAX_HITS {
            Some(format!("The best {} matches are shown; type more to narrow the search.", hits.len()))
        } else {
            None
        };
        if let Some(note) = note {
            egui::Frame::new().inner_margin(Margin::symmetric(20, 6)).show(ui, |ui| kit::hint(ui, note));
        }
        let mut chosen = None;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            egui::Frame::new().inner_margin(Margin::symmetric(8, 0)).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                for hit in hits {
                    let title = self.state.chat(hit.chat).map(|chat| chat.shown_title().to_owned()).unwrap_or_default();
                    let mut job = egui::text::LayoutJob::default();
                    let (style, font, align) = (ui.style(), egui::FontSelection::Default, Align::Min);
                    kit::medium(&title, 13.5).append_to(&mut job, style, font, align);
                    if hit.message.is_some() {
                        job.append("\n", 0.0, egui::TextFormat::default());
                        highlighted(&mut job, &hit.excerpt, &hit.ranges, tokens);
                    }
                    let button = egui::Button::new(job).wrap().frame_when_inactive(false).right_text("");
                    let size = vec2(ui.available_width(), 0.0);
                    if ui.add(button.min_size(size)).clicked() {
                        chosen = Some((hit.chat, hit.message));
                    }
                }
            });
        });
        if let Some((chat, message)) = chosen {
            self.state.open_message(chat, message);
            self.after_choice();
        }
    }
}

/// The heading of a group of chats.
fn heading_row(ui: &mut Ui, heading: &str) {
    let weak = Tokens::of(ui.visuals()).weak;
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let place = egui::Rect::from_min_max(rect.left_bottom() + vec2(20.0, -20.0), rect.max);
    let mut row = ui.new_child(egui::UiBuilder::new().max_rect(place));
    row.add(egui::Label::new(kit::medium(heading, 12.5).color(weak)).truncate().selectable(false));
}

/// Adds an excerpt in which some bytes are marked.
fn highlighted(job: &mut egui::text::LayoutJob, text: &str, ranges: &[std::ops::Range<usize>], tokens: &Tokens) {
    let plain = egui::TextFormat::simple(egui::FontId::proportional(12.5), tokens.mid);
    let font = egui::FontId::new(12.5, super::fonts::Weight::SemiBold.family());
    let marked = egui::TextFormat::simple(font, tokens.text);
    let mut from = 0;
    for range in ranges {
        job.append(text.get(from..range.start).unwrap_or_default(), 0.0, plain.clone());
        job.append(text.get(range.clone()).unwrap_or_default(), 0.0, marked.clone());
        from = range.end;
    }
    job.append(text.get(from..).unwrap_or_default(), 0.0, plain);
}
