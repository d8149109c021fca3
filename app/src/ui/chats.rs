//! The list of chats, the search, the trash, and renaming.

use egui::{Context, RichText, Ui};

use super::{App, Purpose, Sheet, sheet};
use crate::chats::Id;
use crate::chats::store::MAX_HITS;

enum Choice {
    Open(Id),
    Rename(Id, String),
    Export(Id),
    Delete(Id),
}

impl App {
    pub(super) fn chat_list(&mut self, ui: &mut Ui) {
        egui::Panel::left("chats").default_size(240.0).size_range(180.0..=420.0).show(ui, |ui| {
            ui.add_space(4.0);
            let new =
                egui::Button::new("New chat").shortcut_text(ui.ctx().format_modifiers(egui::Modifiers::COMMAND) + "+N");
            if ui.add_sized([ui.available_width(), 28.0], new).clicked() {
                self.state.new_chat();
                self.composer.focus = true;
            }
            let mut text = self.state.search.text.clone();
            let field = egui::TextEdit::singleline(&mut text).hint_text("Search").desired_width(f32::INFINITY);
            let field = ui.add(field).accessible_name("Search chats");
            if std::mem::take(&mut self.focus_search) {
                field.request_focus();
            }
            if field.changed() {
                self.state.search_for(&text);
            }
            ui.add_space(4.0);
            // The list is drawn before the buttons below it, because Tab follows the order of drawing.
            let list = egui::vec2(ui.available_width(), (ui.available_height() - 42.0).max(0.0));
            ui.allocate_ui(list, |ui| {
                ui.set_min_size(list);
                if self.state.search.text.trim().is_empty() {
                    self.titles(ui);
                } else {
                    self.hits(ui);
                }
            });
            self.library_buttons(ui);
        });
    }

    fn library_buttons(&mut self, ui: &mut Ui) {
        ui.add_space(2.0);
        ui.horizontal_wrapped(|ui| {
            let trash = self.state.trash().len();
            let text = if trash == 0 { "Trash".to_owned() } else { format!("Trash ({trash})") };
            if ui.button(text).clicked() {
                self.sheet = Some(Sheet::Trash);
            }
            ui.menu_button("More", |ui| {
                if ui.button("Export this chat…").clicked() {
                    self.prompt_export(false);
                }
                if ui.button("Export all chats…").clicked() {
                    self.prompt_export(true);
                }
                if ui.button("Import chats…").clicked() {
                    self.files.prompt_for(Purpose::Import, String::new());
                }
                ui.separator();
                if ui.button("Profiler").clicked() {
                    self.toggle(super::Panel::Profiler);
                }
                if ui.button("Shortcuts").clicked() {
                    self.sheet = Some(Sheet::Shortcuts);
                }
                if ui.button("Privacy").clicked() {
                    self.sheet = Some(Sheet::Privacy);
                }
                if ui.button("About").clicked() {
                    self.sheet = Some(Sheet::About);
                }
            });
        });
        ui.add_space(2.0);
    }

    fn titles(&mut self, ui: &mut Ui) {
        let open = self.state.open_id();
        let writing = self.state.reply().map(|reply| reply.chat);
        let chats: Vec<(Id, String)> =
            self.state.visible_chats().iter().map(|chat| (chat.id, chat.shown_title().to_owned())).collect();
        if chats.is_empty() {
            ui.label(RichText::new("Chats appear here.").weak());
            return;
        }
        let mut choice = None;
        let height = 28.0;
        egui::ScrollArea::vertical().auto_shrink(false).show_rows(ui, height, chats.len(), |ui, range| {
            for (id, title) in &chats[range] {
                let row = egui::Layout::right_to_left(egui::Align::Center);
                ui.allocate_ui_with_layout(egui::vec2(ui.available_width(), height), row, |ui| {
                    let menu = egui::Button::new("…").frame_when_inactive(false);
                    let menu = egui::containers::menu::MenuButton::from_button(menu);
                    let (button, _) = menu.ui(ui, |ui| {
                        if ui.button("Rename").clicked() {
                            choice = Some(Choice::Rename(*id, title.clone()));
                        }
                        if ui.button("Export…").clicked() {
                            choice = Some(Choice::Export(*id));
                        }
                        if ui.button("Delete").clicked() {
                            choice = Some(Choice::Delete(*id));
                        }
                    });
                    button.accessible_name(format!("Menu of {title}"));
                    let text = if writing == Some(*id) { format!("{title} …") } else { title.clone() };
                    // An empty right text aligns the button's text to the left.
                    let button = egui::Button::selectable(open == *id, text).truncate().right_text("");
                    let response = ui.add_sized([ui.available_width(), height], button).accessible_name(title);
                    if response.clicked() {
                        choice = Some(Choice::Open(*id));
                    }
                    if response.double_clicked() {
                        choice = Some(Choice::Rename(*id, title.clone()));
                    }
                });
            }
        });
        match choice {
            Some(Choice::Open(id)) => {
                self.state.open_chat(id);
                self.composer.focus = true;
            }
            Some(Choice::Rename(id, title)) => self.renaming = Some((id, title)),
            Some(Choice::Export(id)) => {
                self.state.open_chat(id);
                self.prompt_export(false);
            }
            Some(Choice::Delete(id)) => self.state.delete(id),
            None => {}
        }
    }

    fn hits(&mut self, ui: &mut Ui) {
        let Some(hits) = &self.state.search.hits else {
            ui.spinner();
            return;
        };
        if hits.is_empty() {
            ui.label(RichText::new("Nothing found.").weak());
            return;
        }
        let mut chosen = None;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            if hits.len() >= MAX_HITS {
                let text = format!("The newest {MAX_HITS} are shown; type more to narrow the search.");
                ui.label(RichText::new(text).weak().small());
            }
            for hit in hits {
                let title = self.state.chat(hit.chat).map(|chat| chat.shown_title().to_owned()).unwrap_or_default();
                let text = if hit.message.is_some() {
                    let mut job = egui::text::LayoutJob::default();
                    let style = ui.style();
                    RichText::new(format!("{title}\n")).strong().append_to(
                        &mut job,
                        style,
                        egui::FontSelection::Default,
                        egui::Align::Min,
                    );
                    RichText::new(&hit.excerpt).weak().small().append_to(
                        &mut job,
                        style,
                        egui::FontSelection::Default,
                        egui::Align::Min,
                    );
                    egui::WidgetText::from(job)
                } else {
                    egui::WidgetText::from(RichText::new(title).strong())
                };
                let button = egui::Button::new(text).wrap().frame_when_inactive(false);
                if ui.add(button).clicked() {
                    chosen = Some((hit.chat, hit.message));
                }
            }
        });
        if let Some((chat, message)) = chosen {
            self.state.open_message(chat, message);
        }
    }

    /// Draws the trash. Returns whether it should be closed.
    pub(super) fn trash_sheet(&mut self, ctx: &Context) -> bool {
        let chats: Vec<(Id, String)> =
            self.state.trash().iter().map(|chat| (chat.id, chat.shown_title().to_owned())).collect();
        let (mut restore, mut empty) = (None, false);
        let emptying = &mut self.emptying;
        let close = sheet(ctx, "Trash", |ui| {
            if chats.is_empty() {
                ui.label("The trash is empty.");
                return;
            }
            for (id, title) in &chats {
                ui.horizontal(|ui| {
                    if ui.button("Restore").accessible_name(format!("Restore {title}")).clicked() {
                        restore = Some(*id);
                    }
                    ui.add(egui::Label::new(title).truncate());
                });
            }
            ui.separator();
            if *emptying {
                let what =
                    if chats.len() == 1 { "this chat".to_owned() } else { format!("these {} chats", chats.len()) };
                ui.label(format!("Remove {what} for good? It cannot be undone."));
                ui.horizontal(|ui| {
                    // The first position is the safe choice, because the second click of a double click may hit it.
                    *emptying &= !ui.button("Keep").clicked();
                    empty = ui.button("Remove for good").clicked();
                });
            } else {
                *emptying = ui.button("Empty the trash").clicked();
            }
        });
        if let Some(id) = restore {
            self.state.restore(id);
            return true;
        }
        if empty {
            self.emptying = false;
            self.state.empty_trash();
        }
        close
    }

    /// Draws the prompt for a new title.
    pub(super) fn rename_prompt(&mut self, ctx: &Context) {
        let Some((id, mut title)) = self.renaming.take() else { return };
        let (mut done, mut cancel) = (false, false);
        let modal = egui::Modal::new(egui::Id::unique("rename")).show(ctx, |ui| {
            ui.set_width(340.0);
            ui.heading("Rename the chat");
            ui.add_space(6.0);
            let field = egui::TextEdit::singleline(&mut title).desired_width(f32::INFINITY);
            let field = ui.add(field).accessible_name("Title");
            done = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            if !done && !ui.ctx().memory(|memory| memory.focused().is_some()) {
                field.request_focus();
            }
            ui.add_space(6.0);
            ui.horizontal(|ui| {
                done |= ui.button("Rename").clicked();
                cancel = ui.button("Cancel").clicked();
            });
        });
        if done {
            self.state.rename(id, &title);
        } else if !cancel && !modal.should_close() {
            self.renaming = Some((id, title));
        }
    }
}
