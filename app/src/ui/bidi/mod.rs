//! Lays out text that runs from right to left, or in both directions.
//!
//! egui shapes every word, but puts the words of all languages from the left to the right. Here a text with right-to-left
//! letters is cut into pieces that egui lays out one by one; they are broken into lines in the order in which they are
//! read, and then put in the order in which they are seen, by the Unicode bidirectional algorithm.

mod break_lines;
mod pieces;
mod rows;

use std::ops::Range;
use std::sync::Arc;

use egui::text::LayoutJob;
use egui::{Align, Galley, Ui};

use pieces::is_right_to_left_letter;

pub(super) use pieces::is_rtl;

/// Lays out a text. `isolates` are the characters of code and formulas: they run from the left to the right, whatever is
/// around them. Paragraphs that run from right to left are at the right, unless the job centres them.
///
/// The galley has one glyph per character, in the order of the text. Where letters run to the left, the position of a
/// glyph is its right edge, and its advance is negative.
pub(super) fn layout(ui: &Ui, mut job: LayoutJob, isolates: &[Range<usize>]) -> Arc<Galley> {
    let bidirectional = job.text.chars().any(is_right_to_left_letter);
    if !bidirectional {
        return ui.fonts_mut(|fonts| fonts.layout_job(job));
    }
    let levels = pieces::Levels::new(&job.text, isolates);
    // A width without end has no right side.
    if levels.base.is_rtl() && job.halign == Align::LEFT && job.wrap.max_width.is_finite() {
        job.halign = Align::RIGHT;
    }
    rows::galley(ui, job, &levels)
}

#[cfg(test)]
mod tests;
