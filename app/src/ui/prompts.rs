//! The library of prompts: suggested in the field for messages after `/`, and its page in the settings.

use egui::{Context, Suggestion, Ui, vec2};

use super::{App, icons, kit};
use crate::chats::title_of;
use crate::settings::SavedPrompt;
use crate::state::State;

/// The suggestions in the field, and the prompt that is being saved.
#[derive(Default)]
pub(super) struct Prompts {
    /// Whether prompts are suggested. The list then owns the arrows, Enter, Tab and Escape.
    pub(super) suggested: bool,
    /// The name of the prompt that is being saved from the draft.
    saving: Option<String>,
}

impl Prompts {
    /// Whether the dialog for a name is open.
    pub(super) fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Closes the dialog. Returns whether it was open.
    pub(super) fn close_dialog(&mut self) -> bool {
        self.saving.take().is_some()
    }
}

/// The prompts that a draft asks for: their names, with the start of their texts behind them.
pub(super) fn suggestions(state: &State, draft: &str) -> Vec<Suggestion> {
    let prompts = state.wanted_prompts(draft).into_iter();
    let suggestion = |prompt: &SavedPrompt| {
        let start = title_of(&prompt.text);
        let name = if prompt.name.trim().is_empty() { &start } else { &prompt.name };
        let suggestion = Suggestion::new(&prompt.text).content(kit::medium(kit::shorten_middle(name, 36), 13.5));
        suggestion.description(egui::RichText::new(kit::shorten_middle(&start, 40)).size(12.5))
    };
    prompts.map(suggestion).collect()
}

impl App {
    /// Says how to fill an empty library, once it is asked for.
    pub(super) fn empty_library_hint(&self, ui: &mut Ui) {
        if self.state.draft() == "/" && self.state.settings.prompts.is_empty() {
            let how =
                "You have no prompts yet. To keep one, write it and choose “Save as a prompt…” in the menu below.";
            ui.horizontal(|ui| {
                ui.add_space(10.0);
                kit::hint(ui, how);
            });
        }
    }

    /// Starts saving the draft as a prompt.
    pub(super) fn save_draft_as_prompt(&mut self) {
        self.prompts.saving = Some(title_of(self.state.draft()));
    }

    /// Draws the dialog for the name of a new prompt.
    pub(super) fn save_prompt_dialog(&mut self, ctx: &Context) {
        let Some(mut name) = self.prompts.saving.take() else { return };
        let known = self.state.settings.prompts.iter().any(|prompt| prompt.name == name.trim());
        let mut done = false;
        let close = kit::dialog(ctx, "Save as a prompt", 380.0, |ui| {
            done = kit::name_field(ui, &mut name, "Name of the prompt");
            kit::hint(
                ui,
                if known { "It replaces the prompt that has this name." } else { "Type / and its name to use it." },
            );
            ui.add_space(4.0);
            done |= kit::primary_if(ui, !name.trim().is_empty(), "Save").clicked();
        });
        if done && !name.trim().is_empty() {
            let draft = self.state.draft().to_owned();
            self.state.save_prompt(&name, &draft);
            self.state.notify("The prompt is saved. Type / to use it.");
            self.composer.focus = true;
        } else if !close {
            self.prompts.saving = Some(name);
        }
    }

    /// The page of the settings.
    pub(super) fn prompts_page(&mut self, ui: &mut Ui) {
        ui.add_space(4.0);
        kit::hint(ui, "Texts that you send again and again. Type / in an empty message to find one by its name.");
        let mut removed = None;
        for (index, prompt) in self.state.settings.prompts.iter_mut().enumerate() {
            ui.add_space(6.0);
            let called = if prompt.name.trim().is_empty() { format!("{}", index + 1) } else { prompt.name.clone() };
            ui.horizontal(|ui| {
                let width = (ui.available_width() - 40.0).max(80.0);
                let field = egui::TextEdit::singleline(&mut prompt.name).hint_text("Name").desired_width(width);
                ui.add(field.margin(vec2(10.0, 7.0))).accessible_name(format!("Name of the prompt {}", index + 1));
                let remove = format!("Remove the prompt {called}");
                if kit::small_icon_button(ui, true, icons::TRASH_2, &remove).clicked() {
                    removed = Some(index);
                }
            });
            let field = egui::TextEdit::multiline(&mut prompt.text).hint_text("Text").desired_rows(2);
            let field = field.desired_width(f32::INFINITY).margin(10.0);
            ui.add(field).accessible_name(format!("Text of the prompt {}", index + 1));
        }
        if let Some(index) = removed {
            self.state.settings.prompts.remove(index);
        }
        ui.add_space(8.0);
        if kit::primary(ui, "Add a prompt").clicked() {
            self.state.settings.prompts.push(SavedPrompt::default());
        }
    }
}
