//! Lays out text that runs from right to left, or in both directions.
//!
//! egui shapes every word, but puts the words of all languages from the left to the right. Here a text with right-to-left
//! letters is cut into pieces that egui lays out one by one; they are broken into lines in the order in which they are
//! read, and then put in the order in which they are seen, by the Unicode bidirectional algorithm.

mod break_lines;
mod cache;
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
pub(super) fn layout(ui: &Ui, job: LayoutJob, isolates: &[Range<usize>]) -> Arc<Galley> {
    let bidirectional = job.text.chars().any(is_right_to_left_letter);
    if !bidirectional {
        return ui.fonts_mut(|fonts| fonts.layout_job(job));
    }
    cache::cached(ui, &(&job, isolates), || laid_out(ui, job.clone(), isolates))
}

fn laid_out(ui: &Ui, mut job: LayoutJob, isolates: &[Range<usize>]) -> Arc<Galley> {
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
    if whole.size().x <= most {
        return Some(whole);
    }
    let cut = |kept: usize| {
        let cut: String = short.chars().take(kept).collect();
        line(cut.trim_end().to_owned() + "…")
    };
    // The most characters that have room.
    let (mut fits, mut too_many) = (0, short.chars().count());
    while fits + 1 < too_many {
        let half = (fits + too_many) / 2;
        if cut(half).size().x <= most { fits = half } else { too_many = half }
    }
    Some(cut(fits))
}

#[cfg(test)]
mod tests;
