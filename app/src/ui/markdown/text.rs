//! Draws a paragraph: one text layout with styles, links, backgrounds of code, and formulas on the baseline.

mod lines;

use std::ops::Range;
use std::sync::Arc;

use egui::epaint::text::VariationCoords;
use egui::text::TextFormat;
use egui::text_selection::LabelSelectionState;
use egui::{
    Align, Color32, CornerRadius, FontId, Galley, Pos2, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::draw::Pen;
use super::formulas::Formula;
use super::formulas::tex::PADDING;
use super::inline::{Inline, Style};
use super::tree::LINE_HEIGHT;
use crate::ui::bidi;
use crate::ui::colours::Colours;
use lines::{Lines, Mark, MarkKind, baseline};

/// The size of body text in points.
pub(super) const BODY_SIZE: f32 = 15.0;
/// The weight of bold text, on the scale of variable fonts.
const BOLD: f32 = 650.0;
/// The space on each side of code in text, in points.
const CODE_PADDING: f32 = 3.5;

/// The look of a paragraph's plain text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) size: f32,
    pub(super) line_height: f32,
    pub(super) strong: bool,
    pub(super) color: Color32,
    pub(super) align: Align,
    /// The level of a heading; 0 for other text.
    pub(super) level: u8,
}

impl Look {
    pub(super) fn body(colours: &Colours) -> Self {
        let (size, line_height, color) = (BODY_SIZE, LINE_HEIGHT, colours.text);
        Self { size, line_height, strong: false, color, align: Align::LEFT, level: 0 }
    }

    pub(super) fn heading(level: u8, colours: &Colours) -> Self {
        let size = match level {
            1 => 22.0,
            2 => 18.0,
            3 => 16.0,
            _ => BODY_SIZE,
        };
        Self { size, line_height: (size * 1.3_f32).round(), strong: true, level, ..Self::body(colours) }
    }

    fn font(&self) -> FontId {
        FontId::proportional(self.size)
    }

    fn format(&self) -> TextFormat {
        let mut format = TextFormat::simple(self.font(), self.color);
        format.line_height = Some(self.line_height);
        if self.strong {
            format.coords = VariationCoords::new([(b"wght", BOLD)]);
        }
        format
    }
}

/// A text that was laid out at a width.
pub(super) struct LaidOut {
    look: Look,
    parts: Vec<LaidOutPart>,
}

enum LaidOutPart {
    Lines(Arc<Galley>, Vec<Mark>),
    /// A formula on its own line, and its source.
    Display(String, Formula),
}

/// The space above and below a formula on its own line.
const DISPLAY_SPACE: f32 = 6.0;

impl LaidOut {
    /// Lays out a text at a width, which may be infinite.
    pub(super) fn new(ui: &Ui, text: &Inline, look: &Look, width: f32, pen: &mut Pen<'_>) -> Self {
        let mut laid_out = Self { look: *look, parts: Vec::new() };
        let mut lines = Lines::new(*look);
        for (content, run) in text.runs() {
            if !run.style.has(Style::FORMULA) {
                // A formula on its own line ends the line before, and its line break with it.
                let content = if lines.chars == 0 { content.trim_start_matches([' ', '\n']) } else { content };
                lines.run(content, run, pen.colours);
                continue;
            }
            let display = run.style.has(Style::DISPLAY);
            match pen.resources.formulas.get(ui, content, display, look.size) {
                Some(formula) if !display && formula.size.x <= width => lines.formula(ui, content, formula),
                Some(formula) => {
                    laid_out.add(ui, std::mem::replace(&mut lines, Lines::new(*look)), width);
                    laid_out.parts.push(LaidOutPart::Display(content.to_owned(), formula));
                }
                None => {
                    let source = Inline::styled(content, Style::CODE);
                    source.runs().for_each(|(text, run)| lines.run(text, run, pen.colours));
                }
            }
        }
        laid_out.add(ui, lines, width);
        laid_out
    }

    fn add(&mut self, ui: &Ui, mut lines: Lines, width: f32) {
        if lines.chars > 0 {
            // A width without end has no middle and no right.
            let align = if width.is_finite() { self.look.align } else { Align::LEFT };
            let galley = lines.layout(ui, width, align);
            self.parts.push(LaidOutPart::Lines(galley, lines.marks));
        }
    }

    /// Its size in points.
    pub(super) fn size(&self) -> Vec2 {
        let mut size = Vec2::ZERO;
        for part in &self.parts {
            let part = match part {
                LaidOutPart::Lines(galley, _) => galley.size(),
                LaidOutPart::Display(_, formula) => formula.size + vec2(0.0, 2.0 * DISPLAY_SPACE),
            };
            size = vec2(size.x.max(part.x), size.y + part.y);
        }
        vec2(size.x, size.y.max(self.look.line_height))
    }

    /// Draws it in the width of the ui.
    pub(super) fn draw(self, ui: &mut Ui, colours: &Colours, wanted: &str) {
        for part in self.parts {
            match part {
                LaidOutPart::Lines(galley, marks) => draw_lines(ui, galley, &marks, &self.look, colours, wanted),
                LaidOutPart::Display(tex, formula) => {
                    ui.add_space(DISPLAY_SPACE);
                    if formula.size.x > ui.available_width() {
                        egui::ScrollArea::horizontal()
                            .id_salt(&tex)
                            .show(ui, |ui| formula.draw(ui, &tex, colours.text));
                    } else {
                        ui.vertical_centered(|ui| formula.draw(ui, &tex, colours.text));
                    }
                    ui.add_space(DISPLAY_SPACE);
                }
            }
        }
    }
}

/// Draws a text in the width of the ui.
pub(super) fn paragraph(ui: &mut Ui, text: &Inline, look: &Look, pen: &mut Pen<'_>) {
    LaidOut::new(ui, text, look, ui.available_width(), pen).draw(ui, pen.colours, &pen.resources.wanted);
}

fn draw_lines(ui: &mut Ui, galley: Arc<Galley>, marks: &[Mark], look: &Look, colours: &Colours, wanted: &str) {
    // Text that runs from right to left is at the right.
    let align = galley.job.halign;
    let size = if align == Align::LEFT { galley.size() } else { vec2(ui.available_width(), galley.size().y) };
    let (rect, response) = ui.allocate_exact_size(size, text_sense(ui));
    let role = if look.level > 0 { Role::Heading } else { Role::Label };
    response.widget_info(|| WidgetInfo::labeled(role, ui.is_enabled(), galley.text()));
    if look.level > 0 {
        ui.ctx().accesskit_node_builder(response.id, |node| node.set_level(usize::from(look.level)));
    }
    let corner = match align {
        Align::LEFT => rect.left_top(),
        Align::Center => rect.center_top(),
        Align::RIGHT => rect.right_top(),
    };
    if ui.is_rect_visible(rect) {
        for mark in marks {
            backgrounds(ui, &galley, corner, mark, look, colours);
        }
        mark_found(ui, &galley, corner, wanted, colours.found);
    }
    let text = galley.clone();
    select_and_paint(ui, &response, corner, bidi::selectable(&galley), look.color);
    for (index, mark) in marks.iter().enumerate() {
        if let MarkKind::Link(address) = &mark.kind {
            link(ui, &text, corner, &mark.chars, address, response.id.with(index), colours);
        }
    }
}

/// What a text that can be selected reacts to.
pub(super) fn text_sense(ui: &Ui) -> Sense {
    if !ui.style().interaction.selectable_labels {
        return Sense::hover();
    }
    // As in egui's labels: a finger scrolls, and Tab does not stop at text.
    let select = if ui.input(|input| input.has_touch_screen()) { Sense::click() } else { Sense::click_and_drag() };
    select - Sense::FOCUSABLE
}

/// Paints text that can be selected.
pub(super) fn select_and_paint(ui: &Ui, response: &egui::Response, at: Pos2, galley: Arc<Galley>, color: Color32) {
    if !ui.is_rect_visible(response.rect) {
        return;
    }
    if ui.style().interaction.selectable_labels {
        LabelSelectionState::label_text_selection(ui, response, at, galley, color, Stroke::NONE);
    } else {
        ui.painter().galley(at, galley, color);
    }
}

/// A part of a row of glyphs.
struct Stretch {
    /// From the first to the last glyph, in the height of the glyphs.
    rect: Rect,
    /// The row, in its height.
    row: Rect,
}

/// Where characters are, row by row, relative to the galley.
fn stretches(galley: &Galley, chars: &Range<usize>) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut first = 0;
    for row in &galley.rows {
        let count = row.glyphs.len();
        let (from, to) = (chars.start.max(first), chars.end.min(first + count));
        if from < to {
            let glyphs = &row.glyphs[from - first..to - first];
            // The space at which a line was broken is not drawn.
            let seen =
                glyphs.iter().rposition(|glyph| !glyph.chr.is_whitespace()).map_or(glyphs.len(), |last| last + 1);
            let place = |rect: Rect| Stretch { rect: rect.translate(row.pos.to_vec2()), row: row.rect() };
            if row.glyphs.windows(2).any(|pair| pair[1].pos.x < pair[0].pos.x) {
                stretches.extend(apart(&glyphs[..seen]).into_iter().map(place));
            } else if let (Some(start), Some(end)) = (glyphs.first(), glyphs[..seen].last()) {
                let top = start.pos.y - start.font_face_ascent;
                let rect = Rect::from_min_max(pos2(start.pos.x, top), pos2(end.max_x(), top + start.font_face_height));
                stretches.push(place(rect));
            }
        }
        first += count + usize::from(row.ends_with_newline);
        if first >= chars.end {
            break;
        }
    }
    stretches
}

/// The rectangles of glyphs in a row that has parts in both directions, where neighbours in the text may be apart.
fn apart(glyphs: &[egui::epaint::text::Glyph]) -> Vec<Rect> {
    /// The distance in points up to which glyphs are one stretch, such as the space beside code.
    const NEAR: f32 = CODE_PADDING + 0.5;
    let mut rects: Vec<Rect> = Vec::new();
    for glyph in glyphs {
        let top = glyph.pos.y - glyph.font_face_ascent;
        let (left, right) = (glyph.pos.x.min(glyph.max_x()), glyph.pos.x.max(glyph.max_x()));
        let rect = Rect::from_min_max(pos2(left, top), pos2(right, top + glyph.font_face_height));
        match rects.last_mut() {
            Some(last) if left <= last.right() + NEAR && last.left() <= right + NEAR => *last |= rect,
            _ => rects.push(rect),
        }
    }
    rects
}

fn backgrounds(ui: &Ui, galley: &Galley, corner: Pos2, mark: &Mark, look: &Look, colours: &Colours) {
    match &mark.kind {
        MarkKind::Link(_) => {}
        MarkKind::Code | MarkKind::Key => {
            for stretch in stretches(galley, &mark.chars) {
                let rect = stretch.rect.expand2(vec2(CODE_PADDING - 0.5, 1.0)).translate(corner.to_vec2());
                ui.painter().rect_filled(rect, CornerRadius::same(4), colours.code);
                if matches!(mark.kind, MarkKind::Key) {
                    let stroke = Stroke::new(1.0, colours.line);
                    ui.painter().rect_stroke(rect, CornerRadius::same(4), stroke, egui::StrokeKind::Inside);
                }
            }
        }
        MarkKind::Formula(formula) => {
            for stretch in stretches(galley, &mark.chars) {
                // Lines that hold a formula are higher than others, and their text is in the middle.
                let line = stretch.row.top() + 0.5 * (stretch.row.height() - look.line_height) + baseline(ui, look);
                let at = pos2(stretch.rect.left() - PADDING, line - formula.ascent) + corner.to_vec2();
                formula.paint(ui, at, look.color);
            }
        }
    }
}

/// The most places that are marked in one paragraph.
const MAX_MARKED: usize = 200;

/// Paints a ground behind a text that is looked for.
pub(in crate::ui) fn mark_found(ui: &Ui, galley: &Galley, corner: Pos2, wanted: &str, ground: Color32) {
    if wanted.is_empty() {
        return;
    }
    let text = galley.text();
    for bytes in crate::chats::find_ignoring_case(text, wanted, MAX_MARKED) {
        let from = text[..bytes.start].chars().count();
        let chars = from..from + text[bytes].chars().count();
        for stretch in stretches(galley, &chars) {
            let rect = stretch.rect.expand2(vec2(1.0, 1.0)).translate(corner.to_vec2());
            ui.painter().rect_filled(rect, CornerRadius::same(3), ground);
        }
    }
}

fn link(ui: &Ui, galley: &Galley, corner: Pos2, chars: &Range<usize>, address: &str, id: egui::Id, colours: &Colours) {
    let stretches = stretches(galley, chars);
    let mut whole: Option<egui::Response> = None;
    for (index, stretch) in stretches.iter().enumerate() {
        let rect = stretch.rect.translate(corner.to_vec2());
        // Tab stops once at a link of several rows.
        let sense = if index == 0 { Sense::click() } else { Sense::click() - Sense::FOCUSABLE };
        let response = ui.interact(rect, id.with(index), sense);
        whole = Some(match whole {
            Some(before) => before | response,
            None => response,
        });
    }
    let Some(response) = whole else { return };
    let text = || galley.text().chars().skip(chars.start).take(chars.len()).collect::<String>();
    response.widget_info(|| WidgetInfo::labeled(Role::Link, ui.is_enabled(), text()));
    if response.hovered() || response.has_focus() {
        for stretch in &stretches {
            let line = stretch.rect.translate(corner.to_vec2());
            ui.painter().hline(line.x_range(), line.bottom() - 1.0, Stroke::new(1.0, colours.accent_text));
        }
    }
    if response.hovered() {
        ui.set_cursor_icon(egui::CursorIcon::PointingHand);
    }
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    if response.clicked() || response.middle_clicked() {
        ui.open_url(egui::OpenUrl::new_tab(address));
    }
    response.on_hover_text(address);
}
