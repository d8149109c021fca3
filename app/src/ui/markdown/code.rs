//! Code blocks.

use std::time::Duration;

use egui::text::{LayoutJob, TextFormat};
use egui::{
    Button, CornerRadius, FontId, Frame, Margin, Rect, Response, RichText, Role, ScrollArea, Stroke, Ui, UiBuilder,
    WidgetInfo, vec2,
};

use super::draw::Pen;
use super::text::{mark_found, select_and_paint, text_sense};
use super::theme::{self, Class};
use super::tree::{CODE_LINE_HEIGHT, Code};
use crate::ui::{icons, kit};

/// The size of code in points.
const SIZE: f32 = 13.5;
/// The height of the row above code, in points.
const HEADER_HEIGHT: f32 = 34.0;
const PADDING: Margin = Margin { left: 14, right: 14, top: 8, bottom: 10 };
const RADIUS: u8 = 10;
/// How long the button shows that the code was copied, in seconds.
const COPIED_SECONDS: f64 = 1.5;

/// Draws code, or a part of it. The first part has the row of controls.
pub(super) fn draw(ui: &mut Ui, code: &Code, pen: &mut Pen<'_>) {
    let (first, last) = (code.part.start == 0, code.part.end == code.text.len());
    let corner = |round: bool| if round { RADIUS } else { 0 };
    let radius = CornerRadius { nw: corner(first), ne: corner(first), sw: corner(last), se: corner(last) };
    let stroke = Stroke::new(1.0, if first && last { pen.colours.line } else { pen.colours.code });
    Frame::new().fill(pen.colours.code).stroke(stroke).corner_radius(radius).show(ui, |ui| {
        ui.set_width(ui.available_width());
        // One choice for all parts of the code, and while it grows.
        let beginning = code.text.floor_char_boundary(64);
        let wrap_id = egui::Id::unique(("wrap code", &code.text[..beginning]));
        if first {
            header(ui, code, wrap_id, pen);
        }
        let wraps = ui.data(|data| data.get_temp(wrap_id)).unwrap_or(false);
        let padding = Margin {
            top: if first { PADDING.top } else { 0 },
            bottom: if last { PADDING.bottom } else { 0 },
            ..PADDING
        };
        Frame::new().inner_margin(padding).show(ui, |ui| {
            ui.set_width(ui.available_width());
            body(ui, code, wraps, pen);
        });
    });
}

/// The row with the language and the controls.
fn header(ui: &mut Ui, code: &Code, wrap_id: egui::Id, pen: &Pen<'_>) {
    let row = Rect::from_min_size(ui.available_rect_before_wrap().min, vec2(ui.available_width(), HEADER_HEIGHT));
    ui.allocate_rect(row, egui::Sense::hover());
    let inner = row.shrink2(vec2(f32::from(PADDING.left), 0.0));
    let left = UiBuilder::new().max_rect(inner).layout(egui::Layout::left_to_right(egui::Align::Center));
    let name = RichText::new(&code.language).size(12.5).color(pen.colours.weak);
    ui.new_child(left).add(egui::Label::new(name).truncate().selectable(false));
    let right = UiBuilder::new().max_rect(inner.expand2(vec2(8.0, 0.0)));
    let mut ui_right = ui.new_child(right.layout(egui::Layout::right_to_left(egui::Align::Center)));
    let ui_right = &mut ui_right;
    let copied_id = ui_right.scope_id().with("copied");
    let now = ui_right.input(|input| input.time);
    let copied = ui_right.data(|data| data.get_temp::<f64>(copied_id)).is_some_and(|time| now - time < COPIED_SECONDS);
    let sign = if copied { icons::CHECK } else { icons::COPY };
    if icon_button(ui_right, sign, "Copy code", false, pen).clicked() {
        ui_right.copy_text(code.text.to_string());
        ui_right.data_mut(|data| data.insert_temp(copied_id, now));
    }
    if copied {
        ui_right.ctx().request_repaint_after(Duration::from_secs_f64(COPIED_SECONDS));
    }
    let wraps = ui_right.data(|data| data.get_temp(wrap_id)).unwrap_or(false);
    if icon_button(ui_right, icons::WRAP_TEXT, "Wrap lines", wraps, pen).clicked() {
        ui_right.data_mut(|data| data.insert_temp(wrap_id, !wraps));
    }
    ui.painter().hline(row.x_range(), row.bottom() - 0.5, Stroke::new(1.0, pen.colours.line));
}

/// A button that holds only an icon, and may be switched on.
fn icon_button(ui: &mut Ui, sign: char, name: &str, on: bool, pen: &Pen<'_>) -> Response {
    let colour = if on { pen.colours.accent_text } else { pen.colours.weak };
    let button = Button::new(kit::icon(sign, 16.0).color(colour));
    let response = ui.add(button.frame_when_inactive(false).min_size(vec2(26.0, 26.0)));
    response.widget_info(|| match on {
        true => WidgetInfo::selected(Role::Button, true, on, name),
        false => WidgetInfo::labeled(Role::Button, true, name),
    });
    kit::scroll_on_focus(response).on_hover_text(name)
}

fn body(ui: &mut Ui, code: &Code, wraps: bool, pen: &mut Pen<'_>) {
    let id = ui.scope_id().with("code");
    let dark = ui.visuals().dark_mode;
    let text = &code.text[code.part.clone()];
    let spans = pen.resources.highlights.of(ui.ctx(), id, &code.language, &code.text[..code.part.end]);
    let mut job = coloured(text, code.part.start, spans, dark);
    let space = ui.available_width();
    job.wrap.max_width = if wraps { space } else { f32::INFINITY };
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    let draw = |ui: &mut Ui| {
        let (rect, response) = ui.allocate_exact_size(galley.size(), text_sense(ui));
        response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), galley.text()));
        mark_found(ui, &galley, rect.min, &pen.resources.wanted, pen.colours.found);
        select_and_paint(ui, &response, rect.min, galley.clone(), theme::colour(Class::Plain, dark));
    };
    if galley.size().x <= space {
        draw(ui);
    } else {
        ScrollArea::horizontal().show(ui, draw);
    }
}

/// The layout of code that begins at a byte of the whole, with the classes known so far.
fn coloured(text: &str, start: usize, spans: &[(usize, Class)], dark: bool) -> LayoutJob {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let format = |class| {
        let mut format = TextFormat::simple(FontId::monospace(SIZE), theme::colour(class, dark));
        format.line_height = Some(CODE_LINE_HEIGHT);
        format
    };
    let mut job = LayoutJob::default();
    let mut at = 0;
    let first = spans.partition_point(|(end, _)| *end <= start);
    for (end, class) in &spans[first..] {
        let end = (end - start).min(text.len());
        if let Some(piece) = text.get(at..end) {
            job.append(piece, 0.0, format(*class));
            at = end;
        }
        if at == text.len() {
            break;
        }
    }
    job.append(&text[at..], 0.0, format(Class::Plain));
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_cover_a_part_and_its_rest_is_plain() {
        let spans = [(3, Class::Keyword), (10, Class::String)];
        let job = coloured("fghijKLM\n", 5, &spans, true);
        assert_eq!(job.text, "fghijKLM");
        let colours: Vec<_> =
            job.sections.iter().map(|section| (section.byte_range.end.0, section.format.color)).collect();
        assert_eq!(colours, [(5, theme::colour(Class::String, true)), (8, theme::colour(Class::Plain, true))]);
        assert_eq!(coloured("", 0, &[], false).text, "");
    }
}
