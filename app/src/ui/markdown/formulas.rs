//! Pictures of TeX formulas in the text. A formula that cannot be drawn is shown as source.

pub(crate) mod tex;

use std::collections::HashMap;
use std::task::Poll;

use egui::{Color32, Pos2, Rect, TextureHandle, TextureOptions, Ui, Vec2, pos2};

#[cfg(target_arch = "wasm32")]
use crate::page::sandbox::picture;
use tex::{Formula as Source, PADDING, decode};

/// The most formulas in the cache, besides those that are shown.
const MAX_FORMULAS: usize = 512;

/// A cache of drawn formulas, with the number of the frame that used each last.
#[derive(Default)]
pub(super) struct Formulas(HashMap<Source, (Option<Formula>, u64)>);

/// A drawn formula.
#[derive(Clone)]
pub(super) struct Formula {
    texture: TextureHandle,
    /// Its size in points.
    pub(super) size: Vec2,
    /// The distance from its top to its baseline, in points.
    pub(super) ascent: f32,
}

impl Formulas {
    /// A formula in the size of the text around it, or `None` if it cannot be drawn, or is not drawn yet.
    pub(super) fn get(&mut self, ui: &Ui, tex: &str, display: bool, text_size: f32) -> Option<Formula> {
        let scale = ui.ctx().pixels_per_point();
        let source = Source {
            tex: tex.to_owned(),
            display,
            text_size: (100.0 * text_size).round() as u32,
            pixels_per_point: (100.0 * scale).round() as u32,
        };
        let now = ui.ctx().cumulative_frame_nr();
        if let Some((known, used)) = self.0.get_mut(&source) {
            *used = now;
            return known.clone();
        }
        let Poll::Ready(picture) = picture(ui.ctx(), &source) else { return None };
        // Those that are shown are used in every frame, so there may be more.
        if self.0.len() >= MAX_FORMULAS {
            self.0.retain(|_, (_, used)| *used + 1 >= now);
        }
        // The device refuses a larger texture, which egui treats as a fatal error.
        let most = ui.input(|input| input.max_texture_side);
        let formula = picture.and_then(|picture| {
            let image = decode(&picture.png).filter(|image| image.size.iter().all(|side| *side <= most))?;
            let texture = ui.ctx().load_texture("formula", image, TextureOptions::LINEAR);
            Some(Formula { size: texture.size_vec2() / scale, texture, ascent: picture.ascent })
        });
        self.0.insert(source, (formula.clone(), now));
        formula
    }
}

/// The picture of a formula, drawn at once. In a browser a worker draws it.
#[cfg(not(target_arch = "wasm32"))]
fn picture(_: &egui::Context, source: &Source) -> Poll<Option<tex::Picture>> {
    Poll::Ready(tex::draw(source))
}

impl Formula {
    /// The width that it takes in a line: that of its picture without the space around.
    pub(super) fn advance(&self) -> f32 {
        (self.size.x - 2.0 * PADDING).max(1.0)
    }

    /// Draws it as a picture, which a screen reader reads as its source.
    pub(super) fn draw(&self, ui: &mut Ui, tex: &str, color: Color32) {
        ui.add(egui::Image::new((self.texture.id(), self.size)).tint(color).alt_text(tex));
    }

    /// Paints it. The texture is white and tinted, so that one texture serves both themes.
    pub(super) fn paint(&self, ui: &Ui, at: Pos2, color: Color32) {
        let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        ui.painter().image(self.texture.id(), Rect::from_min_size(at, self.size), whole, color);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_wider_than_a_texture_is_shown_as_source() {
        let (ctx, mut formulas) = (egui::Context::default(), Formulas::default());
        let long = "x+".repeat(800) + "x";
        for (most, drawn) in [(2048, false), (1 << 20, true)] {
            let input = egui::RawInput { max_texture_side: Some(most), ..egui::RawInput::default() };
            let _ = ctx.run_ui(input, |ui| {
                assert_eq!(formulas.get(ui, &long, true, 15.0).is_some(), drawn, "{most}");
            });
            formulas.0.clear();
        }
    }
}
