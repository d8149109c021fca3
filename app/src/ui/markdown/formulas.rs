//! Draws TeX formulas with RaTeX. It is the only Rust library that lays out what KaTeX does, needs no browser or
//! JavaScript engine, includes its fonts, and bounds its work on hostile input. A formula that it cannot draw is shown
//! as source.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use egui::{Color32, ColorImage, Pos2, Rect, TextureHandle, TextureOptions, Ui, Vec2, pos2};
use ratex_layout::{LayoutOptions, layout, to_display_list, validate_layout};
use ratex_render::{RenderOptions, render_to_png};
use ratex_types::color::Color;
use ratex_types::math_style::MathStyle;

/// The most formulas in the cache.
const MAX_FORMULAS: usize = 512;
/// The longest source that is drawn, in bytes.
const MAX_TEX_BYTES: usize = 4000;

/// The size of a formula, relative to the text around.
const SCALE: f32 = 1.2;
/// The space around a formula in its picture, in points.
pub(super) const PADDING: f32 = 2.0;

/// A cache of drawn formulas.
#[derive(Default)]
pub(super) struct Formulas(HashMap<Key, Option<Formula>>);

/// The source, whether it is on its own line, and the size and the pixels per point in hundredths.
type Key = (String, bool, u32, u32);

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
    /// A formula in the size of the text around it, or `None` if it cannot be drawn.
    pub(super) fn get(&mut self, ui: &Ui, tex: &str, display: bool, text_size: f32) -> Option<Formula> {
        let scale = ui.ctx().pixels_per_point();
        let key = (tex.to_owned(), display, (100.0 * text_size) as u32, (100.0 * scale) as u32);
        if let Some(known) = self.0.get(&key) {
            return known.clone();
        }
        if self.0.len() >= MAX_FORMULAS {
            self.0.clear();
        }
        // The device refuses a larger texture, which egui treats as a fatal error.
        let most = ui.input(|input| input.max_texture_side);
        let drawn = draw(tex, !display, SCALE * text_size, scale);
        let fits = drawn.filter(|(image, _)| image.size.iter().all(|side| *side <= most));
        let formula = fits.map(|(image, ascent)| {
            let texture = ui.ctx().load_texture("formula", image, TextureOptions::LINEAR);
            Formula { size: texture.size_vec2() / scale, texture, ascent }
        });
        self.0.insert(key, formula.clone());
        formula
    }
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

/// Draws a formula in white on transparent. Returns the picture, and the points from its top to its baseline.
fn draw(tex: &str, inline: bool, size: f32, scale: f32) -> Option<(ColorImage, f32)> {
    if tex.len() > MAX_TEX_BYTES {
        return None;
    }
    // The parser is young and its input comes from a model. A panic in it must not end the window.
    let (png, height) = catch_unwind(AssertUnwindSafe(|| {
        let formula = ratex_parser::parse(tex).ok()?;
        let style = if inline { MathStyle::Text } else { MathStyle::Display };
        let laid_out = layout(&formula, &LayoutOptions::default().with_style(style).with_color(Color::WHITE));
        validate_layout(&laid_out).ok()?;
        let options = RenderOptions {
            font_size: size,
            padding: PADDING,
            background_color: Color::new(1.0, 1.0, 1.0, 0.0),
            device_pixel_ratio: scale,
            ..RenderOptions::default()
        };
        let list = to_display_list(&laid_out);
        Some((render_to_png(&list, &options).ok()?, list.height as f32))
    }))
    .ok()
    .flatten()?;
    Some((decode(&png)?, PADDING + height * size))
}

fn decode(png: &[u8]) -> Option<ColorImage> {
    let mut reader = png::Decoder::new(png).read_info().ok()?;
    let mut bytes = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut bytes).ok()?;
    if (info.color_type, info.bit_depth) != (png::ColorType::Rgba, png::BitDepth::Eight) {
        return None;
    }
    let pixels = bytes[..info.buffer_size()].chunks_exact(4);
    let pixels = pixels.map(|p| Color32::from_rgba_unmultiplied(p[0], p[1], p[2], p[3])).collect();
    Some(ColorImage::new([info.width as usize, info.height as usize], pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_drawn_and_other_texts_are_not() {
        let (image, ascent) = draw(r"\frac{1}{2} + \sqrt{x_i^2}", false, 18.0, 1.0).unwrap();
        assert!(image.size[1] > 20, "a fraction is higher than a line: {:?}", image.size);
        assert!(image.pixels.iter().any(|pixel| pixel.a() > 200), "it is empty");
        assert!(ascent > 15.0 && ascent < image.size[1] as f32 - 5.0, "the baseline is in the fraction: {ascent}");
        let (twice, _) = draw(r"\frac{1}{2} + \sqrt{x_i^2}", false, 18.0, 2.0).unwrap();
        assert!(twice.size[0] > image.size[0] * 3 / 2);
        for source in [r"\frac{a}{", r"\nosuchcommand{x}", &"{".repeat(3000), &"x".repeat(5000)] {
            assert!(draw(source, true, 18.0, 1.0).is_none(), "{source:.40}");
        }
    }

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
