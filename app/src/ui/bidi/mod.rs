//! Lays out text that runs from right to left, or in both directions.
//!
//! egui shapes every word, but puts the words of all languages from the left to the right. Here a text with right-to-left
//! letters is cut into pieces that egui lays out one by one; they are broken into lines in the order in which they are
//! read, and then put in the order in which they are seen, by the Unicode bidirectional algorithm.

mod break_lines;
mod pieces;
mod rows;
mod selectable;

use std::ops::Range;
use std::sync::Arc;

use egui::text::LayoutJob;
use egui::{Align, Color32, FontId, Galley, Ui};

use pieces::is_right_to_left_letter;

pub(super) use pieces::is_rtl;
pub(super) use selectable::selectable;

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

/// Lays out a title on one line, of which the end is left out if it is wider than `most` points. `None` for a title without
/// right-to-left letters, which egui lays out.
pub(super) fn title(ui: &Ui, text: &str, font: &FontId, colour: Color32, most: f32) -> Option<Arc<Galley>> {
    /// No window shows more characters of a title.
    const LONGEST: usize = 300;
    let short: String = text.chars().take(LONGEST).map(|letter| if letter == '\n' { ' ' } else { letter }).collect();
    if !short.chars().any(is_right_to_left_letter) {
        return None;
    }
    let line = |text: String| layout(ui, LayoutJob::simple_singleline(text, font.clone(), colour), &[]);
    let whole = line(short.clone());
    let (width, count) = (whole.size().x, short.chars().count());
    if width <= most {
        return Some(whole);
    }
    let mut kept = (count as f32 * most.max(0.0) / width) as usize;
    loop {
        let cut: String = short.chars().take(kept).collect();
        let galley = line(cut.trim_end().to_owned() + "…");
        if galley.size().x <= most || kept == 0 {
            return Some(galley);
        }
        kept -= 1;
    }
}

#[cfg(test)]
mod tests;
