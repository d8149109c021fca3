//! Draws TeX formulas with RaTeX. It is the only Rust library that lays out what KaTeX does, needs no browser or
//! JavaScript engine, includes its fonts, and bounds its work on hostile input.

use std::panic::{AssertUnwindSafe, catch_unwind};

use egui::{Color32, ColorImage};
use ratex_layout::{LayoutOptions, layout, to_display_list, validate_layout};
use ratex_render::{RenderOptions, render_to_png};
use ratex_types::color::Color;
use ratex_types::math_style::MathStyle;
use serde::{Deserialize, Serialize};

/// The longest source that is drawn, in bytes.
const MAX_TEX_BYTES: usize = 4000;
/// The size of a formula, relative to the text around.
const SCALE: f32 = 1.2;
/// The space around a formula in its picture, in points.
pub(crate) const PADDING: f32 = 2.0;

/// A formula to draw.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Formula {
    /// Its source.
    pub(crate) tex: String,
    /// Whether it stands on its own line.
    pub(crate) display: bool,
    /// The size of the text around, in hundredths of a point.
    pub(crate) text_size: u32,
    /// In hundredths.
    pub(crate) pixels_per_point: u32,
}

/// A drawn formula.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Picture {
    /// A PNG file, white on transparent.
    pub(crate) png: Vec<u8>,
    /// The points from its top to its baseline.
    pub(crate) ascent: f32,
}

/// Draws a formula, or `None` if that cannot be done.
pub(crate) fn draw(formula: &Formula) -> Option<Picture> {
    if formula.tex.len() > MAX_TEX_BYTES {
        return None;
    }
    let size = SCALE * formula.text_size as f32 / 100.0;
    // The parser is young and its input comes from a model. A panic in it must not end the window. In a browser, where panics are
    // not caught, this runs in a worker of its own.
    let (png, height) = catch_unwind(AssertUnwindSafe(|| {
        let parsed = ratex_parser::parse(&formula.tex).ok()?;
        let style = if formula.display { MathStyle::Display } else { MathStyle::Text };
        let laid_out = layout(&parsed, &LayoutOptions::default().with_style(style).with_color(Color::WHITE));
        validate_layout(&laid_out).ok()?;
        let options = RenderOptions {
            font_size: size,
            padding: PADDING,
            background_color: Color::new(1.0, 1.0, 1.0, 0.0),
            device_pixel_ratio: formula.pixels_per_point as f32 / 100.0,
            ..RenderOptions::default()
        };
        let list = to_display_list(&laid_out);
        Some((render_to_png(&list, &options).ok()?, list.height as f32))
    }))
    .ok()
    .flatten()?;
    Some(Picture { png, ascent: PADDING + height * size })
}

/// The pixels of a picture.
pub(super) fn decode(png: &[u8]) -> Option<ColorImage> {
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
        let formula = |tex: &str, display, pixels_per_point| Formula {
            tex: tex.to_owned(),
            display,
            text_size: 1500,
            pixels_per_point,
        };
        let draw = |formula: &Formula| draw(formula).map(|picture| (decode(&picture.png).unwrap(), picture.ascent));
        let (image, ascent) = draw(&formula(r"\frac{1}{2} + \sqrt{x_i^2}", true, 100)).unwrap();
        assert!(image.size[1] > 20, "a fraction is higher than a line: {:?}", image.size);
        assert!(image.pixels.iter().any(|pixel| pixel.a() > 200), "it is empty");
        assert!(ascent > 15.0 && ascent < image.size[1] as f32 - 5.0, "the baseline is in the fraction: {ascent}");
        let (twice, _) = draw(&formula(r"\frac{1}{2} + \sqrt{x_i^2}", true, 200)).unwrap();
        assert!(twice.size[0] > image.size[0] * 3 / 2);
        for source in [r"\frac{a}{", r"\nosuchcommand{x}", &"{".repeat(3000), &"x".repeat(5000)] {
            assert!(draw(&formula(source, false, 100)).is_none(), "{source:.40}");
        }
    }
}
