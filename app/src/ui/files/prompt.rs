//! The prompt for a path, and the dialogs of the system above it.

use std::path::{Path, PathBuf};

use egui::Context;

use super::{Files, Purpose};
use crate::ui::{App, kit};

impl Files {
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
            Purpose::AddModelFolder => wait(Box::pin(dialog.pick_folder())),
            Purpose::OpenModel if folder => wait(Box::pin(dialog.pick_folder())),
            Purpose::OpenModel => wait(Box::pin(dialog.add_filter("Models", &["gguf", "safetensors"]).pick_file())),
            Purpose::Import => wait(Box::pin(dialog.add_filter("Chats", &["json"]).pick_file())),
            Purpose::Attach => wait(Box::pin(dialog.pick_file())),
            Purpose::Export { .. } | Purpose::ExportSelected => {
                let name = self
                    .prompt
                    .as_ref()
                    .and_then(|(_, path)| Some(Path::new(path).file_name()?.to_string_lossy().into_owned()));
                wait(Box::pin(dialog.set_file_name(name.unwrap_or_default()).save_file()));
            }
        }
    }
}

/// Whether the system can show a file dialog. On Linux that needs a desktop portal or the program zenity.
pub(in crate::ui) fn has_file_dialog() -> bool {
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

/// The path of a file that was dropped on the window.
pub(super) fn path_of(file: &dyn egui::DroppedFile) -> PathBuf {
    file.path().to_owned()
}

impl App {
    /// Draws the prompt for a path, and acts on the path when it is confirmed.
    pub(in crate::ui) fn file_prompt(&mut self, ctx: &Context) {
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
            self.use_file(purpose, parse_path(path.trim()));
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
