//! Draws the icon of the window and, from `build.rs`, of the executable on Windows. Drawing it avoids decoding a file.

/// The icon as `size` × `size` pixels in row order, four bytes per pixel: red, green, blue, alpha.
pub(crate) fn icon(size: u32) -> Vec<u8> {
    let mut rgba = Vec::with_capacity((4 * size * size) as usize);
    let at = |i: u32| (i as f32 + 0.5) / size as f32 * 2.0 - 1.0;
    for y in 0..size {
        for x in 0..size {
            let (x, y) = (at(x), at(y));
            // An octagon with facets of different brightness.
            let distance = x.abs().max(y.abs()).max((x.abs() + y.abs()) * 0.72);
            let light = if distance < 0.44 { 0.95 } else { 0.62 + 0.22 * ((-x - y) / 1.25).clamp(-1.0, 1.0) };
            let colour = [60.0 + 40.0 * light, 120.0 * light + 40.0, 235.0 * light];
            rgba.extend(colour.map(|channel: f32| channel.min(255.0) as u8));
            rgba.push(if distance < 0.88 { 255 } else { 0 });
        }
    }
    rgba
}
