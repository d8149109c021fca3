//! The blocks of a message as a tree.

use std::ops::Range;
use std::rc::Rc;

use pulldown_cmark::Alignment;

use super::inline::Inline;
use crate::ui::bidi::is_rtl as is_rtl_text;

/// A block.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Paragraph(Inline),
    /// A heading of level 1 to 6.
    Heading(u8, Inline),
    /// A horizontal line.
    Rule,
    Code(Code),
    Quote(Vec<Node>),
    List(Vec<Item>),
    Table(Table),
    /// A term that the next [`Node::Definition`] explains.
    Term(Inline),
    Definition(Vec<Node>),
    /// A footnote's label and text.
    Footnote(String, Vec<Node>),
    /// Blocks that are shown after a click on their summary.
    Details(Inline, Vec<Node>),
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) marker: Marker,
    pub(super) nodes: Vec<Node>,
}

/// What stands before an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Marker {
    Bullet,
    Number(u64),
    /// A task, and whether it is done.
    Task(bool),
    /// Nothing: the item goes on from the block before.
    Continued,
}

/// Code, or a part of a long one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Code {
    /// The language that the fence names; empty for none.
    pub(super) language: String,
    /// The whole code.
    pub(super) text: Rc<str>,
    /// The bytes of this part.
    pub(super) part: Range<usize>,
}

/// A table, or a part of a long one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub(super) columns: Rc<Vec<Column>>,
    /// The cells of the header. Empty in the later parts of a long table.
    pub(super) header: Vec<Inline>,
    pub(super) rows: Vec<Vec<Inline>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) alignment: Alignment,
    /// Its longest cells, from which its width is measured, and whether each is in the header.
    pub(super) longest: Vec<(Inline, bool)>,
}

/// Whether blocks run from right to left: whether their first text does.
pub(super) fn is_rtl(nodes: &[Node]) -> bool {
    let text = |node: &Node| match node {
        Node::Paragraph(text) | Node::Heading(_, text) | Node::Term(text) | Node::Details(text, _) => {
            Some(is_rtl_text(text.text()))
        }
        Node::Quote(nodes) | Node::Definition(nodes) | Node::Footnote(_, nodes) => Some(is_rtl(nodes)),
        Node::List(items) => Some(items.first().is_some_and(|item| is_rtl(&item.nodes))),
        Node::Table(table) => Some(table.is_rtl()),
        Node::Rule | Node::Code(_) => None,
    };
    nodes.iter().find_map(text).unwrap_or(false)
}

impl Table {
    /// Whether its columns run from right to left: whether its first text does.
    pub(super) fn is_rtl(&self) -> bool {
        let mut columns = self.columns.iter().filter_map(|column| column.longest.first());
        columns.next().is_some_and(|(cell, _)| is_rtl_text(cell.text()))
    }
}

/// The cells of a column that are measured.
const MEASURED_CELLS: usize = 8;
/// The most columns of a table. Wider ones are shown as lines of text.
const MAX_COLUMNS: usize = 64;

/// A table, or lines of text if it has too many columns to be drawn as one.
pub(super) fn table(alignments: &[Alignment], header: Vec<Inline>, rows: Vec<Vec<Inline>>) -> Vec<Node> {
    if alignments.len() > MAX_COLUMNS {
        return std::iter::once(header).chain(rows).map(|cells| Node::Paragraph(joined(&cells))).collect();
    }
    let column = |(index, alignment): (usize, &Alignment)| {
        let mut cells: Vec<&Inline> = rows.iter().filter_map(|row| row.get(index)).collect();
        if cells.len() > MEASURED_CELLS {
            cells.select_nth_unstable_by_key(MEASURED_CELLS, |cell| std::cmp::Reverse(cell.text().len()));
            cells.truncate(MEASURED_CELLS);
        }
        let mut longest: Vec<_> = cells.into_iter().map(|cell| (cell.clone(), false)).collect();
        longest.extend(header.get(index).map(|cell| (cell.clone(), true)));
        Column { alignment: *alignment, longest }
    };
    let columns = Rc::new(alignments.iter().enumerate().map(column).collect());
    vec![Node::Table(Table { columns, header, rows })]
}

fn joined(cells: &[Inline]) -> Inline {
    let mut line = Inline::default();
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            line.push(" | ", super::inline::Style::PLAIN, None);
        }
        line.append(cell);
    }
    line
}

/// What the height of blocks is estimated from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    /// The height in points that does not depend on the width.
    pub(super) fixed: f32,
    /// The width in points of all text on one line.
    pub(super) flow: f32,
}

/// The height of a line of text, in points.
pub(super) const LINE_HEIGHT: f32 = 25.0;
/// The height of a line of code, in points.
pub(super) const CODE_LINE_HEIGHT: f32 = 20.0;
/// The mean advance of a byte of text, in points.
const BYTE_WIDTH: f32 = 7.4;

impl Extent {
    fn of_text(text: &Inline, above: f32) -> Self {
        Self { fixed: above + 0.5 * LINE_HEIGHT, flow: text.text().len() as f32 * BYTE_WIDTH }
    }

    pub(super) fn of(node: &Node) -> Self {
        match node {
            Node::Paragraph(text) | Node::Term(text) => Self::of_text(text, 8.0),
            Node::Heading(_, text) => Self::of_text(text, 36.0),
            Node::Rule => Self { fixed: 33.0, flow: 0.0 },
            Node::Code(code) => {
                let lines = code.text[code.part.clone()].lines().count();
                Self { fixed: lines as f32 * CODE_LINE_HEIGHT + 70.0, flow: 0.0 }
            }
            Node::Quote(nodes) | Node::Definition(nodes) | Node::Footnote(_, nodes) => Self::of_all(nodes),
            Node::List(items) => items.iter().fold(Self::default(), |sum, item| sum.plus(Self::of_all(&item.nodes))),
            Node::Table(table) => Self { fixed: (table.rows.len() + 1) as f32 * 38.0 + 20.0, flow: 0.0 },
            // Closed at first.
            Node::Details(..) => Self { fixed: LINE_HEIGHT + 8.0, flow: 0.0 },
        }
    }

    fn of_all(nodes: &[Node]) -> Self {
        nodes.iter().map(Self::of).fold(Self::default(), Self::plus)
    }

    fn plus(self, other: Self) -> Self {
        Self { fixed: self.fixed + other.fixed, flow: self.flow + other.flow }
    }

    /// The height in points at a width.
    pub(super) fn height(self, width: f32) -> f32 {
        self.fixed + self.flow / width.max(60.0) * LINE_HEIGHT
    }
}

/// Whether there is something in a block that Tab reaches.
pub(super) fn has_controls(node: &Node) -> bool {
    match node {
        Node::Paragraph(text) | Node::Heading(_, text) | Node::Term(text) => text.has_links(),
        Node::Rule => false,
        Node::Code(code) => code.part.start == 0,
        Node::Details(..) => true,
        Node::Quote(nodes) | Node::Definition(nodes) | Node::Footnote(_, nodes) => nodes.iter().any(has_controls),
        Node::List(items) => items.iter().any(|item| item.nodes.iter().any(has_controls)),
        Node::Table(table) => table.header.iter().chain(table.rows.iter().flatten()).any(Inline::has_links),
    }
}
