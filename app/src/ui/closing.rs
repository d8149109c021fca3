//! The confirmation before the window closes with unsaved chats.

use egui::{Context, RichText, ViewportCommand};

use super::colours::Colours;
use super::{App, kit};

/// The state of closing the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Closing {
    /// Not requested.
    #[default]
    No,
    /// The confirmation is shown.
    Asked,
    /// The user confirmed it.
    Confirmed,
}

impl App {
    /// Cancels a request to close while chats are unsaved, and shows the confirmation. Restores a minimized window, which
    /// would not be drawn.
    pub(super) fn confirm_close(&mut self, ctx: &Context) {
        let wanted = ctx.input(|input| input.viewport().close_requested());
        if !wanted || self.closing == Closing::Confirmed || self.state.unsaved_reason().is_none() {
            return;
        }
        self.closing = Closing::Asked;
        for command in [ViewportCommand::CancelClose, ViewportCommand::Minimized(false), ViewportCommand::Focus] {
            ctx.send_viewport_cmd(command);
        }
    }

    /// Draws the confirmation and handles the answer.
    pub(super) fn closing_prompt(&mut self, ctx: &Context) {
        if self.closing != Closing::Asked {
            return;
        }
        // Everything may have been saved since.
        let Some(reason) = self.state.unsaved_reason() else {
            self.closing = Closing::No;
            return;
        };
        let ended = self.state.store_ended;
        let (mut export, mut anyway, mut cancel) = (false, false, false);
        let close = kit::dialog(ctx, "Not everything is saved", 440.0, |ui| {
            let danger = Colours::of(ui.visuals()).danger;
            ui.label(RichText::new(reason).color(danger));
            ui.label(if ended {
                "What is not saved is lost when Lapidary closes. Copy what you want to keep first."
            } else {
                "What is not saved is lost when Lapidary closes. You can write all chats to a file first."
            });
            ui.add_space(6.0);
            ui.horizontal(|ui| {
                // Exporting needs the store's thread.
                let file = if ended { None } else { Some(kit::primary(ui, "Export…")) };
                anyway = ui.button("Close anyway").clicked();
                let back = ui.button("Cancel");
                export = file.as_ref().is_some_and(egui::Response::clicked);
                cancel = back.clicked();
                if !ui.ctx().memory(|memory| memory.focused().is_some()) {
                    file.unwrap_or(back).request_focus();
                }
            });
        });
        if anyway {
            self.closing = Closing::Confirmed;
            ctx.send_viewport_cmd(ViewportCommand::Close);
        } else if export || cancel || close {
            self.closing = Closing::No;
            self.composer.focus = !export;
        }
        if export {
            self.prompt_export(true);
        }
    }
}
