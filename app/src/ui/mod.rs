//! Drawing and keyboard input. Nothing here blocks, and nothing that needs saving is kept here.

mod actions;
mod alternatives;
mod banners;
mod bidi;
mod chat_list;
mod closing;
mod colours;
mod composer;
mod connect;
mod conversation;
mod download;
mod files;
mod find;
mod folders;
mod fonts;
#[cfg_attr(target_arch = "wasm32", path = "../page/instead/ui/get_models.rs")]
mod get_models;
mod greeting;
mod hub_search;
#[cfg(not(target_arch = "wasm32"))]
mod hub_token;
mod icons;
mod keys;
mod kit;
pub(crate) mod markdown;
mod message;
mod model_menu;
mod models;
mod notices;
mod palette;
mod prompts;
mod rail;
mod rename;
mod selection;
mod settings;
mod sidebar;
mod style;
mod top;
mod trash;
mod virtual_rows;

use egui::{Context, Ui};

use crate::chats::Id;
use crate::state::{ServerSearch, State};

pub use files::Purpose;
pub use settings::SettingsPage;
pub use style::apply as apply_style;

/// What the middle of the window shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// The open chat.
    #[default]
    Chat,
    /// The models on this machine.
    Models,
}

/// The dialog above everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// The settings.
    Settings(SettingsPage),
    /// The trash.
    Trash,
    /// The palette of chats, models and commands.
    Palette,
    /// Connecting to a server.
    Connect,
}

/// Shows a note of the desktop with a title and a sentence.
type DesktopNote = Box<dyn Fn(&str, &str)>;

/// The window's content: its state, and what only drawing needs.
pub struct App {
    /// The state that is drawn.
    pub state: State,
    /// What the middle of the window shows.
    pub page: Page,
    /// The dialog above everything else.
    pub dialog: Option<Dialog>,
    /// Whether the settings of the open chat are shown at the right.
    pub rail: bool,
    documents: markdown::Documents,
    markdown: markdown::Resources,
    conversation: conversation::Conversation,
    composer: composer::Composer,
    find: find::Find,
    palette: palette::Palette,
    connect: connect::ConnectForm,
    /// The chat or folder that is being renamed, and its new name.
    renaming: Option<(Id, String)>,
    /// The chats that are being moved to a folder.
    moving: Option<folders::Moving>,
    selection: selection::Selection,
    files: files::Files,
    /// Whether the field to search all chats is shown, and whether it gets the focus.
    searching: bool,
    focus_search: bool,
    /// Whether a narrow window shows the list of chats above the conversation.
    sidebar_overlay: bool,
    applied_style: style::AppliedStyle,
    new_preset: String,
    prompts: prompts::Prompts,
    get_models: get_models::GetModels,
    /// What is typed in the field for the key of the window's server.
    serving_key: String,
    closing: closing::Closing,
    /// Whether emptying the trash is being confirmed.
    emptying: bool,
    /// Shows a note of the desktop with a title and a sentence, where there are notes.
    desktop_note: Option<DesktopNote>,
}

impl App {
    /// The window's content.
    pub fn new(state: State) -> Self {
        Self {
            state,
            page: Page::default(),
            dialog: None,
            rail: false,
            documents: markdown::Documents::default(),
            markdown: markdown::Resources::default(),
            conversation: conversation::Conversation::default(),
            composer: composer::Composer::default(),
            find: find::Find::default(),
            palette: palette::Palette::default(),
            connect: connect::ConnectForm::default(),
            renaming: None,
            moving: None,
            selection: selection::Selection::default(),
            files: files::Files::default(),
            searching: false,
            focus_search: false,
            sidebar_overlay: false,
            applied_style: style::AppliedStyle::default(),
            new_preset: String::new(),
            prompts: prompts::Prompts::default(),
            get_models: get_models::GetModels::default(),
            serving_key: String::new(),
            closing: closing::Closing::default(),
            emptying: false,
            desktop_note: None,
        }
    }

    /// Lets the window open the system's file dialogs, where there are any. Tests do without.
    pub fn use_system_dialogs(&mut self) {
        self.files.system_dialogs = files::has_file_dialog();
    }

    /// Handles events. Must be called before every frame, also while the window is not drawn.
    pub fn tick(&mut self, ctx: &Context) {
        let before = self.state.reply().map(|reply| (reply.chat, reply.message));
        self.state.tick();
        let goes_on = |message| self.state.reply().is_some_and(|reply| reply.message == message);
        if let Some((chat, message)) = before.filter(|(_, message)| !goes_on(*message))
            && !ctx.input(|input| input.focused)
        {
            self.tell_of_reply(ctx, chat, message);
        }
        self.confirm_close(ctx);
    }

    /// Lets the end of a reply be shown as a note of the desktop while the window is in the background. The function gets
    /// the title of the chat and a sentence.
    pub fn show_desktop_notes(&mut self, show: impl Fn(&str, &str) + 'static) {
        self.desktop_note = Some(Box::new(show));
    }

    /// Tells whoever works in another window that a reply has ended.
    fn tell_of_reply(&self, ctx: &Context, chat: Id, message: Id) {
        let Some(chat) = self.state.chat(chat).filter(|_| self.state.settings.notify_replies) else { return };
        ctx.send_viewport_cmd(egui::ViewportCommand::RequestUserAttention(egui::UserAttentionType::Informational));
        if let Some(show) = &self.desktop_note {
            let failed = self.state.has_failed(message);
            show(chat.shown_title(), if failed { "The reply failed." } else { "The reply is complete." });
        }
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
        self.sidebar(ui);
        if self.rail {
            self.rail_panel(ui);
        }
        self.top_bar(ui);
        let ground = egui::Frame::new().fill(colours::Colours::of(ui.visuals()).bg);
        match self.page {
            Page::Chat => {
                self.composer_panel(ui);
                self.notices(ui);
                egui::CentralPanel::default().frame(ground).show(ui, |ui| {
                    self.find_bar(ui);
                    self.conversation_area(ui);
                });
            }
            Page::Models => {
                self.notices(ui);
                egui::CentralPanel::default().frame(ground).show(ui, |ui| self.models_page(ui));
            }
        }
        self.show_dialog(&ctx);
        self.alternatives_window(&ctx);
        self.file_prompt(&ctx);
        self.rename_prompt(&ctx);
        self.save_prompt_dialog(&ctx);
        self.folder_dialog(&ctx);
        self.terms_dialog(&ctx);
        self.closing_prompt(&ctx);
        ctx.request_repaint_after(self.state.idle());
    }

    /// Shows a page in the middle of the window.
    pub fn show_page(&mut self, page: Page) {
        self.page = page;
        self.close_dialog();
        // The list belongs to the field, which may no longer be drawn.
        self.prompts.suggested = false;
        match page {
            Page::Chat => self.composer.focus = true,
            Page::Models => self.state.refresh_lists(),
        }
    }

    /// Opens the settings at a page, or closes them if that page is shown.
    pub fn show_settings(&mut self, page: SettingsPage) {
        let settings = Dialog::Settings(page);
        self.dialog = if self.dialog == Some(settings) { None } else { Some(settings) };
        self.state.refresh_lists();
    }

    /// Closes the dialog. Returns whether one was open.
    fn close_dialog(&mut self) -> bool {
        if self.dialog == Some(Dialog::Connect) {
            // The key is not kept longer than needed, and an answer is of no more use.
            self.connect = connect::ConnectForm::default();
            self.state.servers = ServerSearch::None;
        }
        self.dialog.take().is_some()
    }

    fn show_dialog(&mut self, ctx: &Context) {
        let close = match self.dialog {
            Some(Dialog::Settings(page)) => self.settings_dialog(ctx, page),
            Some(Dialog::Trash) => self.trash_dialog(ctx),
            Some(Dialog::Palette) => self.palette_dialog(ctx),
            Some(Dialog::Connect) => self.connect_dialog(ctx),
            None => false,
        };
        if close {
            self.close_dialog();
            self.composer.focus = true;
        }
        if self.dialog != Some(Dialog::Trash) {
            self.emptying = false;
        }
    }
}
