//! The rows of the list of chats: pinned chats, folders, and the others by date.

use egui::{Align, Key, Layout, Margin, Modifiers, Rect, Response, Sense, Stroke, Ui, vec2};

use super::colours::Colours;
use super::{App, Page, bidi, icons, kit};
use crate::chats::{Chat, Folder, Group, Id};

/// The height of a row, in points.
const ROW: f32 = 32.0;
/// How far the chats of a folder are indented, in points.
const INDENT: f32 = 14.0;

/// What was chosen in the list.
enum Choice {
    Open(Id),
    /// A click on a chat while chats are selected, or with Ctrl.
    Mark(Id),
    /// A click with Shift.
    MarkTo(Id),
    Pin(Id, bool),
    Rename(Id, String),
    Move(Vec<Id>),
    Drop(Vec<Id>, Option<Id>),
    Export(Id),
    Delete(Id),
    Toggle(Id),
    DeleteFolder(Id),
}

/// A row of the list.
enum Row<'c> {
    Heading(String),
    /// A folder, and the number of its chats.
    Folder(&'c Folder, usize),
    /// A chat, and whether it is in a folder.
    Chat(&'c Chat, bool),
}

/// Chats that are being dragged.
struct Dragged(Vec<Id>);

impl App {
    /// Draws the list.
    pub(super) fn chat_list(&mut self, ui: &mut Ui) {
        let rows = self.rows();
        if rows.is_empty() {
            let frame = egui::Frame::new().inner_margin(Margin::symmetric(20, 8));
            frame.show(ui, |ui| kit::hint(ui, "Chats appear here."));
            return;
        }
        let mut choice = None;
        egui::ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW + 2.0, rows.len(), |ui, range| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for row in &rows[range] {
                match row {
                    Row::Heading(heading) => heading_row(ui, heading, &mut choice),
                    Row::Folder(folder, count) => folder_row(ui, folder, *count, &mut choice),
                    Row::Chat(chat, inside) => self.chat_row(ui, chat, *inside, &mut choice),
                }
            }
        });
        if let Some(choice) = choice {
            self.choose(choice);
        }
        self.draw_dragged(ui);
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let listing = self.state.listed_chats();
        let mut rows = Vec::new();
        listing.pinned.into_iter().for_each(|pinned| add_group(&mut rows, pinned));
        if !listing.folders.is_empty() {
            rows.push(Row::Heading("Folders".to_owned()));
        }
        for (folder, chats) in listing.folders {
            rows.push(Row::Folder(folder, chats.len()));
            if !folder.collapsed {
                rows.extend(chats.into_iter().map(|chat| Row::Chat(chat, true)));
            }
        }
        listing.dates.into_iter().for_each(|date| add_group(&mut rows, date));
        rows
    }

    fn choose(&mut self, choice: Choice) {
        match choice {
            Choice::Open(id) => {
                self.state.open_chat(id);
                self.after_choice();
            }
            Choice::Mark(id) => self.selection.toggle(id),
            Choice::MarkTo(id) => {
                let listed = self.state.listed_chats().seen();
                self.selection.extend_to(id, self.state.open_id(), &listed);
            }
            Choice::Pin(id, pinned) => self.state.pin(id, pinned),
            Choice::Rename(id, title) => self.renaming = Some((id, title)),
            Choice::Move(chats) => self.ask_folder(chats),
            Choice::Drop(chats, folder) => {
                self.state.move_chats(&chats, folder);
                self.selection.clear();
            }
            Choice::Export(id) => {
                self.state.open_chat(id);
                self.after_choice();
                self.prompt_export(false);
            }
            Choice::Delete(id) => self.state.delete(id),
            Choice::Toggle(id) => self.state.toggle_folder(id),
            Choice::DeleteFolder(id) => self.state.delete_folder(id),
        }
    }

    fn chat_row(&self, ui: &mut Ui, chat: &Chat, inside: bool, choice: &mut Option<Choice>) {
        let (id, title) = (chat.id, chat.shown_title());
        let colours = Colours::of(ui.visuals());
        // A finger scrolls the list.
        let touch = ui.input(|input| input.has_touch_screen());
        let sense = if touch { Sense::click() } else { Sense::click_and_drag() };
        let (rect, response) = row(ui, ("chat", id), if inside { INDENT } else { 0.0 }, sense);
        let selecting = self.selection.is_active();
        let marked = self.selection.contains(id);
        let open = self.state.open_id() == id && self.page == Page::Chat;
        let over = ui.rect_contains_pointer(rect);
        if open || marked || over {
            let ground = if open || marked { colours.selected } else { colours.hover };
            ui.painter().rect_filled(rect, super::style::RADIUS, ground);
        }
        focus_ring(ui, rect, &response);
        if selecting {
            mark_box(ui, rect, marked);
        }
        let left = if selecting { 34.0 } else { 12.0 };
        let (menu_rect, menu) = menu_button(ui, rect, id, &format!("Menu of {title}"), over || open);
        let items = |ui: &mut Ui, choice: &mut Option<Choice>| self.row_menu(ui, chat, choice);
        egui::Popup::menu(&menu).gap(4.0).width(200.0).show(|ui| items(ui, choice));
        egui::Popup::context_menu(&response).width(200.0).show(|ui| items(ui, choice));
        let writing = self.state.reply().is_some_and(|reply| reply.chat == id);
        let text = if writing { format!("{title} …") } else { title.to_owned() };
        let colour = if open { colours.text } else { colours.mid };
        let text_rect = Rect::from_min_max(rect.min + vec2(left, 0.0), menu_rect.left_bottom());
        row_text(ui, ("title", id), text_rect, &text, colour);
        let role = if selecting { egui::Role::CheckBox } else { egui::Role::Button };
        let state = if selecting { marked } else { open };
        response.widget_info(|| egui::WidgetInfo::selected(role, true, state, title));
        let modifiers = ui.input(|input| input.modifiers);
        if response.clicked() {
            *choice = Some(match modifiers {
                modifiers if modifiers.shift => Choice::MarkTo(id),
                modifiers if modifiers.command || selecting => Choice::Mark(id),
                _ => Choice::Open(id),
            });
        }
        let pressed = |key: Key| response.has_focus() && ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if (response.double_clicked() && !selecting && modifiers.is_none()) || pressed(Key::F2) {
            *choice = Some(Choice::Rename(id, title.to_owned()));
        }
        if !selecting && pressed(Key::Delete) {
            *choice = Some(Choice::Delete(id));
        }
        let dragged = if marked { self.selection.chats() } else { vec![id] };
        response.dnd_set_drag_payload(Dragged(dragged));
    }

    fn row_menu(&self, ui: &mut Ui, chat: &Chat, choice: &mut Option<Choice>) {
        let id = chat.id;
        if kit::menu_item(ui, icons::PENCIL, "Rename", "F2").clicked() {
            *choice = Some(Choice::Rename(id, chat.shown_title().to_owned()));
        }
        let (sign, pin) = if chat.pinned { (icons::PIN_OFF, "Unpin") } else { (icons::PIN, "Pin") };
        if kit::menu_item(ui, sign, pin, "").clicked() {
            *choice = Some(Choice::Pin(id, !chat.pinned));
        }
        if kit::menu_item(ui, icons::FOLDER_OPEN, "Move to a folder…", "").clicked() {
            *choice = Some(Choice::Move(vec![id]));
        }
        if kit::menu_item(ui, icons::UPLOAD, "Export…", "").clicked() {
            *choice = Some(Choice::Export(id));
        }
        if kit::menu_item(ui, icons::CHECK, "Select…", "").clicked() {
            *choice = Some(Choice::Mark(id));
        }
        ui.separator();
        if kit::menu_item(ui, icons::TRASH_2, "Delete", "").clicked() {
            *choice = Some(Choice::Delete(id));
        }
    }

    /// Draws what is dragged beside the pointer.
    fn draw_dragged(&self, ui: &Ui) {
        let ctx = ui.ctx();
        let Some(dragged) = egui::DragAndDrop::payload::<Dragged>(ctx) else { return };
        let Some(pointer) = ctx.pointer_interact_pos() else { return };
        let text = match &dragged.0[..] {
            [id] => self.state.chat(*id).map(|chat| kit::shorten_middle(chat.shown_title(), 32)).unwrap_or_default(),
            chats => format!("{} chats", chats.len()),
        };
        let colours = Colours::of(ui.visuals());
        let painter = ctx.layer_painter(egui::LayerId::new(egui::Order::Tooltip, egui::Id::unique("dragged chats")));
        let galley = painter.layout_no_wrap(text, egui::FontId::proportional(13.0), colours.text);
        let rect = Rect::from_min_size(pointer + vec2(12.0, 4.0), galley.size()).expand2(vec2(8.0, 4.0));
        painter.rect(
            rect,
            super::style::RADIUS,
            colours.card,
            Stroke::new(1.0, colours.line),
            egui::StrokeKind::Inside,
        );
        painter.galley(rect.min + vec2(8.0, 4.0), galley, colours.text);
    }
}

fn add_group<'c>(rows: &mut Vec<Row<'c>>, group: Group<'c>) {
    rows.push(Row::Heading(group.heading));
    rows.extend(group.chats.into_iter().map(|chat| Row::Chat(chat, false)));
}

/// The place of a row, and what it reacts to.
fn row(ui: &mut Ui, id: (&str, Id), indent: f32, sense: Sense) -> (Rect, Response) {
    let (whole, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let mut rect = whole.shrink2(vec2(8.0, 0.0));
    rect.min.x += indent;
    let response = ui.interact(rect, ui.scope_id().with(id), sense);
    (rect, response)
}

fn focus_ring(ui: &Ui, rect: Rect, response: &Response) {
    if response.has_focus() {
        let ring = Stroke::new(2.0, Colours::of(ui.visuals()).accent_text);
        ui.painter().rect_stroke(rect, super::style::RADIUS, ring, egui::StrokeKind::Inside);
    }
}

/// The button of a row's menu, which is seen where the pointer or the focus is.
fn menu_button(ui: &Ui, row: Rect, id: Id, name: &str, seen: bool) -> (Rect, Response) {
    let colours = Colours::of(ui.visuals());
    let rect = Rect::from_min_max(row.right_top() - vec2(36.0, 0.0), row.right_bottom());
    let menu = ui.interact(rect, ui.scope_id().with(("menu", id)), Sense::click());
    let is_open = egui::Popup::is_id_open(ui.ctx(), egui::Popup::default_response_id(&menu));
    if seen || is_open || menu.has_focus() {
        let colour = if menu.hovered() || menu.has_focus() { colours.text } else { colours.mid };
        let font = egui::FontId::new(16.0, super::fonts::icons());
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, icons::ELLIPSIS, font, colour);
    }
    menu.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name));
    (rect, menu)
}

fn row_text(ui: &mut Ui, id: (&str, Id), rect: Rect, text: &str, colour: egui::Color32) {
    let font = egui::FontId::new(13.5, super::fonts::Weight::Medium.family());
    if let Some(galley) = bidi::title(ui, text, &font, colour, rect.width()) {
        let at = egui::Align2::LEFT_CENTER.align_size_within_rect(galley.size(), rect).min;
        ui.painter().galley(at, galley, colour);
        return;
    }
    let label = egui::Label::new(kit::medium(text, 13.5).color(colour)).truncate().selectable(false);
    let mut child = ui.new_child(egui::UiBuilder::new().id_salt(id).max_rect(rect));
    child.with_layout(Layout::left_to_right(Align::Center), |ui| ui.add(label));
}

/// The box at the left of a chat while chats are selected.
fn mark_box(ui: &Ui, row: Rect, marked: bool) {
    let colours = Colours::of(ui.visuals());
    let rect = Rect::from_center_size(row.left_center() + vec2(18.0, 0.0), vec2(16.0, 16.0));
    if marked {
        ui.painter().rect_filled(rect, 4.0, colours.accent);
        let font = egui::FontId::new(12.0, super::fonts::icons());
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, icons::CHECK, font, colours.on_accent);
    } else {
        ui.painter().rect_stroke(rect, 4.0, Stroke::new(1.5, colours.weak), egui::StrokeKind::Inside);
    }
}

/// The heading of a group of chats. A chat that is dropped on it leaves its folder.
fn heading_row(ui: &mut Ui, heading: &str, choice: &mut Option<Choice>) {
    let weak = Colours::of(ui.visuals()).weak;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let place = Rect::from_min_max(rect.left_bottom() + vec2(20.0, -20.0), rect.max);
    let mut row = ui.new_child(egui::UiBuilder::new().max_rect(place));
    row.add(egui::Label::new(kit::medium(heading, 12.5).color(weak)).truncate().selectable(false));
    accept_drop(ui, rect, &response, None, choice);
}

/// A folder, which shows or hides its chats at a click.
fn folder_row(ui: &mut Ui, folder: &Folder, count: usize, choice: &mut Option<Choice>) {
    let (id, name) = (folder.id, &folder.name);
    let colours = Colours::of(ui.visuals());
    let (rect, response) = row(ui, ("folder", id), 0.0, Sense::click());
    let over = ui.rect_contains_pointer(rect);
    if over {
        ui.painter().rect_filled(rect, super::style::RADIUS, colours.hover);
    }
    focus_ring(ui, rect, &response);
    let sign = |at: f32, sign: char, size: f32| {
        let font = egui::FontId::new(size, super::fonts::icons());
        let at = rect.left_center() + vec2(at, 0.0);
        ui.painter().text(at, egui::Align2::CENTER_CENTER, sign, font, colours.mid);
    };
    sign(14.0, if folder.collapsed { icons::CHEVRON_RIGHT } else { icons::CHEVRON_DOWN }, 14.0);
    sign(32.0, icons::FOLDER_OPEN, 15.0);
    let (menu_rect, menu) = menu_button(ui, rect, id, &format!("Menu of the folder {name}"), over);
    egui::Popup::menu(&menu).gap(4.0).width(200.0).show(|ui| folder_menu(ui, folder, choice));
    egui::Popup::context_menu(&response).width(200.0).show(|ui| folder_menu(ui, folder, choice));
    let text_rect = Rect::from_min_max(rect.min + vec2(46.0, 0.0), menu_rect.left_bottom());
    row_text(ui, ("folder name", id), text_rect, &format!("{name} ({count})"), colours.mid);
    let chats = if count == 1 { "1 chat".to_owned() } else { format!("{count} chats") };
    let label = format!("Folder {name}, {chats}");
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, !folder.collapsed, &label));
    if response.clicked() {
        *choice = Some(Choice::Toggle(id));
    }
    if response.has_focus() && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::F2)) {
        *choice = Some(Choice::Rename(id, name.clone()));
    }
    accept_drop(ui, rect, &response, Some(id), choice);
}

fn folder_menu(ui: &mut Ui, folder: &Folder, choice: &mut Option<Choice>) {
    if kit::menu_item(ui, icons::PENCIL, "Rename the folder", "F2").clicked() {
        *choice = Some(Choice::Rename(folder.id, folder.name.clone()));
    }
    if kit::menu_item(ui, icons::TRASH_2, "Delete the folder", "").on_hover_text("Its chats are kept.").clicked() {
        *choice = Some(Choice::DeleteFolder(folder.id));
    }
}

/// Moves chats that are dropped on a row into its folder.
fn accept_drop(ui: &Ui, rect: Rect, response: &Response, folder: Option<Id>, choice: &mut Option<Choice>) {
    if response.dnd_hover_payload::<Dragged>().is_some() {
        let line = Stroke::new(2.0, Colours::of(ui.visuals()).accent_text);
        ui.painter().rect_stroke(rect, super::style::RADIUS, line, egui::StrokeKind::Inside);
    }
    if let Some(dragged) = response.dnd_release_payload::<Dragged>() {
        *choice = Some(Choice::Drop(dragged.0.clone(), folder));
    }
}
