//! Builds the text layout of a paragraph from its runs.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use egui::epaint::text::VariationCoords;
use egui::text::{LayoutJob, LayoutSection, TextFormat};
use egui::{Align, Color32, FontId, Galley, Stroke, Ui};

use super::super::formulas::Formula;
use super::super::inline::{Run, Style};
use super::{BOLD, CODE_PADDING, Look};
use crate::ui::bidi;
use crate::ui::colours::Colours;

/// The size of code and keys, relative to the text around.
const CODE_SCALE: f32 = 0.9;
/// The size of raised and lowered text, relative to the text around.
const SCRIPT_SCALE: f32 = 0.72;
/// The size in points of a formula's source, which takes part in selections but is not seen.
const SOURCE_SIZE: f32 = 0.02;
/// A space at which no line is broken. It holds the place of a formula.
const PLACEHOLDER: &str = "\u{a0}";

/// A part of the text that is more than glyphs, by its characters.
pub(super) struct Mark {
    pub(super) chars: Range<usize>,
    pub(super) kind: MarkKind,
}

/// The kind of a [`Mark`].
pub(super) enum MarkKind {
    Link(Rc<str>),
    Code,
    Key,
    Formula(Formula),
}

/// A text layout that is being built.
pub(super) struct Lines {
    job: LayoutJob,
    pub(super) marks: Vec<Mark>,
    /// The characters of code, keys and formulas, which run to the right in text of any direction.
    isolates: Vec<Range<usize>>,
    /// The characters so far.
    pub(super) chars: usize,
    /// The height of a line that holds the highest formula.
    height: f32,
    padded: bool,
    look: Look,
}

impl Lines {
    /// No text yet.
    pub(super) fn new(look: Look) -> Self {
        let (job, height) = (LayoutJob::default(), look.line_height);
        Self { job, marks: Vec::new(), isolates: Vec::new(), chars: 0, height, padded: false, look }
    }

    fn append(&mut self, text: &str, space: f32, format: TextFormat) -> Range<usize> {
        let start = self.chars;
        self.chars += text.chars().count();
        self.job.append(text, space, format);
        start..self.chars
    }

    /// Adds a run of text.
    pub(super) fn run(&mut self, text: &str, run: &Run, colours: &Colours) {
        let look = &self.look;
        let style = run.style;
        let mut format = look.format();
        if style.has(Style::STRONG) {
            format.coords = VariationCoords::new([(b"wght", BOLD)]);
        }
        format.italics = style.has(Style::EMPHASIS);
        if style.has(Style::WEAK) {
            format.color = colours.weak;
        }
        if run.link.is_some() {
            format.color = colours.accent_text;
        }
        let boxed = style.has(Style::CODE.with(Style::KEY));
        if boxed {
            format.font_id = FontId::monospace(look.size * CODE_SCALE);
        }
        if style.has(Style::SUP.with(Style::SUB)) {
            format.font_id.size *= SCRIPT_SCALE;
            format.line_height = Some((0.64 * look.line_height).round());
            format.valign = if style.has(Style::SUP) { Align::TOP } else { Align::BOTTOM };
        }
        if style.has(Style::STRIKE) {
            format.strikethrough = Stroke::new(1.0, format.color);
        }
        if style.has(Style::MARK) {
            format.background = colours.accent_text.gamma_multiply(0.25);
        }
        // Code has a background that is wider than its text.
        let space = if boxed != self.padded && self.chars > 0 { CODE_PADDING } else { 0.0 };
        self.padded = boxed;
        let underline = style.has(Style::UNDERLINE);
        let chars = self.append(text, space, format);
        if boxed {
            self.isolates.push(chars.clone());
            let kind = if style.has(Style::KEY) { MarkKind::Key } else { MarkKind::Code };
            self.marks.push(Mark { chars: chars.clone(), kind });
        }
        match &run.link {
            Some(address) => match self.marks.last_mut() {
                // A link of several styles is one link.
                Some(Mark { chars: last, kind: MarkKind::Link(known) })
                    if Rc::ptr_eq(known, address) && last.end == chars.start =>
                {
                    last.end = chars.end;
                }
                _ => self.marks.push(Mark { chars, kind: MarkKind::Link(address.clone()) }),
            },
            None if underline => {
                if let Some(section) = self.job.sections.last_mut() {
                    section.format.underline = Stroke::new(1.0, section.format.color);
                }
            }
            None => {}
        }
    }

    /// Adds a formula: its source, which is too small to be seen, and a space of its width.
    pub(super) fn formula(&mut self, ui: &Ui, tex: &str, formula: Formula) {
        let mut format = self.look.format();
        format.color = Color32::TRANSPARENT;
        format.font_id.size = SOURCE_SIZE;
        let source = self.append(&format!("${}$", tex.replace('\n', " ")), 0.0, format.clone());
        let advance = ui.fonts_mut(|fonts| fonts.glyph_width(&FontId::proportional(100.0), '\u{a0}')) / 100.0;
        format.font_id.size = formula.advance() / if advance > 0.0 { advance } else { 0.25 };
        let above = formula.ascent - baseline(ui, &self.look);
        let below = formula.size.y - formula.ascent - (self.look.line_height - baseline(ui, &self.look));
        self.height = self.height.max(self.look.line_height + 2.0 * above.max(below).max(0.0).ceil());
        let chars = self.append(PLACEHOLDER, 0.0, format);
        self.isolates.push(source.start..chars.end);
        self.marks.push(Mark { chars, kind: MarkKind::Formula(formula) });
    }

    /// The finished layout at a width.
    pub(super) fn layout(&mut self, ui: &Ui, width: f32, align: Align) -> Arc<Galley> {
        let mut job = std::mem::take(&mut self.job);
        if self.height > self.look.line_height {
            for section in &mut job.sections {
                // Raised and lowered text has a lower line, and keeps to its side.
                if section.format.line_height == Some(self.look.line_height) {
                    section.format.valign = Align::Center;
                }
            }
            for mark in &self.marks {
                if let MarkKind::Formula(_) = mark.kind
                    && let Some(section) = section_at(&mut job, mark.chars.start)
                {
                    section.format.line_height = Some(self.height);
                }
            }
        }
        job.wrap.max_width = width;
        job.halign = align;
        bidi::layout(ui, job, &self.isolates)
    }
}

fn section_at(job: &mut LayoutJob, char: usize) -> Option<&mut LayoutSection> {
    let (byte, _) = job.text.char_indices().nth(char)?;
    job.sections.iter_mut().find(|section| section.byte_range.start.0 <= byte && byte < section.byte_range.end.0)
}

/// The distance from the top of a line to its baseline.
pub(super) fn baseline(ui: &Ui, look: &Look) -> f32 {
    let mut job = LayoutJob::default();
    job.append("x", 0.0, look.format());
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    galley.rows.first().and_then(|row| row.glyphs.first()).map_or(0.75 * look.line_height, |glyph| glyph.pos.y)
}
