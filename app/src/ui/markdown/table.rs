//! Tables.

use egui::{Align, CornerRadius, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder, pos2, vec2};
use pulldown_cmark::Alignment;

use super::draw::Pen;
use super::text::{LaidOut, Look};
use super::tree::{Column, Table};

/// The space between the text of a cell and its edges.
const PADDING: egui::Vec2 = vec2(12.0, 6.0);
/// The width that a column keeps, if its text needs it, before the table scrolls.
const MIN_COLUMN: f32 = 120.0;
/// The greatest width of a column in a table that scrolls.
const MAX_COLUMN: f32 = 320.0;
const RADIUS: CornerRadius = CornerRadius::same(10);

/// Draws a table, which scrolls sideways if it is too wide.
pub(super) fn draw(ui: &mut Ui, table: &Table, pen: &mut Pen<'_>) {
    let space = ui.available_width();
    let padding = 2.0 * PADDING.x * table.columns.len() as f32;
    let natural: Vec<f32> = table.columns.iter().map(|column| natural_width(ui, column, pen)).collect();
    let widths = column_widths(&natural, space - padding);
    let total = widths.iter().sum::<f32>() + padding;
    if total <= space + 0.5 {
        grid(ui, table, &widths, total, pen);
    } else {
        ScrollArea::horizontal().show(ui, |ui| grid(ui, table, &widths, total, pen));
    }
}

/// The width of a column's text on one line.
fn natural_width(ui: &Ui, column: &Column, pen: &mut Pen<'_>) -> f32 {
    let width = |(cell, header): &(_, bool)| LaidOut::new(ui, cell, &look(*header, pen), f32::INFINITY, pen).size().x;
    column.longest.iter().map(width).fold(8.0, f32::max).ceil() + 1.0
}

fn look(header: bool, pen: &Pen<'_>) -> Look {
    Look { strong: header, ..Look::body(pen.colours) }
}

/// The widths of the columns' text in a space. Narrow columns keep their width, and wide ones share the rest.
fn column_widths(natural: &[f32], space: f32) -> Vec<f32> {
    let sum = |most: f32| natural.iter().map(|width| width.min(most)).sum::<f32>();
    if sum(f32::INFINITY) <= space {
        return natural.to_vec();
    }
    let most = if sum(MIN_COLUMN) > space {
        MAX_COLUMN
    } else {
        let (mut low, mut high) = (MIN_COLUMN, space.max(MIN_COLUMN));
        for _ in 0..24 {
            let middle = 0.5 * (low + high);
            if sum(middle) > space { high = middle } else { low = middle }
        }
        low.floor()
    };
    natural.iter().map(|width| width.min(most)).collect()
}

fn grid(ui: &mut Ui, table: &Table, widths: &[f32], total: f32, pen: &mut Pen<'_>) {
    let has_header = !table.header.is_empty();
    let rows = Some(&table.header).filter(|_| has_header).into_iter().chain(&table.rows);
    let rows: Vec<Vec<LaidOut>> = rows
        .enumerate()
        .map(|(index, cells)| {
            let cell = |((column, cell), width): ((&Column, _), &f32)| {
                let header = has_header && index == 0;
                let look = Look { align: align(column), ..look(header, pen) };
                LaidOut::new(ui, cell, &look, *width, pen)
            };
            table.columns.iter().zip(cells).zip(widths).map(cell).collect()
        })
        .collect();
    let height = |cells: &Vec<LaidOut>| cells.iter().map(|cell| cell.size().y).fold(0.0, f32::max) + 2.0 * PADDING.y;
    let heights: Vec<f32> = rows.iter().map(height).collect();
    let (rect, _) = ui.allocate_exact_size(vec2(total, heights.iter().sum()), Sense::hover());
    let stroke = Stroke::new(1.0, pen.colours.line);
    if has_header {
        let head = Rect::from_min_size(rect.min, vec2(total, heights[0]));
        let corners = CornerRadius { sw: 0, se: 0, ..RADIUS };
        ui.painter().rect_filled(head, corners, pen.colours.code);
    }
    let rtl = table.is_rtl();
    let mut top = rect.top();
    for (index, (cells, height)) in rows.into_iter().zip(&heights).enumerate() {
        if index > 0 {
            ui.painter().hline(rect.x_range(), top, stroke);
        }
        let row = Rect::from_min_size(pos2(rect.left(), top), vec2(total, *height));
        top += height;
        if ui.is_rect_visible(row) {
            let mut before = 0.0;
            for (column, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
                let outer = width + 2.0 * PADDING.x;
                let left = if rtl { row.right() - before - outer } else { row.left() + before };
                before += outer;
                let corner = pos2(left, row.top()) + PADDING;
                let cell_rect = Rect::from_min_size(corner, vec2(*width, height - 2.0 * PADDING.y));
                let builder = UiBuilder::new().id_salt((index, column)).max_rect(cell_rect);
                cell.draw(&mut ui.new_child(builder), pen.colours, &pen.resources.wanted);
            }
        }
    }
    ui.painter().rect_stroke(rect, RADIUS, stroke, StrokeKind::Inside);
}

fn align(column: &Column) -> Align {
    match column.alignment {
        Alignment::Center => Align::Center,
        Alignment::Right => Align::RIGHT,
        Alignment::Left | Alignment::None => Align::LEFT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_the_space_or_scroll() {
        assert_eq!(column_widths(&[50.0, 100.0], 300.0), [50.0, 100.0]);
        // The wide column takes what the narrow one leaves.
        assert_eq!(column_widths(&[50.0, 900.0], 300.0), [50.0, 250.0]);
        // Two wide ones share it.
        assert_eq!(column_widths(&[50.0, 900.0, 700.0], 450.0), [50.0, 200.0, 200.0]);
        // There is no room, so the table scrolls.
        assert_eq!(column_widths(&[500.0, 100.0, 300.0, 200.0], 300.0), [320.0, 100.0, 300.0, 200.0]);
    }
}
