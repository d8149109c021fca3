//! The window of alternative tokens.

use egui::{Context, RichText, Ui};

use super::tokens::Tokens;
use super::{App, kit};
use crate::chats::Id;
use crate::worker::{Candidate, NextToken};

/// The user's choice.
enum Choice {
    Word(usize),
    Branch(Option<String>),
}

impl App {
    pub(super) fn alternatives_window(&mut self, ctx: &Context) {
        let Some(alternatives) = self.state.alternatives.clone() else { return };
        let Some(text) = self.text_of(alternatives.message) else {
            self.state.alternatives = None;
            return;
        };
        let mut open = true;
        let mut choice = None;
        egui::Window::new("Alternatives")
            .open(&mut open)
            .default_width(520.0)
            .default_pos(ctx.content_rect().center() - egui::vec2(260.0, 220.0))
            .collapsible(false)
            .show(ctx, |ui| {
                ui.label(RichText::new("Choose a word to see what the model might have said in its place.").weak());
                ui.add_space(4.0);
                egui::ScrollArea::vertical().id_salt("words").max_height(220.0).show(ui, |ui| {
                    words(ui, &text, alternatives.at, &mut choice);
                });
                ui.separator();
                match (&alternatives.at, &alternatives.list) {
                    (None, _) => {}
                    (Some(_), None) => {
                        ui.spinner();
                    }
                    (Some(_), Some(Err(reason))) => {
                        ui.label(reason);
                    }
                    (Some(_), Some(Ok(list))) => tokens(ui, list, &mut choice),
                }
            });
        match choice {
            Some(Choice::Word(at)) => self.state.request_alternatives(alternatives.message, at),
            Some(Choice::Branch(token)) => self.state.branch_from(token.as_deref()),
            None if !open => self.state.alternatives = None,
            None => {}
        }
    }

    fn text_of(&self, message: Id) -> Option<String> {
        Some(self.state.tree()?.get(message)?.text.clone())
    }
}

/// The text with a button per word. The space before a word belongs to it, as in a token.
fn words(ui: &mut Ui, text: &str, at: Option<usize>, choice: &mut Option<Choice>) {
    ui.spacing_mut().item_spacing = egui::vec2(1.0, 2.0);
    ui.spacing_mut().button_padding = egui::vec2(3.0, 1.0);
    for line in lines(text) {
        ui.horizontal_wrapped(|ui| {
            for (start, word) in line {
                let button = egui::Button::new(RichText::new(word).size(14.0)).frame_when_inactive(at == Some(start));
                if ui.add(button.selected(at == Some(start))).clicked() {
                    *choice = Some(Choice::Word(start));
                }
            }
        });
    }
}

/// The words of each line, with the byte where each starts including the space before it.
fn lines(text: &str) -> Vec<Vec<(usize, &str)>> {
    let mut lines = Vec::new();
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let mut words = Vec::new();
        let mut at = from;
        for piece in line.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end();
            if !word.is_empty() {
                // The token starts with the space.
                let spaced = text[..at].ends_with(' ');
                words.push((if spaced { at - 1 } else { at }, word));
            }
            at += piece.len();
        }
        from += line.len();
        lines.push(words);
    }
    lines
}

fn tokens(ui: &mut Ui, list: &[Candidate], choice: &mut Option<Choice>) {
    egui::Grid::new("tokens").num_columns(3).spacing([12.0, 4.0]).show(ui, |ui| {
        for (token, probability) in list {
            let name = match token {
                NextToken::End => "(the end)".to_owned(),
                NextToken::NonText(piece) => piece.clone(),
                NextToken::Text(text) => format!("“{}”", text.replace('\n', "⏎")),
            };
            let branch = match token {
                NextToken::End => Some(None),
                NextToken::NonText(_) => None,
                NextToken::Text(text) => Some(Some(text.clone())),
            };
            let accent = Tokens::of(ui.visuals()).accent_text;
            ui.horizontal(|ui| {
                kit::meter(ui, *probability, 110.0, 8.0, accent, &format!("Probability of {name}"));
                ui.label(format!("{:.1} %", probability * 100.0));
            });
            ui.monospace(&name);
            if let Some(token) = branch
                && ui.button("Branch").accessible_name(format!("Branch with {name}")).clicked()
            {
                *choice = Some(Choice::Branch(token));
            }
            ui.end_row();
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_have_their_byte_positions() {
        let lines = super::lines("Ein paar Wörter\nund mehr");
        assert_eq!(lines[0], [(0, "Ein"), (3, "paar"), (8, "Wörter")]);
        assert_eq!(lines[1], [(17, "und"), (20, "mehr")]);
    }
}
