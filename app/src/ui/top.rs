//! The bar above the conversation: the model, the title, and actions of the chat.

use egui::{Align, Align2, Layout, Margin, Modifiers, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::colours::Colours;
use super::{App, Page, Purpose, SettingsPage, bidi, icons, kit};
use crate::state::Model;

/// The height of the bar, in points.
const HEIGHT: f32 = 52.0;
/// The width of the button that names the model, where there is room.
const PILL: f32 = 226.0;
/// The width of a letter of the model's name, to know how many fit.
const LETTER: f32 = 7.2;

impl App {
    pub(super) fn top_bar(&mut self, ui: &mut Ui) {
        let frame = egui::Frame::new().fill(Colours::of(ui.visuals()).bg).inner_margin(Margin::symmetric(14, 0));
        egui::Panel::top("top").frame(frame).show_separator_line(false).show(ui, |ui| {
            ui.allocate_ui_with_layout(
                vec2(ui.available_width(), HEIGHT),
                Layout::left_to_right(Align::Center),
                |ui| {
                    ui.set_min_height(HEIGHT);
                    ui.spacing_mut().item_spacing.x = 4.0;
                    self.bar(ui);
                },
            );
            self.banners(ui);
        });
    }

    fn bar(&mut self, ui: &mut Ui) {
        let whole = ui.max_rect();
        if !self.sidebar_shown(ui.ctx()) {
            let keys = ui.ctx().format_modifiers(Modifiers::COMMAND);
            if kit::icon_button(ui, icons::PANEL_LEFT, "Show the chats").on_hover_text(format!("{keys}+B")).clicked() {
                self.toggle_sidebar(ui.ctx());
            }
            if kit::icon_button(ui, icons::SQUARE_PEN, "New chat").clicked() {
                self.state.new_chat();
                self.show_page(Page::Chat);
            }
            ui.add_space(4.0);
        }
        let narrow = whole.width() < 560.0;
        let most = ui.available_width() - if narrow { 80.0 } else { 150.0 };
        self.model_pill(ui, most.clamp(80.0, PILL));
        if matches!(self.state.model, Model::Loading { .. }) && kit::icon_button(ui, icons::X, "Stop loading").clicked()
        {
            self.state.cancel_load();
        }
        let pill_end = ui.min_rect().right();
        let mut actions_begin = whole.right();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            self.chat_menu(ui, narrow);
            if !narrow {
                if kit::icon_button(ui, icons::UPLOAD, "Export this chat").clicked() {
                    self.prompt_export(false);
                }
                let response = kit::icon_button(ui, icons::SLIDERS_HORIZONTAL, "Settings of this chat");
                if response.clicked() {
                    self.rail ^= true;
                }
            }
            actions_begin = ui.min_rect().left();
        });
        self.chat_title(ui, whole, pill_end + 12.0, actions_begin - 12.0);
    }

    /// The title in the middle of the bar, or in what is free of it. A click renames the chat.
    fn chat_title(&mut self, ui: &mut Ui, whole: Rect, from: f32, to: f32) {
        if self.page != Page::Chat || to - from < 60.0 {
            return;
        }
        let Some((id, title)) = self.state.open().map(|chat| (chat.id, chat.shown_title().to_owned())) else { return };
        if title.is_empty() || self.state.tree().is_some_and(|tree| tree.path().is_empty()) {
            return;
        }
        let colour = Colours::of(ui.visuals()).mid;
        let font = egui::FontId::new(14.0, super::fonts::Weight::Medium.family());
        let galley = bidi::title(ui, &title, &font, colour, to - from).unwrap_or_else(|| {
            egui::WidgetText::from(kit::medium(&title, 14.0).color(colour)).into_galley(
                ui,
                Some(egui::TextWrapMode::Truncate),
                to - from,
                egui::TextStyle::Button,
            )
        });
        let size = galley.size();
        // In the middle of the bar if nothing is in the way, else in the middle of the gap.
        let middle = if (whole.center().x - from).min(to - whole.center().x) * 2.0 >= size.x {
            whole.center().x
        } else {
            (from + to) / 2.0
        };
        let rect = Align2::CENTER_CENTER.align_size_within_rect(
            size + vec2(16.0, 10.0),
            Rect::from_center_size(pos2(middle, whole.center().y), size),
        );
        let response = ui.interact(rect, ui.scope_id().with("title"), Sense::click());
        if response.hovered() || response.has_focus() {
            let hover = Colours::of(ui.visuals()).hover;
            ui.painter().rect_filled(rect, super::style::RADIUS, hover);
        }
        ui.painter().galley(rect.center() - size / 2.0, galley, colour);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Rename {title}")));
        if response.on_hover_text("Rename the chat").clicked() {
            self.renaming = Some((id, title));
        }
    }

    /// The menu at the right.
    fn chat_menu(&mut self, ui: &mut Ui, narrow: bool) {
        let command = ui.ctx().format_modifiers(Modifiers::COMMAND);
        kit::icon_menu(ui, icons::ELLIPSIS, "More", |ui| {
            if narrow {
                if kit::menu_item(ui, icons::SLIDERS_HORIZONTAL, "Settings of this chat", "").clicked() {
                    self.rail ^= true;
                }
                if kit::menu_item(ui, icons::UPLOAD, "Export this chat…", &format!("{command}+E")).clicked() {
                    self.prompt_export(false);
                }
            }
            if kit::menu_item(ui, icons::SEARCH, "Find in this chat", &format!("{command}+F")).clicked() {
                self.open_find();
            }
            if kit::menu_item(ui, icons::TERMINAL, "Commands", &format!("{command}+K")).clicked() {
                self.open_palette();
            }
            ui.separator();
            if kit::menu_item(ui, icons::UPLOAD, "Export all chats…", "").clicked() {
                self.prompt_export(true);
            }
            if kit::menu_item(ui, icons::DOWNLOAD, "Import chats…", "").clicked() {
                self.files.prompt_for(Purpose::Import, String::new());
            }
            ui.separator();
            if kit::menu_item(ui, icons::KEYBOARD, "Shortcuts", "F1").clicked() {
                self.show_settings(SettingsPage::Keyboard);
            }
            if kit::menu_item(ui, icons::SHIELD, "Privacy", "").clicked() {
                self.show_settings(SettingsPage::Privacy);
            }
            if kit::menu_item(ui, icons::INFO, "About", "").clicked() {
                self.show_settings(SettingsPage::About);
            }
        });
    }

    /// The button that names the model and opens the list of models.
    fn model_pill(&mut self, ui: &mut Ui, width: f32) {
        let colours = Colours::of(ui.visuals());
        let (rect, response) = ui.allocate_exact_size(vec2(width, 34.0), Sense::click());
        let name = self.model_name();
        let (dot, progress) = match &self.state.model {
            Model::Ready(_) => (colours.ok, None),
            Model::Loading { progress, .. } => (colours.warn, Some(*progress)),
            Model::Failed(_) => (colours.danger, None),
            Model::None => (colours.weak, None),
        };
        let painter = ui.painter();
        let fill = if response.hovered() { colours.hover } else { colours.bg };
        let stroke =
            if response.has_focus() { Stroke::new(2.0, colours.accent_text) } else { Stroke::new(1.0, colours.line) };
        painter.rect(rect, super::style::RADIUS, fill, stroke, egui::StrokeKind::Inside);
        let mark = pos2(rect.left() + 15.0, rect.center().y);
        let icons = |size| egui::FontId::new(size, super::fonts::icons());
        if self.state.requested_server().is_some() {
            painter.text(mark, Align2::CENTER_CENTER, icons::CLOUD, icons(14.0), dot);
        } else {
            painter.circle_filled(mark, 4.0, dot);
        }
        let chevron = pos2(rect.right() - 16.0, rect.center().y);
        painter.text(chevron, Align2::CENTER_CENTER, icons::CHEVRON_DOWN, icons(16.0), colours.mid);
        // Where it runs is said below the field for messages, and in the tooltip.
        let title = self.state.used_server().map_or(&name, |server| &server.model);
        let (short, in_name) = kit::split_format(title);
        let chosen = self.state.loaded().and_then(|loaded| loaded.load.weights).map(|format| format.name());
        let room = ((width - 58.0) / LETTER) as usize;
        let weights = chosen.or(in_name).filter(|weights| short.chars().count() + weights.len() < room);
        let shown = kit::shorten_middle(short, room);
        let font = egui::FontId::new(13.5, super::fonts::Weight::SemiBold.family());
        let left = pos2(rect.left() + 28.0, rect.center().y);
        let end = painter.text(left, Align2::LEFT_CENTER, shown, font, colours.text).right();
        if let Some(weights) = weights {
            let font = egui::FontId::proportional(12.0);
            painter.text(pos2(end + 6.0, rect.center().y), Align2::LEFT_CENTER, weights, font, colours.weak);
        }
        if let Some(progress) = progress {
            let track = Rect::from_min_max(pos2(rect.left() + 8.0, rect.bottom() - 4.0), rect.max - vec2(8.0, 2.0));
            let done = Rect::from_min_size(track.min, vec2(track.width() * progress, track.height()));
            painter.rect_filled(track, 1.0, colours.line);
            painter.rect_filled(done, 1.0, colours.accent_text);
        }
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Model: {name}")));
        let response = response.on_hover_text(&name);
        if response.clicked() {
            self.state.refresh_lists();
        }
        egui::Popup::menu(&response).gap(4.0).width(340.0).show(|ui| self.model_menu(ui));
    }

    /// The model's name or status in one line.
    pub(super) fn model_name(&self) -> String {
        match &self.state.model {
            Model::Ready(loaded) if loaded.is_guide() => "Guide (built in)".to_owned(),
            Model::Ready(loaded) => loaded.name.clone(),
            Model::Loading { name, progress } => format!("{:.0} % of {name}", progress * 100.0),
            Model::Failed(_) => "No model".to_owned(),
            Model::None => "…".to_owned(),
        }
    }
}
