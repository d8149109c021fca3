//! Lists and footnotes.

use egui::{Align, CornerRadius, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::draw::{Pen, indented, label, nodes};
use super::tree::{Item, LINE_HEIGHT, Marker, Node, is_rtl};

/// The indentation of an item's text.
pub(super) const INDENT: f32 = 20.0;
/// The space between items.
pub(super) const ITEM_SPACE: f32 = 2.0;
/// The advance of a digit in body text, at most.
const DIGIT_WIDTH: f32 = 9.5;
/// The side of a task's box.
const BOX_SIDE: f32 = 14.0;

/// Draws a list.
pub(super) fn draw(ui: &mut Ui, items: &[Item], pen: &mut Pen<'_>) {
    let widest = items.iter().map(|item| width(item.marker)).fold(INDENT, f32::max);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            // Items of several paragraphs stand apart.
            ui.add_space(if item.nodes.len() > 1 && matches!(item.nodes[1], Node::Paragraph(_)) {
                8.0
            } else {
                ITEM_SPACE
            });
        }
        ui.push_id(index, |ui| entry(ui, item, widest, pen));
    }
}

fn entry(ui: &mut Ui, item: &Item, indent: f32, pen: &mut Pen<'_>) {
    let rtl = is_rtl(&item.nodes);
    let row = ui.available_rect_before_wrap();
    let middle = row.top() + 0.5 * LINE_HEIGHT;
    // The distance of a marker's left side from the side at which the text begins.
    let left = |distance: f32, width: f32| if rtl { row.right() - distance - width } else { row.left() + distance };
    match item.marker {
        Marker::Bullet => {
            ui.painter().circle_filled(pos2(left(7.0, 0.0), middle), 3.0, pen.colours.weak);
        }
        Marker::Number(number) => {
            let (row, align) = if rtl { (row.with_min_x(left(0.0, indent)), Align::RIGHT) } else { (row, Align::LEFT) };
            beside(ui, row, indent, |ui| label(ui, &number_label(number, rtl), align, pen));
        }
        Marker::Task(done) => task(ui, pos2(left(1.0, BOX_SIDE), middle - 0.5 * BOX_SIDE), done, pen),
        Marker::Continued => {}
    }
    if item.nodes.is_empty() {
        ui.add_space(LINE_HEIGHT);
    } else {
        indented(ui, indent, rtl, |ui| nodes(ui, &item.nodes, pen));
    }
}

/// A number and its dot, which comes after it in the direction of the text.
fn number_label(number: u64, rtl: bool) -> String {
    if rtl { format!(".{number}") } else { format!("{number}.") }
}

/// Draws a marker in the left of a row without taking space.
fn beside(ui: &mut Ui, row: Rect, width: f32, draw: impl FnOnce(&mut Ui)) {
    let rect = Rect::from_min_size(row.min, vec2(width, LINE_HEIGHT));
    draw(&mut ui.new_child(UiBuilder::new().id_salt("marker").max_rect(rect)));
}

fn width(marker: Marker) -> f32 {
    match marker {
        Marker::Number(number) => (number.max(1).ilog10() + 1) as f32 * DIGIT_WIDTH + 12.0,
        Marker::Task(_) => BOX_SIDE + 10.0,
        Marker::Bullet | Marker::Continued => INDENT,
    }
}

fn task(ui: &mut Ui, corner: egui::Pos2, done: bool, pen: &Pen<'_>) {
    let rect = Rect::from_min_size(corner, vec2(BOX_SIDE, BOX_SIDE));
    let response = ui.interact(rect, ui.scope_id().with("task"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, if done { "done:" } else { "to do:" }));
    let painter = ui.painter();
    if done {
        painter.rect_filled(rect, CornerRadius::same(3), pen.colours.accent_text);
        let check = [vec2(0.25, 0.52), vec2(0.43, 0.7), vec2(0.76, 0.32)].map(|at| rect.min + at * BOX_SIDE);
        painter.line(check.to_vec(), Stroke::new(1.8, pen.colours.bg));
    } else {
        painter.rect_stroke(rect, CornerRadius::same(3), Stroke::new(1.5, pen.colours.weak), StrokeKind::Inside);
    }
}

/// Draws the text of a footnote beside its label.
pub(super) fn footnote(ui: &mut Ui, name: &str, children: &[Node], pen: &mut Pen<'_>) {
    let row = ui.available_rect_before_wrap();
    let indent = (name.chars().count() as f32 * DIGIT_WIDTH + 12.0).clamp(INDENT, 120.0);
    beside(ui, row, indent, |ui| label(ui, &format!("{name}."), Align::LEFT, pen));
    indented(ui, indent, false, |ui| nodes(ui, children, pen));
}
