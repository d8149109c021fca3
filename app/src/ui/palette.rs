//! The palette: go to a chat, load a model or run a command by typing a part of its name.

use std::path::PathBuf;

use egui::{Context, Key, Modifiers, Sense, Ui, vec2};

use super::colours::Colours;
use super::{App, Dialog, Page, Purpose, SettingsPage, icons, kit};
use crate::IS_PAGE;
use crate::chats::Id;

/// The most entries shown at once.
const MOST: usize = 20;

/// The text typed, and the chosen entry.
#[derive(Default)]
pub(super) struct Palette {
    text: String,
    chosen: usize,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    Chat(Id),
    Model(Option<PathBuf>),
    NewChat,
    Find,
    Page(Page),
    Settings(SettingsPage),
    Rail,
    Sidebar,
    OpenFile,
    Connect,
    Export { all: bool },
    Import,
    NewFolder,
    Trash,
}

/// An entry of the list.
struct Entry {
    icon: char,
    name: String,
    kind: &'static str,
    action: Action,
}

impl App {
    pub(super) fn open_palette(&mut self) {
        self.palette = Palette::default();
        self.state.refresh_lists();
        self.dialog = Some(Dialog::Palette);
    }

    /// Draws the palette. Returns whether it should be closed.
    pub(super) fn palette_dialog(&mut self, ctx: &Context) -> bool {
        let entries = self.entries();
        let count = entries.len();
        let palette = &mut self.palette;
        let (mut clicked, mut changed) = (None, false);
        // The field would take the arrows.
        let pressed = |key: Key| ctx.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        let mut moved = false;
        if pressed(Key::ArrowDown) {
            moved = true;
            palette.chosen = (palette.chosen + 1) % count.max(1);
        }
        if pressed(Key::ArrowUp) {
            moved = true;
            palette.chosen = (palette.chosen + count.max(1) - 1) % count.max(1);
        }
        let entered = pressed(Key::Enter);
        let id = egui::Id::unique("palette");
        let area = egui::Modal::default_area(id).anchor(egui::Align2::CENTER_TOP, [0.0, 80.0]);
        let frame = kit::dialog_frame(ctx).inner_margin(10);
        let modal = egui::Modal::new(id).area(area).frame(frame).show(ctx, |ui| {
            ui.set_width(560.0_f32.min(ctx.content_rect().width() - 40.0));
            ui.spacing_mut().item_spacing.y = 2.0;
            let field = egui::TextEdit::singleline(&mut palette.text).desired_width(f32::INFINITY);
            let field =
                field.hint_text("Go to a chat, a model or a command").frame(egui::Frame::NONE.inner_margin(10.0));
            let field = ui.add(field).accessible_name("Commands");
            field.request_focus();
            changed = field.changed();
            ui.separator();
            if entries.is_empty() {
                kit::hint(ui, "Nothing has this name.");
            }
            let most = ctx.content_rect().height() * 0.6;
            egui::ScrollArea::vertical().max_height(most).show(ui, |ui| {
                for (index, entry) in entries.iter().enumerate() {
                    if entry_row(ui, entry, index == palette.chosen, moved) {
                        clicked = Some(index);
                    }
                }
            });
        });
        if changed {
            self.palette.chosen = 0;
        }
        let run = match clicked {
            Some(index) => entries.into_iter().nth(index),
            // What was typed in the same frame as Enter counts too.
            None if entered => self.entries().into_iter().nth(self.palette.chosen),
            None => None,
        };
        if let Some(entry) = run {
            self.dialog = None;
            self.run(ctx, entry.action);
            return false;
        }
        modal.should_close()
    }

    /// The entries that contain all typed words: chats first, then models, then commands.
    fn entries(&self) -> Vec<Entry> {
        let words: Vec<String> = self.palette.text.split_whitespace().map(str::to_lowercase).collect();
        let fits = |name: &str| {
            let name = name.to_lowercase();
            words.iter().all(|word| name.contains(word.as_str()))
        };
        let mut entries = Vec::new();
        // Without any word, chats and models leave room for the commands.
        let most_chats = if words.is_empty() { 4 } else { MOST };
        for chat in self.state.visible_chats().into_iter().filter(|chat| fits(chat.shown_title())).take(most_chats) {
            let (name, action) = (chat.shown_title().to_owned(), Action::Chat(chat.id));
            entries.push(Entry { icon: icons::MESSAGE_SQUARE, name, kind: "chat", action });
        }
        let most_models = if words.is_empty() { 2 } else { MOST };
        for model in self.state.models.iter().flatten().filter(|model| fits(&model.name)).take(most_models) {
            let (name, action) = (model.name.clone(), Action::Model(model.path.clone()));
            entries.push(Entry { icon: icons::HARD_DRIVE, name, kind: "model", action });
        }
        for (icon, name, action) in commands() {
            if fits(name) && !(IS_PAGE && action == Action::Connect) {
                entries.push(Entry { icon, name: name.to_owned(), kind: "", action });
            }
        }
        entries.truncate(MOST);
        entries
    }

    fn run(&mut self, ctx: &Context, action: Action) {
        match action {
            Action::Chat(id) => {
                self.state.open_chat(id);
                self.after_choice();
            }
            Action::Model(path) => self.state.load_model(path),
            Action::NewChat => {
                self.state.new_chat();
                self.after_choice();
            }
            Action::Find => self.open_find(),
            Action::Page(page) => self.show_page(page),
            Action::Settings(page) => self.show_settings(page),
            Action::Rail => self.rail ^= true,
            Action::Sidebar => self.toggle_sidebar(ctx),
            Action::OpenFile => self.files.prompt_for(Purpose::OpenModel, String::new()),
            Action::Connect => self.show_connect(),
            Action::Export { all } => self.prompt_export(all),
            Action::Import => self.files.prompt_for(Purpose::Import, String::new()),
            Action::NewFolder => self.ask_folder(Vec::new()),
            Action::Trash => self.dialog = Some(Dialog::Trash),
        }
    }
}

fn commands() -> [(char, &'static str, Action); 17] {
    [
        (icons::SQUARE_PEN, "New chat", Action::NewChat),
        (icons::SEARCH, "Find in this chat", Action::Find),
        (icons::SLIDERS_HORIZONTAL, "Settings of this chat", Action::Rail),
        (icons::HARD_DRIVE, "Models", Action::Page(Page::Models)),
        (icons::FOLDER_OPEN, "Open a model file…", Action::OpenFile),
        (icons::CLOUD, "Connect to a server…", Action::Connect),
        (icons::SETTINGS, "Settings", Action::Settings(SettingsPage::General)),
        (icons::PALETTE, "Theme and size", Action::Settings(SettingsPage::Appearance)),
        (icons::BOOK_OPEN, "Prompts", Action::Settings(SettingsPage::Prompts)),
        (icons::KEYBOARD, "Keyboard shortcuts", Action::Settings(SettingsPage::Keyboard)),
        (icons::GAUGE, "Profiler", Action::Settings(SettingsPage::Developer)),
        (icons::UPLOAD, "Export this chat…", Action::Export { all: false }),
        (icons::UPLOAD, "Export all chats…", Action::Export { all: true }),
        (icons::DOWNLOAD, "Import chats…", Action::Import),
        (icons::FOLDER_OPEN, "New folder…", Action::NewFolder),
        (icons::TRASH_2, "Trash", Action::Trash),
        (icons::PANEL_LEFT, "Show or hide the list of chats", Action::Sidebar),
    ]
}

/// Draws an entry, and scrolls to the chosen one if the choice moved. Returns whether it was clicked.
fn entry_row(ui: &mut Ui, entry: &Entry, chosen: bool, moved: bool) -> bool {
    let colours = Colours::of(ui.visuals());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 36.0), Sense::click());
    if chosen && moved {
        response.scroll_to_me(None);
    }
    if chosen || response.hovered() {
        let ground = if chosen { colours.selected } else { colours.hover };
        ui.painter().rect_filled(rect, super::style::RADIUS, ground);
    }
    let mut row = ui.new_child(egui::UiBuilder::new().max_rect(rect.shrink2(vec2(10.0, 0.0))));
    row.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
        kit::sign(ui, entry.icon, 16.0, colours.mid);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.label(egui::RichText::new(entry.kind).size(12.0).color(colours.weak));
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.add(egui::Label::new(kit::medium(&entry.name, 13.5)).truncate().selectable(false));
            });
        });
    });
    let name = &entry.name;
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, chosen, name));
    response.clicked()
}
