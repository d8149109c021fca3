//! In place of `ui::files::prompt`: the browser's own dialog chooses files, and what is exported is downloaded.

use std::path::PathBuf;

use egui::Context;

use super::{Files, Purpose};
use crate::page::files;
use crate::ui::{App, kit};

/// Every browser has a file dialog.
pub(in crate::ui) fn has_file_dialog() -> bool {
    true
}

/// The name by which a file that was dropped on the page is known from now on.
pub(super) fn path_of(file: &dyn egui::DroppedFile) -> PathBuf {
    file.web_file().map_or_else(|| file.path().to_owned(), files::remember)
}

impl Files {
    /// Opens the browser's dialog.
    fn browse(&self, ctx: &Context, purpose: Purpose) {
        let endings = match purpose {
            Purpose::OpenModel => ".gguf",
            Purpose::Import => ".json",
            Purpose::Attach | Purpose::AddModelFolder | Purpose::Export { .. } | Purpose::ExportSelected => "",
        };
        let (answer, ctx, number) = (self.picked.0.clone(), ctx.clone(), self.number);
        wasm_bindgen_futures::spawn_local(async move {
            if let Some(path) = files::choose(endings).await {
                // The receiver lives as long as the page.
                let _ = answer.send((number, path));
                ctx.request_repaint();
            }
        });
    }
}

impl App {
    /// Opens the browser's dialog, or asks for the name of an export, and acts on the answer.
    pub(in crate::ui) fn file_prompt(&mut self, ctx: &Context) {
        while let Ok((number, path)) = self.files.picked.1.try_recv() {
            if self.files.number == number
                && let Some(purpose) = self.files.chosen_for.take()
            {
                self.use_file(purpose, path);
            }
        }
        let Some((purpose, mut name)) = self.files.prompt.take() else { return };
        if !matches!(purpose, Purpose::Export { .. } | Purpose::ExportSelected) {
            // The browser's dialog does not tell reliably that it was cancelled, so nothing waits for it.
            self.files.chosen_for = Some(purpose);
            self.files.browse(ctx, purpose);
            return;
        }
        let mut done = false;
        let close = kit::dialog(ctx, purpose.title(), 520.0, |ui| {
            kit::hint(ui, purpose.hint());
            let field = egui::TextEdit::singleline(&mut name).desired_width(f32::INFINITY).margin(10.0);
            let field = ui.add(field).accessible_name("Name");
            done |= field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            if !done && !ui.ctx().memory(|memory| memory.focused().is_some()) {
                field.request_focus();
            }
            ui.add_space(6.0);
            done |= kit::primary_if(ui, !name.trim().is_empty(), purpose.verb()).clicked();
        });
        if done && !name.trim().is_empty() {
            self.use_file(purpose, PathBuf::from(name.trim()));
        } else if close {
            self.composer.focus = true;
        } else {
            self.files.prompt = Some((purpose, name));
        }
    }
}
