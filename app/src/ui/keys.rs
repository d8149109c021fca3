//! Keys that work everywhere in the window.

use egui::{Context, Key, Modifiers};

use super::conversation::Navigation;
use super::{App, Dialog, Page, Purpose, SettingsPage, closing};
use crate::chats::{Id, Role};
use crate::settings::ZOOM_RANGE;

impl App {
    pub(super) fn handle_keys(&mut self, ctx: &Context) {
        self.dialog_keys(ctx);
        self.zoom_keys(ctx);
        // A dialog owns the other keys.
        if !self.has_dialog() {
            self.chat_keys(ctx);
            self.view_keys(ctx);
        }
        if let Some(navigation) = self.navigation_key(ctx) {
            self.conversation.navigation = Some((navigation, false));
        }
        if pressed(ctx, Modifiers::COMMAND, Key::Q) {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
        // Closes the innermost thing first. The composer gets the focus, which egui takes away at Escape. An open menu
        // handles Escape itself.
        let escape = !self.composer.composing && ctx.input(|input| input.key_pressed(Key::Escape));
        if escape && !egui::Popup::is_any_open(ctx) {
            self.escape();
        }
    }

    fn chat_keys(&mut self, ctx: &Context) {
        if pressed(ctx, Modifiers::COMMAND, Key::N) {
            self.state.new_chat();
            self.after_choice();
        }
        // Before the key without Shift, which would match as well.
        if pressed(ctx, Modifiers::COMMAND | Modifiers::SHIFT, Key::F) {
            self.search_all(ctx);
        }
        if pressed(ctx, Modifiers::COMMAND, Key::F) {
            self.open_find();
        }
        if pressed(ctx, Modifiers::COMMAND, Key::E) {
            self.prompt_export(false);
        }
        if pressed(ctx, Modifiers::COMMAND | Modifiers::SHIFT, Key::C)
            && let Some(message) = self.last_reply().and_then(|id| self.state.tree()?.get(id))
        {
            ctx.copy_text(message.text.clone());
            self.state.notify("The last reply was copied.");
        }
        if pressed(ctx, Modifiers::COMMAND, Key::R)
            && let Some(id) = self.state.tree().and_then(|tree| tree.leaf())
        {
            self.state.regenerate(id);
            self.follow();
        }
        for (key, step) in [(Key::ArrowUp, -1), (Key::ArrowDown, 1)] {
            if pressed(ctx, Modifiers::ALT, key) {
                self.open_neighbour(step);
            }
        }
    }

    fn view_keys(&mut self, ctx: &Context) {
        if pressed(ctx, Modifiers::COMMAND, Key::O) {
            self.files.prompt_for(Purpose::OpenModel, String::new());
        }
        if pressed(ctx, Modifiers::COMMAND, Key::M) {
            self.show_page(if self.page == Page::Models { Page::Chat } else { Page::Models });
        }
        if pressed(ctx, Modifiers::COMMAND, Key::B) {
            self.toggle_sidebar(ctx);
        }
    }

    /// Whether a dialog is open, which owns the keyboard.
    pub(crate) fn has_dialog(&self) -> bool {
        self.dialog.is_some()
            || self.renaming.is_some()
            || self.prompts.is_saving()
            || self.moving.is_some()
            || self.files.is_open()
            || !self.state.hub.asks_terms.is_empty()
            || self.closing == closing::Closing::Asked
    }

    /// Keys that open a dialog, close it, or change its page.
    fn dialog_keys(&mut self, ctx: &Context) {
        let free = !self.has_dialog();
        let settings = matches!(self.dialog, Some(Dialog::Settings(_)));
        let palette = self.dialog == Some(Dialog::Palette);
        if (free || palette) && pressed(ctx, Modifiers::COMMAND, Key::K) {
            if palette {
                self.dialog = None;
                self.composer.focus = true;
            } else {
                self.open_palette();
            }
        }
        if (free || settings) && pressed(ctx, Modifiers::COMMAND, Key::Comma) {
            self.show_settings(SettingsPage::General);
        }
        if (free || settings)
            && (pressed(ctx, Modifiers::NONE, Key::F1) || pressed(ctx, Modifiers::COMMAND, Key::Slash))
        {
            self.show_settings(SettingsPage::Keyboard);
        }
    }

    fn zoom_keys(&mut self, ctx: &Context) {
        let zoom = &mut self.state.settings.zoom;
        let (least, most) = (*ZOOM_RANGE.start(), *ZOOM_RANGE.end());
        if pressed(ctx, Modifiers::COMMAND, Key::Plus) || pressed(ctx, Modifiers::COMMAND, Key::Equals) {
            *zoom = (*zoom + 0.1).min(most);
        }
        if pressed(ctx, Modifiers::COMMAND, Key::Minus) {
            *zoom = (*zoom - 0.1).max(least);
        }
        if pressed(ctx, Modifiers::COMMAND, Key::Num0) {
            *zoom = 1.0;
        }
    }

    fn escape(&mut self) {
        self.composer.focus = true;
        let closed = std::mem::take(&mut self.closing) == closing::Closing::Asked
            || self.renaming.take().is_some()
            || self.prompts.close_dialog()
            || self.moving.take().is_some()
            || self.files.close()
            || !std::mem::take(&mut self.state.hub.asks_terms).is_empty()
            || self.close_dialog()
            || self.prompts.suggested
            || self.selection.clear()
            || self.state.alternatives.take().is_some()
            || std::mem::take(&mut self.sidebar_overlay)
            || self.find.close()
            || self.state.leave_edit();
        if closed {
            return;
        }
        if self.state.is_replying_here() || self.state.is_queued_here() {
            self.state.stop();
        } else if self.searching {
            self.searching = false;
            self.state.search_for("");
        } else if self.page != Page::Chat {
            self.page = Page::Chat;
        } else {
            self.rail = false;
        }
    }

    /// Opens the search above the list of chats.
    pub(super) fn search_all(&mut self, ctx: &Context) {
        if self.is_narrow(ctx) {
            self.sidebar_overlay = true;
        } else {
            self.state.settings.sidebar = true;
        }
        self.searching = true;
        self.focus_search = true;
    }

    /// The last reply of the open chat.
    fn last_reply(&self) -> Option<Id> {
        self.state.tree()?.branch().rfind(|message| message.role == Role::Model).map(|message| message.id)
    }

    /// Opens the chat above the open one in the list, or below it.
    fn open_neighbour(&mut self, step: isize) {
        let chats = self.state.listed_chats().seen();
        let open = self.state.open_id();
        let next = match chats.iter().position(|id| *id == open) {
            Some(at) => at.checked_add_signed(step),
            // A new chat stands above the list.
            None => (step > 0).then_some(0),
        };
        if let Some(id) = next.and_then(|next| chats.get(next)) {
            self.state.open_chat(*id);
            self.after_choice();
        }
    }

    /// The navigation key pressed in this frame, unless a text field needs the key.
    fn navigation_key(&self, ctx: &Context) -> Option<Navigation> {
        if self.has_dialog() || self.page != Page::Chat {
            return None;
        }
        let draft = ctx.memory(|memory| memory.focused()).is_some_and(|id| self.composer.field == Some(id));
        let free = (draft && self.state.draft().is_empty()) || !ctx.text_edit_focused();
        if pressed(ctx, Modifiers::NONE, Key::PageUp) {
            Some(Navigation::PageUp)
        } else if pressed(ctx, Modifiers::NONE, Key::PageDown) {
            Some(Navigation::PageDown)
        } else if free && pressed(ctx, Modifiers::COMMAND, Key::Home) {
            Some(Navigation::First)
        } else if free && pressed(ctx, Modifiers::COMMAND, Key::End) {
            Some(Navigation::Last)
        } else {
            None
        }
    }
}

/// Whether a key was pressed in this frame. Consumes it.
fn pressed(ctx: &Context, modifiers: Modifiers, key: Key) -> bool {
    ctx.input_mut(|input| input.consume_key(modifiers, key))
}
