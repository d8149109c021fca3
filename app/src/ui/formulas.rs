//! Draws TeX formulas with RaTeX. It is the only Rust library that lays out what KaTeX does, needs no browser or
//! JavaScript engine, includes its fonts, and bounds its work on hostile input. A formula that it cannot draw is shown
//! as source.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use egui::{Color32, ColorImage, RichText, TextureHandle, TextureOptions, Ui};
use ratex_layout::{LayoutOptions, layout, to_display_list, validate_layout};
use ratex_render::{RenderOptions, render_to_png};
use ratex_types::color::Color;
use ratex_types::math_style::MathStyle;

/// The most formulas in the cache.
const MAX_FORMULAS: usize = 512;
/// The longest source that is drawn, in bytes.
const MAX_TEX_BYTES: usize = 4000;

/// A cache of drawn formulas by source, whether inline, and hundredths of a pixel per point. `None` if one cannot be
/// drawn.
#[derive(Default)]
pub(super) struct Formulas(HashMap<(String, bool, u32), Option<TextureHandle>>);

impl Formulas {
    /// Shows a formula, inline or on its own line.
    pub(super) fn show(&mut self, ui: &mut Ui, tex: &str, inline: bool) {
        let tex = tex.trim();
        let scale = ui.ctx().pixels_per_point();
        let key = (tex.to_owned(), inline, (100.0 * scale) as u32);
        if self.0.len() >= MAX_FORMULAS && !self.0.contains_key(&key) {
            self.0.clear();
        }
        let size = egui::TextStyle::Body.resolve(ui.style()).size * 1.2;
        // The device refuses a larger texture, which egui treats as a fatal error.
        let most = ui.input(|input| input.max_texture_side);
        let drawn = self.0.entry(key).or_insert_with(|| {
            let image = draw(tex, inline, size, scale)?;
            if image.size.iter().any(|side| *side > most) {
                return None;
            }
            Some(ui.ctx().load_texture("formula", image, TextureOptions::LINEAR))
        });
        let Some(texture) = drawn else {
            let source = RichText::new(tex).monospace().background_color(ui.visuals().code_bg_color);
            ui.label(source);
            return;
        };
        // The texture is white and tinted, so that one texture serves both themes.
        let colour = ui.visuals().text_color();
        let image = egui::Image::new((texture.id(), texture.size_vec2() / scale)).tint(colour).alt_text(tex);
        if inline {
            ui.add(image);
        } else {
            ui.vertical_centered(|ui| ui.add(image));
        }
    }
}

/// Draws a formula in white on transparent.
fn draw(tex: &str, inline: bool, size: f32, scale: f32) -> Option<ColorImage> {
    if tex.len() > MAX_TEX_BYTES {
        return None;
    }
    // The parser is young and its input comes from a model. A panic in it must not end the window.
    let png = catch_unwind(AssertUnwindSafe(|| {
        let formula = ratex_parser::parse(tex).ok()?;
        let style = if inline { MathStyle::Text } else { MathStyle::Display };
        let laid_out = layout(&formula, &LayoutOptions::default().with_style(style).with_color(Color::WHITE));
        validate_layout(&laid_out).ok()?;
        let options = RenderOptions {
            font_size: size,
            padding: 2.0,
            background_color: Color::new(1.0, 1.0, 1.0, 0.0),
            device_pixel_ratio: scale,
            ..RenderOptions::default()
        };
        render_to_png(&to_display_list(&laid_out), &options).ok()
    }))
    .ok()
    .flatten()?;
    decode(&png)
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
        let image = draw(r"\frac{1}{2} + \sqrt{x_i^2}", false, 18.0, 1.0).unwrap();
        assert!(image.size[1] > 20, "a fraction is higher than a line: {:?}", image.size);
        assert!(image.pixels.iter().any(|pixel| pixel.a() > 200), "it is empty");
        let twice = draw(r"\frac{1}{2} + \sqrt{x_i^2}", false, 18.0, 2.0).unwrap();
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
            let _ = ctx.run_ui(input, |ui| formulas.show(ui, &long, false));
            assert_eq!(formulas.0.values().all(Option::is_some), drawn, "{most}");
            formulas.0.clear();
        }
    }
}
