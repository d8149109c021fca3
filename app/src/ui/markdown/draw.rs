//! Draws blocks and the blocks in them.

use egui::{Align, CornerRadius, Rect, Sense, Stroke, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::document::Block;
use super::inline::{Inline, Style};
use super::text::{Look, paragraph};
use super::tree::{Node, is_rtl};
use super::{Resources, code, list, table};
use crate::ui::colours::Colours;

/// What drawing needs besides the window.
pub(super) struct Pen<'a> {
    pub(super) resources: &'a mut Resources,
    pub(super) colours: &'static Colours,
}

/// The width in points below which nested blocks are not indented further.
const MIN_WIDTH: f32 = 160.0;
/// The indentation of a quote.
const QUOTE_INDENT: f32 = 16.0;

/// Draws a block of a message from the top of the ui, in its width.
pub(crate) fn draw_block(ui: &mut Ui, block: &Block, resources: &mut Resources) {
    // All distances are drawn here, because they depend on the kinds of blocks.
    ui.spacing_mut().item_spacing = vec2(8.0, 0.0);
    let above = match (block.is_first(), block.is_continued()) {
        (true, _) => 0.0,
        (_, true) => continued_space(block.node()),
        _ => space_above(block.node()),
    };
    ui.add_space(above);
    let colours = Colours::of(ui.visuals());
    node(ui, block.node(), &mut Pen { resources, colours });
}

fn space_above(node: &Node) -> f32 {
    match node {
        Node::Heading(..) => 20.0,
        Node::Code(_) | Node::Table(_) => 14.0,
        Node::Rule => 16.0,
        Node::Definition(_) => 2.0,
        _ => 8.0,
    }
}

/// The space above a part that goes on from the one before.
fn continued_space(node: &Node) -> f32 {
    match node {
        Node::List(_) => list::ITEM_SPACE,
        Node::Table(_) | Node::Code(_) | Node::Quote(_) | Node::Paragraph(_) => 0.0,
        _ => 8.0,
    }
}

/// Draws blocks below each other.
pub(super) fn nodes(ui: &mut Ui, nodes: &[Node], pen: &mut Pen<'_>) {
    for (index, child) in nodes.iter().enumerate() {
        if index > 0 {
            let tight = matches!((&nodes[index - 1], child), (Node::Paragraph(_), Node::List(_)));
            ui.add_space(if tight { list::ITEM_SPACE } else { space_above(child) });
        }
        ui.push_id(index, |ui| node(ui, child, pen));
    }
}

fn node(ui: &mut Ui, node: &Node, pen: &mut Pen<'_>) {
    match node {
        Node::Paragraph(text) => paragraph(ui, text, &Look::body(pen.colours), pen),
        Node::Heading(level, text) => paragraph(ui, text, &Look::heading(*level, pen.colours), pen),
        Node::Rule => rule(ui, pen),
        Node::Code(part) => code::draw(ui, part, pen),
        Node::Quote(children) => quote(ui, children, pen),
        Node::List(items) => list::draw(ui, items, pen),
        Node::Table(part) => table::draw(ui, part, pen),
        Node::Term(text) => paragraph(ui, text, &Look { strong: true, ..Look::body(pen.colours) }, pen),
        Node::Definition(children) => {
            indented(ui, list::INDENT, is_rtl(children), |ui| nodes(ui, children, pen));
        }
        Node::Footnote(label, children) => list::footnote(ui, label, children, pen),
        Node::Details(summary, children) => details(ui, summary, children, pen),
    }
}

/// Draws something with a distance from the side at which its text begins, and returns where it is.
pub(super) fn indented(ui: &mut Ui, indent: f32, rtl: bool, draw: impl FnOnce(&mut Ui)) -> Rect {
    let mut rect = ui.available_rect_before_wrap();
    let indent = indent.min((rect.width() - MIN_WIDTH).max(0.0));
    if rtl {
        rect.max.x -= indent;
    } else {
        rect.min.x += indent;
    }
    ui.scope_builder(UiBuilder::new().max_rect(rect), draw).response.rect
}

fn rule(ui: &mut Ui, pen: &Pen<'_>) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 9.0), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.top() + 0.5, Stroke::new(1.0, pen.colours.line));
}

fn quote(ui: &mut Ui, children: &[Node], pen: &mut Pen<'_>) {
    let space = ui.available_rect_before_wrap();
    let line = pen.colours.line;
    let rtl = is_rtl(children);
    let rect = indented(ui, QUOTE_INDENT, rtl, |ui| nodes(ui, children, pen));
    let left = if rtl { space.right() - 3.0 } else { space.left() };
    let bar = Rect::from_min_max(pos2(left, rect.top()), pos2(left + 3.0, rect.bottom()));
    ui.painter().rect_filled(bar, CornerRadius::same(2), line);
}

/// A summary, and below it the blocks that a click on it shows.
fn details(ui: &mut Ui, summary: &Inline, children: &[Node], pen: &mut Pen<'_>) {
    let id = ui.make_persistent_id("details");
    let mut open = ui.data_mut(|data| data.get_persisted::<bool>(id)).unwrap_or(false);
    let height = super::tree::LINE_HEIGHT;
    let (row, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    response.widget_info(|| WidgetInfo::selected(egui::Role::Button, ui.is_enabled(), open, summary.text()));
    if response.clicked() {
        open = !open;
        ui.data_mut(|data| data.insert_persisted(id, open));
    }
    let icon = Rect::from_center_size(pos2(row.left() + 8.0, row.center().y), vec2(10.0, 10.0));
    let openness = ui.ctx().animate_bool_responsive(id, open);
    egui::collapsing_header::paint_default_icon(ui, openness, &response.clone().with_new_rect(icon));
    let colour = if response.hovered() { pen.colours.accent_text } else { pen.colours.text };
    // Shown on one line, so that the row is one control. The rest of a long summary is in the hover text.
    let mut job = egui::text::LayoutJob::simple_singleline(
        summary.text().replace('\n', " "),
        egui::FontId::proportional(super::text::BODY_SIZE),
        colour,
    );
    job.wrap = egui::text::TextWrapping::truncate_at_width(row.width() - 20.0);
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    let elided = galley.elided;
    ui.painter().galley(pos2(row.left() + 20.0, row.center().y - 0.5 * galley.size().y), galley, colour);
    if response.has_focus() {
        ui.painter().rect_stroke(row, 4.0, Stroke::new(2.0, pen.colours.accent_text), egui::StrokeKind::Inside);
    }
    if elided {
        response.on_hover_text(summary.text());
    }
    if open {
        ui.add_space(4.0);
        indented(ui, 20.0, is_rtl(children), |ui| nodes(ui, children, pen));
    }
}

/// A short text in the look of weak body text.
pub(super) fn label(ui: &mut Ui, text: &str, align: Align, pen: &mut Pen<'_>) {
    let look = Look { color: pen.colours.weak, align, ..Look::body(pen.colours) };
    paragraph(ui, &Inline::styled(text, Style::PLAIN), &look, pen);
}
