//! Draws TeX formulas with RaTeX. It is the only Rust library that lays out what KaTeX does, needs no browser or
//! JavaScript engine, includes its fonts, and bounds its work on hostile input.

use std::panic::{AssertUnwindSafe, catch_unwind};

use egui::{Color32, ColorImage};
use ratex_layout::{LayoutOptions, layout, to_display_list, validate_layout};
use ratex_render::{RenderOptions, render_to_png};
use ratex_types::color::Color;
use ratex_types::math_style::MathStyle;

use super::PADDING;

/// The longest source that is drawn, in bytes.
const MAX_TEX_BYTES: usize = 4000;

/// Draws a formula in white on transparent. Returns the picture, and the points from its top to its baseline.
pub(super) fn draw(tex: &str, inline: bool, size: f32, scale: f32) -> Option<(ColorImage, f32)> {
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
}
