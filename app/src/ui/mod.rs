//! Drawing and keyboard input. Nothing here blocks, and nothing that needs saving is kept here.

mod about;
mod alternatives;
mod chats;
mod closing;
mod composer;
mod conversation;
mod files;
mod markdown;
mod message;
mod models;
mod notices;
mod profiler;
mod settings;
mod shortcuts;
mod style;
mod top;

use egui::{Context, Key, Modifiers, Ui};

use conversation::Navigation;

use crate::chats::Id;
use crate::settings::ZOOM_RANGE;
use crate::state::State;

pub use files::Purpose;
pub use style::apply as apply_style;

/// The panel beside the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// Settings.
    Settings,
    /// Models on this machine.
    Models,
    /// The times of kernels.
    Profiler,
}

/// The modal page above everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheet {
    /// The shortcuts.
    Shortcuts,
    /// Version and licences.
    About,
    /// What the program sends over the network.
    Privacy,
    /// The trash.
    Trash,
}

/// The window's content: its state, and what only drawing needs.
pub struct App {
    /// The state that is drawn.
    pub state: State,
    /// The panel beside the conversation.
    pub panel: Option<Panel>,
    /// The modal page above everything else.
    pub sheet: Option<Sheet>,
    documents: markdown::Documents,
    markdown: markdown::Resources,
    conversation: conversation::Conversation,
    composer: composer::Composer,
    renaming: Option<(Id, String)>,
    files: files::Files,
    focus_search: bool,
    applied_style: style::AppliedStyle,
    new_preset: String,
    closing: closing::Closing,
    /// Whether emptying the trash is being confirmed.
    emptying: bool,
}

impl App {
    /// The window's content.
    pub fn new(state: State) -> Self {
        Self {
            state,
            panel: None,
            sheet: None,
            documents: markdown::Documents::default(),
            markdown: markdown::Resources::default(),
            conversation: conversation::Conversation::default(),
            composer: composer::Composer::default(),
            renaming: None,
            files: files::Files::default(),
            focus_search: false,
            applied_style: style::AppliedStyle::default(),
            new_preset: String::new(),
            closing: closing::Closing::default(),
            emptying: false,
        }
    }

    /// Handles events. Must be called before every frame, also while the window is not drawn.
    pub fn tick(&mut self, ctx: &Context) {
        self.state.tick();
        self.confirm_close(ctx);
    }

    /// Whether code that was drawn gets its colours in later frames.
    pub fn is_highlighting(&self) -> bool {
        self.markdown.is_working()
    }

    /// Draws everything and handles input.
    pub fn show(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        self.applied_style.update(&ctx, &self.state.settings);
        self.handle_dropped_files(&ctx);
        self.handle_keys(&ctx);
        let room = self.panel.is_none() || has_room(&ctx);
        if self.state.settings.sidebar && room {
            self.chat_list(ui);
        }
        match self.panel {
            Some(Panel::Settings) => self.settings_panel(ui),
            Some(Panel::Models) => self.models_panel(ui),
            Some(Panel::Profiler) => self.profiler_panel(ui),
            None => {}
        }
        self.top_bar(ui);
        self.composer_panel(ui);
        egui::CentralPanel::default().show(ui, |ui| self.conversation_area(ui));
        self.sheets(&ctx);
        self.alternatives_window(&ctx);
        self.file_prompt(&ctx);
        self.rename_prompt(&ctx);
        self.closing_prompt(&ctx);
        self.notice_area(&ctx);
        ctx.request_repaint_after(self.state.idle());
    }

    /// Keys that work everywhere.
    fn handle_keys(&mut self, ctx: &Context) {
        let pressed = |modifiers: Modifiers, key: Key| ctx.input_mut(|input| input.consume_key(modifiers, key));
        if pressed(Modifiers::COMMAND, Key::N) {
            self.state.new_chat();
            self.composer.focus = true;
        }
        if pressed(Modifiers::COMMAND, Key::F) {
            self.state.settings.sidebar = true;
            self.focus_search = true;
            if !has_room(ctx) {
                self.panel = None;
            }
        }
        if pressed(Modifiers::COMMAND, Key::O) {
            self.files.prompt_for(Purpose::OpenModel, String::new());
        }
        if pressed(Modifiers::COMMAND, Key::Comma) {
            self.toggle(Panel::Settings);
        }
        if pressed(Modifiers::COMMAND, Key::M) {
            self.toggle(Panel::Models);
        }
        if pressed(Modifiers::COMMAND, Key::E) {
            self.prompt_export(false);
        }
        if pressed(Modifiers::COMMAND, Key::B) {
            self.state.settings.sidebar ^= true;
        }
        if pressed(Modifiers::NONE, Key::F1) || pressed(Modifiers::COMMAND, Key::Slash) {
            self.sheet = if self.sheet == Some(Sheet::Shortcuts) { None } else { Some(Sheet::Shortcuts) };
        }
        if let Some(navigation) = self.navigation_key(ctx) {
            self.conversation.navigation = Some((navigation, false));
        }
        let zoom = &mut self.state.settings.zoom;
        let (least, most) = (*ZOOM_RANGE.start(), *ZOOM_RANGE.end());
        if pressed(Modifiers::COMMAND, Key::Plus) || pressed(Modifiers::COMMAND, Key::Equals) {
            *zoom = (*zoom + 0.1).min(most);
        }
        if pressed(Modifiers::COMMAND, Key::Minus) {
            *zoom = (*zoom - 0.1).max(least);
        }
        if pressed(Modifiers::COMMAND, Key::Num0) {
            *zoom = 1.0;
        }
        if pressed(Modifiers::COMMAND, Key::Q) {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
        // Closes the innermost thing first. The composer gets the focus, which egui takes away at Escape.
        let escape = !self.composer.composing && ctx.input(|input| input.key_pressed(Key::Escape));
        // An open menu handles Escape itself.
        if escape && !egui::Popup::is_any_open(ctx) {
            self.composer.focus = true;
            let closed = std::mem::take(&mut self.closing) == closing::Closing::Asked
                || self.sheet.take().is_some()
                || self.renaming.take().is_some()
                || self.files.close()
                || self.state.alternatives.take().is_some()
                || self.state.leave_edit();
            if closed {
                return;
            }
            if self.state.is_replying_here() || self.state.is_queued_here() {
                self.state.stop();
            } else if !self.state.search.text.is_empty() {
                self.state.search_for("");
            } else {
                self.panel = None;
            }
        }
    }

    /// The navigation key pressed in this frame, unless a text field needs the key.
    fn navigation_key(&self, ctx: &Context) -> Option<Navigation> {
        let asked = self.closing == closing::Closing::Asked;
        if asked || self.sheet.is_some() || self.renaming.is_some() || self.files.is_open() {
            return None;
        }
        let pressed = |modifiers: Modifiers, key: Key| ctx.input_mut(|input| input.consume_key(modifiers, key));
        let draft = ctx.memory(|memory| memory.focused()).is_some_and(|id| self.composer.field == Some(id));
        let free = (draft && self.state.draft().is_empty()) || !ctx.text_edit_focused();
        if pressed(Modifiers::NONE, Key::PageUp) {
            Some(Navigation::PageUp)
        } else if pressed(Modifiers::NONE, Key::PageDown) {
            Some(Navigation::PageDown)
        } else if free && pressed(Modifiers::COMMAND, Key::Home) {
            Some(Navigation::First)
        } else if free && pressed(Modifiers::COMMAND, Key::End) {
            Some(Navigation::Last)
        } else {
            None
        }
    }

    /// Opens a panel, or closes it if it is open.
    pub fn toggle(&mut self, panel: Panel) {
        self.panel = if self.panel == Some(panel) { None } else { Some(panel) };
        if self.panel.is_some() {
            self.state.refresh_lists();
        }
    }

    fn sheets(&mut self, ctx: &Context) {
        let close = match self.sheet {
            Some(Sheet::Shortcuts) => shortcuts::sheet(ctx),
            Some(Sheet::About) => about::about(ctx),
            Some(Sheet::Privacy) => about::privacy(ctx),
            Some(Sheet::Trash) => self.trash_sheet(ctx),
            None => false,
        };
        if close {
            self.sheet = None;
        }
        if self.sheet.is_none() {
            self.emptying = false;
        }
    }
}

/// Whether there is room for a panel beside the list of chats, which a small window or a large zoom lacks.
fn has_room(ctx: &Context) -> bool {
    ctx.content_rect().width() > 860.0
}

/// The header of a panel. Returns whether its button to close was clicked.
fn panel_head(ui: &mut Ui, title: &str) -> bool {
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        ui.heading(title);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.button("Close").clicked()).inner
    })
    .inner
}

/// A modal page in the middle of the window. Returns whether it should be closed.
fn sheet(ctx: &Context, title: &str, content: impl FnOnce(&mut Ui)) -> bool {
    let mut close = false;
    let modal = egui::Modal::new(egui::Id::unique(title)).show(ctx, |ui| {
        ui.set_width(460.0_f32.min(ctx.content_rect().width() - 60.0));
        ui.heading(title);
        ui.add_space(8.0);
        let most = ctx.content_rect().height() * 0.7;
        egui::ScrollArea::vertical().max_height(most).show(ui, content);
        ui.add_space(8.0);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            close = ui.button("Close").clicked();
        });
    });
    close || modal.should_close()
}
