//! The content of an empty chat.

use egui::{Align, Layout, RichText, Sense, Ui, UiBuilder, vec2};

use super::colours::Colours;
use super::{App, icons, kit};
use crate::state::Model;

/// The questions that the guide is offered.
const GUIDE_QUESTIONS: [(char, &str); 4] = [
    (icons::FOLDER_OPEN, "How do I open a Gemma 2 model?"),
    (icons::CPU, "Which model fits my GPU?"),
    (icons::BOOK_OPEN, "What is a sliding window?"),
    (icons::SHIELD, "Does anything leave my machine?"),
];

/// How a message to a model may begin.
const BEGINNINGS: [(char, &str, &str); 4] = [
    (icons::PENCIL, "Write", "Write an email to "),
    (icons::LIGHTBULB, "Explain", "Explain in simple words: "),
    (icons::FILE_TEXT, "Sum up", "Sum up this text:\n\n"),
    (icons::TERMINAL, "Program", "Write a function that "),
];

impl App {
    pub(super) fn greeting(&mut self, ui: &mut Ui) {
        let loaded = self.state.loaded();
        let guide = loaded.is_some_and(|loaded| loaded.is_guide());
        let (title, text): (String, String) = match loaded {
            Some(_) if guide => (
                "Gemma on your own GPU".into(),
                "You talk to the built-in guide. It knows how to use Lapidary and how Gemma 2 works, and nothing else. For a real \
                 conversation, open Gemma 2 or Gemma 3."
                    .into(),
            ),
            Some(loaded) => {
                let where_to = loaded.server().map(|server| server.address.warning());
                let where_to = where_to.as_deref().unwrap_or("Nothing leaves this machine.");
                (kit::shorten_middle(&loaded.name, 48), format!("Ask anything. {where_to}"))
            }
            None if matches!(self.state.model, Model::Failed(_)) => {
                ("No model".into(), "The model could not be loaded; the reason is shown above.".into())
            }
            None => ("One moment".into(), "The model is loading. You can type already.".into()),
        };
        let ready = loaded.is_some();
        let weak = Colours::of(ui.visuals()).weak;
        let middle = vec2(ui.available_width().min(560.0), ui.available_height());
        let rect = egui::Align2::CENTER_CENTER.align_size_within_rect(middle, ui.max_rect());
        ui.scope_builder(UiBuilder::new().max_rect(rect).layout(Layout::top_down(Align::Center)), |ui| {
            ui.add_space(((ui.available_height() - 320.0) / 2.0).clamp(8.0, 200.0));
            logo(ui);
            ui.add_space(10.0);
            ui.label(kit::semibold(title, 24.0));
            ui.label(RichText::new(text).size(15.0).color(weak).line_height(Some(22.0)));
            ui.add_space(16.0);
            if ready {
                self.cards(ui, guide);
            }
            if guide {
                ui.add_space(12.0);
                self.offer_models(ui);
            }
        });
    }

    fn cards(&mut self, ui: &mut Ui, guide: bool) {
        let cards: Vec<(char, &str)> = if guide {
            GUIDE_QUESTIONS.to_vec()
        } else {
            BEGINNINGS.iter().map(|(sign, name, _)| (*sign, *name)).collect()
        };
        let gap = 10.0;
        let columns = if ui.available_width() > 420.0 { 2 } else { 1 };
        let width = (ui.available_width() - gap * (columns - 1) as f32) / columns as f32;
        let mut chosen = None;
        egui::Grid::new("cards").spacing([gap, gap]).show(ui, |ui| {
            for (index, (sign, text)) in cards.iter().enumerate() {
                if prompt_card(ui, *sign, text, width) {
                    chosen = Some(index);
                }
                if (index + 1) % columns == 0 {
                    ui.end_row();
                }
            }
        });
        let Some(index) = chosen else { return };
        if guide {
            self.state.ask(cards[index].1);
            self.follow();
        } else {
            let draft = BEGINNINGS[index].2.to_owned() + self.state.draft();
            self.state.set_draft(draft);
        }
        self.composer.focus = true;
    }
}

/// A card that can be clicked. Returns whether it was.
fn prompt_card(ui: &mut Ui, sign: char, text: &str, width: f32) -> bool {
    let colours = Colours::of(ui.visuals());
    let (rect, response) = ui.allocate_exact_size(vec2(width, 56.0), Sense::click());
    let fill = if response.hovered() { colours.hover } else { colours.bg };
    let ring = if response.has_focus() {
        egui::Stroke::new(2.0, colours.accent_text)
    } else {
        egui::Stroke::new(1.0, colours.line)
    };
    ui.painter().rect(rect, 12, fill, ring, egui::StrokeKind::Inside);
    let mut inner = ui.new_child(UiBuilder::new().max_rect(rect.shrink2(vec2(14.0, 6.0))));
    inner.with_layout(Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 10.0;
        kit::sign(ui, sign, 18.0, colours.accent_text);
        ui.add(egui::Label::new(kit::medium(text, 13.5).color(colours.mid)).wrap().selectable(false));
    });
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, text));
    response.clicked()
}

/// The mark of the program: the octagon of its icon.
fn logo(ui: &mut Ui) {
    let colours = Colours::of(ui.visuals());
    let (rect, _) = ui.allocate_exact_size(vec2(52.0, 52.0), Sense::hover());
    let corner = |radius: f32, index: usize| {
        let angle = std::f32::consts::TAU * (index as f32 + 0.5) / 8.0;
        rect.center() + radius * egui::Vec2::angled(angle)
    };
    let outer: Vec<egui::Pos2> = (0..8).map(|index| corner(24.0, index)).collect();
    let inner: Vec<egui::Pos2> = (0..8).map(|index| corner(12.5, index)).collect();
    ui.painter().add(egui::Shape::convex_polygon(outer.clone(), colours.accent, egui::Stroke::NONE));
    let line = egui::Stroke::new(1.5, colours.on_accent.gamma_multiply(0.75));
    ui.painter().add(egui::Shape::closed_line(inner.clone(), line));
    for (outer, inner) in outer.iter().zip(&inner) {
        ui.painter().line_segment([*outer, *inner], line);
    }
}
