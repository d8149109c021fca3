//! The window of alternative tokens.

use egui::{Context, RichText, Ui};

use super::colours::Colours;
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
        // A server would answer a reply rather than continue it.
        let can_branch = self.state.used_server().is_none();
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
                let rows = rows(&text);
                let area = egui::ScrollArea::vertical().id_salt("words").max_height(220.0);
                area.show_rows(ui, ROW, rows.len(), |ui, shown| {
                    words(ui, &rows[shown], alternatives.at, &mut choice);
                });
                ui.separator();
                match (&alternatives.at, &alternatives.list) {
                    (None, _) => {}
                    (Some(_), None) => {
                        kit::working(ui);
                    }
                    (Some(_), Some(Err(reason))) => {
                        ui.label(reason);
                    }
                    (Some(_), Some(Ok(list))) => tokens(ui, list, can_branch, &mut choice),
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

/// The height of a row of words, in points.
const ROW: f32 = 24.0;
/// The most characters of a row.
const ROW_CHARS: usize = 60;

/// Rows of words with a button per word. The space before a word belongs to it, as in a token.
fn words(ui: &mut Ui, rows: &[Vec<(usize, &str)>], at: Option<usize>, choice: &mut Option<Choice>) {
    ui.spacing_mut().item_spacing = egui::vec2(1.0, 0.0);
    ui.spacing_mut().button_padding = egui::vec2(3.0, 1.0);
    ui.spacing_mut().interact_size.y = ROW;
    for row in rows {
        ui.horizontal(|ui| {
            ui.set_height(ROW);
            for (start, word) in row {
                let selected = at == Some(*start);
                let button = egui::Button::new(RichText::new(*word).size(14.0)).frame_when_inactive(selected);
                if ui.add(button.selected(selected)).clicked() {
                    *choice = Some(Choice::Word(*start));
                }
            }
        });
    }
}

/// The words of a text in rows of one line each, with the byte where each word starts including the space before it.
fn rows(text: &str) -> Vec<Vec<(usize, &str)>> {
    let mut rows = Vec::new();
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let mut row = Vec::new();
        let (mut at, mut chars) = (from, 0);
        for piece in line.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end();
            if !word.is_empty() {
                if chars > 0 && chars + word.len() > ROW_CHARS {
                    rows.push(std::mem::take(&mut row));
                    chars = 0;
                }
                // The token starts with the space.
                let spaced = text[..at].ends_with(' ');
                row.push((if spaced { at - 1 } else { at }, word));
                chars += word.len() + 1;
            }
            at += piece.len();
        }
        from += line.len();
        rows.push(row);
    }
    rows
}

fn tokens(ui: &mut Ui, list: &[Candidate], can_branch: bool, choice: &mut Option<Choice>) {
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
            let accent = Colours::of(ui.visuals()).accent_text;
            ui.horizontal(|ui| {
                kit::meter(ui, *probability, 110.0, 8.0, accent, &format!("Probability of {name}"));
                ui.label(format!("{:.1} %", probability * 100.0));
            });
            ui.monospace(&name);
            if can_branch
                && let Some(token) = branch
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
        let rows = super::rows("Ein paar Wörter\nund mehr");
        assert_eq!(rows[0], [(0, "Ein"), (3, "paar"), (8, "Wörter")]);
        assert_eq!(rows[1], [(17, "und"), (20, "mehr")]);
        let long = "word ".repeat(100);
        assert!(super::rows(&long).len() > 5, "long lines are broken");
    }
}
