//! Choosing files and folders: in a system dialog, by typing a path, or by dropping them on the window.

#[cfg_attr(target_arch = "wasm32", path = "../page/instead/ui/files/prompt.rs")]
mod prompt;

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};

use egui::Context;

use super::App;
use crate::chats::{Chat, Id};

pub(super) use prompt::has_file_dialog;

/// What a path is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A model to open.
    OpenModel,
    /// A folder of another program, whose models are listed.
    AddModelFolder,
    /// A file to export to.
    Export {
        /// Whether to export all chats rather than the open one.
        all: bool,
    },
    /// A file to export the selected chats to.
    ExportSelected,
    /// A file to import chats from.
    Import,
    /// A text to add to the message.
    Attach,
}

impl Purpose {
    fn title(self) -> &'static str {
        match self {
            Self::OpenModel => "Open a model",
            Self::AddModelFolder => "Add a folder of models",
            Self::Export { all: false } => "Export this chat",
            Self::Export { all: true } => "Export all chats",
            Self::ExportSelected => "Export the selected chats",
            Self::Import => "Import chats",
            Self::Attach => "Attach a text",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::OpenModel => {
                "A .gguf file, or a folder with config.json and safetensors. You can also drop it on the window."
            }
            Self::AddModelFolder => {
                "Ollama's is mostly ~/.ollama/models, LM Studio's ~/.lmstudio/models. Its models are listed, not copied."
            }
            Self::Export { .. } | Self::ExportSelected => {
                "A name that ends in .md gives Markdown, .html a page to read, .json everything to import again."
            }
            Self::Import => "A .json file: exported by Lapidary or Open WebUI, or ChatGPT's conversations.json.",
            Self::Attach => "A text, code or PDF file. You can also drop it on the window.",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::OpenModel => "Open",
            Self::AddModelFolder => "Add",
            Self::Export { .. } | Self::ExportSelected => "Save",
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
    /// What the file that the browser's dialog returns is for.
    #[cfg(target_arch = "wasm32")]
    chosen_for: Option<Purpose>,
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
            #[cfg(target_arch = "wasm32")]
            chosen_for: None,
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
        self.prompt_export_of(chats, Purpose::Export { all });
    }

    /// Opens the prompt for the file to export these chats to.
    pub(super) fn prompt_export_of(&mut self, chats: Vec<Id>, purpose: Purpose) {
        let alone = chats.len() == 1 && purpose != Purpose::Export { all: true };
        let first = chats.first().filter(|_| alone).and_then(|chat| self.state.chat(*chat));
        let title = first.map_or_else(|| "Lapidary chats".to_owned(), |chat| chat.shown_title().to_owned());
        let allowed = |c: char| if c.is_alphanumeric() || " -_".contains(c) { c } else { ' ' };
        let name: String = title.chars().map(allowed).collect();
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        // A title without letters, digits or dashes leaves an empty name.
        let name = if name.is_empty() { "Chat".to_owned() } else { name };
        let folder = std::env::home_dir().unwrap_or_default();
        let folder = Some(folder.join("Documents")).filter(|folder| folder.is_dir()).unwrap_or(folder);
        let path = folder.join(format!("{name}.{}", if alone { "md" } else { "json" }));
        self.files.exported = chats;
        self.files.prompt_for(purpose, path.display().to_string());
    }

    /// Handles files dropped on the window.
    pub(super) fn handle_dropped_files(&mut self, ctx: &Context) {
        let dropped = ctx.input_mut(|input| std::mem::take(&mut input.raw.dropped_files));
        for file in dropped {
            self.state.open_dropped_file(prompt::path_of(&*file));
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

    /// Does what a file was chosen for.
    fn use_file(&mut self, purpose: Purpose, path: PathBuf) {
        match purpose {
            Purpose::OpenModel => self.state.load_model(Some(path)),
            Purpose::AddModelFolder => return self.state.change_model_folder(path, true),
            Purpose::Export { .. } | Purpose::ExportSelected => {
                let overwrite = self.files.overwrite_agreed.as_ref() == Some(&path);
                self.state.export_chats(std::mem::take(&mut self.files.exported), path, overwrite);
            }
            Purpose::Import => self.state.import(path),
            Purpose::Attach => self.state.attach(path),
        }
        self.composer.focus = true;
    }
}
