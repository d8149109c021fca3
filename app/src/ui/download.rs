//! A download on the page of models: its button, how far it has come, and the terms before the first.

use egui::{RichText, Ui};

use super::colours::Colours;
use super::{App, icons, kit};
use crate::hub::{Phase, Progress, duration, terms};
use crate::size::size;
use crate::state::Download;

impl App {
    /// The button that starts a download or goes on with one.
    pub(super) fn download_button(&mut self, ui: &mut Ui, name: &str) {
        let (text, enabled) = match self.state.hub.active.get(name) {
            None => ("Download", true),
            Some(Download::Running(_)) => ("Downloading…", false),
            Some(Download::Paused) => ("Go on", true),
            Some(Download::Failed(_)) => ("Try again", true),
            Some(Download::Done) => ("Done", false),
        };
        let response = ui.add_enabled(enabled, egui::Button::new(text)).accessible_name(format!("{text} {name}"));
        if response.clicked() {
            self.state.start_download(name);
        }
    }

    /// How far a download has come, and its buttons.
    pub(super) fn progress(&mut self, ui: &mut Ui, name: &str) {
        let colours = Colours::of(ui.visuals());
        let (mut pause, mut cancel, mut problem) = (false, false, None);
        match self.state.hub.active.get(name) {
            None => {}
            Some(Download::Done) => {
                ui.label(RichText::new("It is listed under “On this machine”.").size(13.0).color(colours.ok));
            }
            Some(Download::Failed(reason)) => {
                problem = Some(reason.clone());
                cancel = kit::ghost(ui, "Delete what came").clicked();
            }
            Some(Download::Paused) => {
                ui.horizontal(|ui| {
                    kit::hint(ui, "Paused; what came is kept.");
                    cancel = kit::ghost(ui, "Delete what came").clicked();
                });
            }
            Some(Download::Running(progress)) => {
                let share = progress.as_ref().map_or(0.0, |now| now.done as f32 / now.total.max(1) as f32);
                let width = (ui.available_width() - 80.0).max(60.0);
                ui.horizontal(|ui| {
                    kit::meter(ui, share, width, 6.0, colours.accent_text, &format!("Downloading {name}"));
                    pause = kit::small_icon_button(ui, true, icons::SQUARE, "Pause the download").clicked();
                    cancel = kit::small_icon_button(ui, true, icons::X, "Cancel the download").clicked();
                });
                let text = progress.as_ref().map_or_else(|| "Asking the hub…".to_owned(), progress_text);
                ui.label(RichText::new(text).size(12.5).color(colours.mid));
            }
        }
        self.hub_problem(ui, name, problem);
        if pause {
            self.state.pause_download(name);
        }
        if cancel {
            self.state.cancel_download(name);
        }
    }

    /// The terms, before the first download of a model that is under them.
    pub(super) fn terms_dialog(&mut self, ctx: &egui::Context) {
        let names = self.state.hub.asks_terms.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if names.is_empty() {
            return;
        }
        let mut accept = false;
        let close = kit::dialog(ctx, "Gemma's terms of use", 520.0, |ui| {
            ui.label(terms::SUMMARY);
            ui.hyperlink_to("The terms", terms::TERMS);
            ui.hyperlink_to("What they forbid", terms::FORBIDDEN_USES);
            ui.add_space(8.0);
            accept = kit::primary(ui, "Accept and download").clicked();
            kit::hint(ui, format!("Downloaded after that: {names}. The notice is kept beside the files."));
        });
        if accept {
            self.state.accept_terms();
        } else if close {
            self.state.hub.asks_terms.clear();
        }
    }
}

/// The progress of a download in words.
fn progress_text(now: &Progress) -> String {
    let of = format!("{} of {}", size(now.done), size(now.total));
    match &now.phase {
        Phase::Checking => format!("{of}, checking what is here"),
        Phase::Waiting => format!("{of}, another program downloads it"),
        Phase::Retrying(reason) => format!("{of}, trying again: {reason}"),
        Phase::Receiving => {
            let speed = now.speed.map(|speed| format!(", {}/s", size(speed as u64))).unwrap_or_default();
            let left = now.left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
            format!("{of}{speed}{left}")
        }
    }
}
