//! The list of chats at the left, the search above it, and the buttons below.

use egui::{Align, Context, Layout, Margin, Modifiers, Ui, vec2};

use super::colours::Colours;
use super::{App, Dialog, Page, SettingsPage, icons, kit};

/// The height of the actions for selected chats, in points.
const SELECTION_BAR: f32 = 36.0;
/// In a narrower window the list is shown above the conversation.
const NARROW: f32 = 860.0;

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
        let ground = Colours::of(ui.visuals()).sidebar;
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
        let colours = Colours::of(ui.visuals());
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
            if self.state.search.text.trim().is_empty() {
                // Below the list, so that no row moves away from the pointer when the first chat is selected.
                let bar = if self.selection.is_active() { SELECTION_BAR } else { 0.0 };
                let rows = vec2(list.x, (list.y - bar).max(0.0));
                ui.allocate_ui(rows, |ui| {
                    ui.set_min_size(rows);
                    self.chat_list(ui);
                });
                self.selection_bar(ui);
            } else {
                self.hits(ui);
            }
        });
        let line = ui.cursor().top();
        ui.painter().hline(ui.max_rect().x_range(), line, egui::Stroke::new(1.0, colours.line));
        egui::Frame::new().inner_margin(Margin::symmetric(12, 12)).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                let models = (kit::icon(icons::HARD_DRIVE, 18.0).color(colours.mid), "Models");
                let selected = self.page == Page::Models;
                let button = egui::Button::selectable(selected, models).gap(10.0);
                let button = if selected { button.fill(colours.selected).stroke(egui::Stroke::NONE) } else { button };
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

    fn hits(&mut self, ui: &mut Ui) {
        let colours = Colours::of(ui.visuals());
        let Some(hits) = &self.state.search.hits else {
            kit::working(ui);
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
                        highlighted(&mut job, &hit.excerpt, &hit.ranges, colours);
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

/// Adds an excerpt in which some bytes are marked.
fn highlighted(job: &mut egui::text::LayoutJob, text: &str, ranges: &[std::ops::Range<usize>], colours: &Colours) {
    let plain = egui::TextFormat::simple(egui::FontId::proportional(12.5), colours.mid);
    let font = egui::FontId::new(12.5, super::fonts::Weight::SemiBold.family());
    let marked = egui::TextFormat::simple(font, colours.text);
    let mut from = 0;
    for range in ranges {
        job.append(text.get(from..range.start).unwrap_or_default(), 0.0, plain.clone());
        job.append(text.get(range.clone()).unwrap_or_default(), 0.0, marked.clone());
        from = range.end;
    }
    job.append(text.get(from..).unwrap_or_default(), 0.0, plain);
}
