//! Makes text of both directions selectable.

use std::sync::Arc;

use egui::Galley;
use egui::epaint::text::Glyph;

/// The layout with which egui selects a text. egui takes the glyphs of a row to go from the left to the right, so all that
/// does not is one unit: the whole line of a paragraph that runs to the left, or the words that do in another one.
pub(in crate::ui) fn selectable(galley: &Arc<Galley>) -> Arc<Galley> {
    let is_mixed = |glyphs: &[Glyph]| glyphs.iter().any(|glyph| glyph.advance_width < 0.0);
    if !galley.rows.iter().any(|row| is_mixed(&row.glyphs)) {
        return galley.clone();
    }
    let mut changed = Galley::clone(galley);
    for placed in changed.rows.iter_mut().filter(|row| is_mixed(&row.glyphs)) {
        let row = Arc::make_mut(&mut placed.row);
        unite(&mut row.glyphs, row.size.x);
    }
    Arc::new(changed)
}

/// Gives every glyph the place of its unit.
fn unite(glyphs: &mut [Glyph], width: f32) {
    /// What rounding to pixels may add to a place, in points.
    const NEAR: f32 = 1.5;
    let left = |glyph: &Glyph| glyph.pos.x.min(glyph.max_x()).clamp(0.0, width);
    let right = |glyph: &Glyph| glyph.pos.x.max(glyph.max_x()).clamp(0.0, width);
    // The left edge of all glyphs from an index on.
    let mut lefts: Vec<f32> = glyphs.iter().map(left).collect();
    for index in (1..lefts.len()).rev() {
        lefts[index - 1] = lefts[index - 1].min(lefts[index]);
    }
    let mut start = 0;
    let mut end_x = f32::NEG_INFINITY;
    for index in 0..glyphs.len() {
        end_x = end_x.max(right(&glyphs[index]));
        let is_cut = lefts.get(index + 1).is_none_or(|next| end_x <= next + NEAR);
        if !is_cut {
            continue;
        }
        let unit = &mut glyphs[start..=index];
        if unit.iter().any(|glyph| glyph.advance_width < 0.0) {
            let from = unit.iter().map(left).fold(f32::INFINITY, f32::min);
            for glyph in unit {
                // The pointer is before a glyph if it is left of its middle. Anywhere on the unit it is before the unit, so
                // that a selection that begins on a line contains it.
                (glyph.pos.x, glyph.advance_width) = (from, 2.0 * (end_x - from));
            }
        }
        start = index + 1;
    }
}
