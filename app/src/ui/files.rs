//! Choosing files and folders: in a system dialog, by typing a path, or by dropping them on the window.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};

use egui::Context;

use super::{App, kit};
use crate::chats::{Chat, Id};

/// What a path is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A model to open.
    OpenModel,
    /// A file to export to.
    Export {
        /// Whether to export all chats rather than the open one.
        all: bool,
    },
    /// A file to import chats from.
    Import,
    /// A text to add to the message.
    Attach,
}

impl Purpose {
    fn title(self) -> &'static str {
        match self {
            Self::OpenModel => "Open a model",
            Self::Export { all: false } => "Export this chat",
            Self::Export { all: true } => "Export all chats",
            Self::Import => "Import chats",
            Self::Attach => "Attach a text",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::OpenModel => {
                "A .gguf file, or a folder with config.json and safetensors. You can also drop it on the window."
            }
            Self::Export { .. } => {
                "A name that ends in .md gives Markdown, .html a page to read, .json everything to import again."
            }
            Self::Import => "A .json file: exported by Lapidary or Open WebUI, or ChatGPT's conversations.json.",
            Self::Attach => "A text, code or PDF file. You can also drop it on the window.",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::OpenModel => "Open",
            Self::Export { .. } => "Save",
            Self::Import => "Import",
            Self::Attach => "Attach",
        }
    }
}

/// The result of a system dialog: the number of the prompt that opened it, and the path.
type Picked = (u64, PathBuf);

/// The prompt for a path, and the results of open system dialogs.
pub(super) struct Files {
    prompt: Option<(Purpose, String)>,
    /// The number of the prompt. A dialog that was opened for an earlier one no longer matters.
    number: u64,
    /// The chats that are exported. Another one may be open by the time that the path is chosen.
    exported: Vec<Id>,
    /// Whether the system has dialogs that may be opened.
    pub(super) system_dialogs: bool,
    /// Whether the system's dialog is opened in the next frame.
    wants_dialog: bool,
    /// The path that a system dialog returned after it asked whether to overwrite an existing file.
    overwrite_agreed: Option<PathBuf>,
    picked: (Sender<Picked>, Receiver<Picked>),
}

impl Default for Files {
    fn default() -> Self {
        Self {
            prompt: None,
            number: 0,
            exported: Vec::new(),
            system_dialogs: false,
            wants_dialog: false,
            overwrite_agreed: None,
            picked: mpsc::channel(),
        }
    }
}

impl Files {
    /// Opens the prompt for a path, and the system's dialog above it where there is one.
    pub(super) fn prompt_for(&mut self, purpose: Purpose, proposal: String) {
        self.prompt = Some((purpose, proposal));
        self.wants_dialog = self.system_dialogs;
        self.number += 1;
        self.overwrite_agreed = None;
    }

    /// Whether the prompt is open.
    pub(super) fn is_open(&self) -> bool {
        self.prompt.is_some()
    }

    /// Closes the prompt. Returns whether it was open.
    pub(super) fn close(&mut self) -> bool {
        self.prompt.take().is_some()
    }

    /// Opens a system dialog, waiting for it on its own thread.
    fn browse(&self, ctx: &Context, purpose: Purpose, folder: bool) {
        let dialog = rfd::AsyncFileDialog::new().set_title(purpose.title());
        let (answer, ctx, number) = (self.picked.0.clone(), ctx.clone(), self.number);
        let wait = |future: std::pin::Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>>| {
            let work = move || {
                if let Some(file) = pollster::block_on(future) {
                    // Sending fails after the window is closed, when the result no longer matters.
                    let _ = answer.send((number, file.path().to_owned()));
                    ctx.request_repaint();
                }
            };
            if let Err(error) = std::thread::Builder::new().name("lapidary-dialog".into()).spawn(work) {
                log::error!("cannot start a thread: {error}");
            }
        };
        match purpose {
            Purpose::OpenModel if folder => wait(Box::pin(dialog.pick_folder())),
            Purpose::OpenModel => wait(Box::pin(dialog.add_filter("Models", &["gguf", "safetensors"]).pick_file())),
            Purpose::Import => wait(Box::pin(dialog.add_filter("Chats", &["json"]).pick_file())),
            Purpose::Attach => wait(Box::pin(dialog.pick_file())),
            Purpose::Export { .. } => {
                let name = self
                    .prompt
                    .as_ref()
                    .and_then(|(_, path)| Some(std::path::Path::new(path).file_name()?.to_string_lossy().into_owned()));
                wait(Box::pin(dialog.set_file_name(name.unwrap_or_default()).save_file()));
            }
        }
    }
}

/// Whether the system can show a file dialog. On Linux that needs a desktop portal or the program zenity.
pub(super) fn has_file_dialog() -> bool {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return true;
    }
    let in_path = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    };
    // The portal is started by the session bus when it is first asked.
    let data = std::env::var_os("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let service = "dbus-1/services/org.freedesktop.portal.Desktop.service";
    let portal = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
        && std::env::split_paths(&data).any(|folder| folder.join(service).is_file());
    portal || in_path("zenity")
}

impl App {
    /// Opens the prompt for the file to export to.
    pub(super) fn prompt_export(&mut self, all: bool) {
        let chats = self.state.exported_chats(all);
        let empty = if all { chats.is_empty() } else { !self.state.open().is_some_and(Chat::has_messages) };
        if empty {
            self.state.notify("There is nothing to export yet.");
            return;
        }
        let title = if all {
            "Lapidary chats".to_owned()
        } else {
            self.state.open().map(|chat| chat.shown_title().to_owned()).unwrap_or_default()
        };
        let allowed = |c: char| if c.is_alphanumeric() || " -_".contains(c) { c } else { ' ' };
        let name: String = title.chars().map(allowed).collect();
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        // A title without letters, digits or dashes leaves an empty name.
        let name = if name.is_empty() { "Chat".to_owned() } else { name };
        let folder = std::env::home_dir().unwrap_or_default();
        let folder = Some(folder.join("Documents")).filter(|folder| folder.is_dir()).unwrap_or(folder);
        let path = folder.join(format!("{name}.{}", if all { "json" } else { "md" }));
        self.files.exported = chats;
        self.files.prompt_for(Purpose::Export { all }, path.display().to_string());
    }

    /// Handles files dropped on the window.
    pub(super) fn handle_dropped_files(&mut self, ctx: &Context) {
        let dropped = ctx.input_mut(|input| std::mem::take(&mut input.raw.dropped_files));
        for file in dropped {
            self.state.open_dropped_file(file.path().to_owned());
            self.composer.focus = true;
        }
        if ctx.input(|input| !input.raw.hovered_files.is_empty()) {
            let screen = ctx.content_rect();
            let painter = ctx.layer_painter(egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop")));
            painter.rect_filled(screen, 0.0, egui::Color32::from_black_alpha(170));
            painter.text(
                screen.center(),
                egui::Align2::CENTER_CENTER,
                "Drop a model to open it, or a text to attach it to your message",
                egui::FontId::proportional(20.0),
                egui::Color32::WHITE,
            );
        }
    }

    /// Draws the prompt for a path, and acts on the path when it is confirmed.
    pub(super) fn file_prompt(&mut self, ctx: &Context) {
        let mut picked = false;
        while let Ok((number, path)) = self.files.picked.1.try_recv() {
            if let Some((_, text)) = &mut self.files.prompt
                && self.files.number == number
            {
                *text = path.display().to_string();
                self.files.overwrite_agreed = Some(path);
                // The system's dialog has asked all that there is to ask.
                picked = true;
            }
        }
        if let Some((purpose, _)) = &self.files.prompt
            && std::mem::take(&mut self.files.wants_dialog)
        {
            self.files.browse(ctx, *purpose, false);
        }
        let Some((purpose, mut path)) = self.files.prompt.take() else { return };
        let (mut done, mut browse) = (picked, None);
        let no_dialog = !self.files.system_dialogs;
        let close = kit::dialog(ctx, purpose.title(), 520.0, |ui| {
            kit::hint(ui, purpose.hint());
            let field = egui::TextEdit::singleline(&mut path).hint_text("Path").desired_width(f32::INFINITY);
            let field = field.margin(10.0);
            let field = ui.add(field).accessible_name("Path");
            done |= field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            if !done && !ui.ctx().memory(|memory| memory.focused().is_some()) {
                field.request_focus();
            }
            ui.add_space(6.0);
            ui.horizontal(|ui| {
                let enabled = !path.trim().is_empty();
                done |= kit::primary_if(ui, enabled, purpose.verb()).clicked();
                if !no_dialog && ui.button("Browse…").clicked() {
                    browse = Some(false);
                }
                if !no_dialog && purpose == Purpose::OpenModel && ui.button("Browse folders…").clicked() {
                    browse = Some(true);
                }
            });
            if no_dialog {
                kit::hint(ui, "This system has no file dialog: it needs a desktop portal, or the program zenity.");
            }
        });
        if done && !path.trim().is_empty() {
            let path = parse_path(path.trim());
            match purpose {
                Purpose::OpenModel => self.state.load_model(Some(path)),
                Purpose::Export { .. } => {
                    let overwrite = self.files.overwrite_agreed.as_ref() == Some(&path);
                    self.state.export_chats(std::mem::take(&mut self.files.exported), path, overwrite);
                }
                Purpose::Import => self.state.import(path),
                Purpose::Attach => self.state.attach(path),
            }
            self.composer.focus = true;
            return;
        }
        if close {
            self.composer.focus = true;
            return;
        }
        self.files.prompt = Some((purpose, path));
        if let Some(folder) = browse {
            self.files.browse(ctx, purpose, folder);
        }
    }
}

/// Parses a typed path. `~` is the home folder, and some file managers copy paths in quotes.
fn parse_path(text: &str) -> PathBuf {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::parse_path;

    #[test]
    fn typed_paths_are_parsed() {
        assert_eq!(parse_path("/a b.gguf"), PathBuf::from("/a b.gguf"));
        assert_eq!(parse_path("\"C:\\a b.gguf\""), PathBuf::from("C:\\a b.gguf"));
        assert_eq!(parse_path("~/a.gguf"), std::env::home_dir().unwrap().join("a.gguf"));
        assert_eq!(parse_path("\""), PathBuf::from("\""));
    }
}
