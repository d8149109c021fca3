//! Cuts blocks that are far higher than a window into parts, so that a frame draws only what is visible.

use std::ops::Range;

use super::inline::{Inline, Style};
use super::tree::{Code, Extent, Item, Marker, Node, Table};

/// The estimated height of a part in points, at the width that [`WIDTH`] names.
const PART_HEIGHT: f32 = 1500.0;
/// The width in points at which heights are estimated here.
const WIDTH: f32 = 700.0;
/// The most bytes of a paragraph's part.
const PARAGRAPH_BYTES: usize = 4096;
/// The most lines and bytes of a code's part.
const CODE_LINES: usize = 100;
const CODE_BYTES: usize = 16 << 10;
/// The most cells of a table's part.
const TABLE_CELLS: usize = 200;

/// The parts of a block, from the top.
pub(super) fn split(node: Node) -> Vec<Node> {
    match node {
        Node::Details(summary, nodes) => {
            let parts: Vec<Node> = nodes.into_iter().flat_map(split).collect();
            if parts.iter().map(height).sum::<f32>() < 4.0 * PART_HEIGHT {
                return vec![Node::Details(summary, parts)];
            }
            // Drawing so much at once would take too long, so it is open from the start.
            let mut shown = Inline::default();
            for (text, run) in summary.runs() {
                shown.push(text, run.style.with(Style::STRONG), run.link.as_ref());
            }
            std::iter::once(Node::Paragraph(shown)).chain(parts).collect()
        }
        Node::Code(code) => split_code(code),
        Node::Table(table) => split_table(table),
        node if height(&node) <= PART_HEIGHT => vec![node],
        Node::Paragraph(text) => text.split(PARAGRAPH_BYTES).into_iter().map(Node::Paragraph).collect(),
        Node::Heading(level, text) => {
            let mut parts = text.split(PARAGRAPH_BYTES).into_iter();
            let head = parts.next().map(|text| Node::Heading(level, text));
            head.into_iter().chain(parts.map(Node::Paragraph)).collect()
        }
        Node::Quote(nodes) => grouped(nodes).into_iter().map(Node::Quote).collect(),
        Node::Definition(nodes) => grouped(nodes).into_iter().map(Node::Definition).collect(),
        Node::Footnote(label, nodes) => {
            grouped(nodes).into_iter().map(|part| Node::Footnote(label.clone(), part)).collect()
        }
        Node::List(items) => split_list(items),
        Node::Term(text) => text.split(PARAGRAPH_BYTES).into_iter().map(Node::Term).collect(),
        Node::Rule => vec![node],
    }
}

fn height(node: &Node) -> f32 {
    Extent::of(node).height(WIDTH)
}

/// Splits all blocks and gathers the parts into groups of about the height of a part.
fn grouped(nodes: Vec<Node>) -> Vec<Vec<Node>> {
    group(nodes.into_iter().flat_map(split), height)
}

fn group<T>(parts: impl Iterator<Item = T>, height: impl Fn(&T) -> f32) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut total = f32::INFINITY;
    for part in parts {
        let next = height(&part);
        if total + next > PART_HEIGHT {
            groups.push(Vec::new());
            total = 0.0;
        }
        total += next;
        if let Some(last) = groups.last_mut() {
            last.push(part);
        }
    }
    groups
}

fn split_list(items: Vec<Item>) -> Vec<Node> {
    let parts = items.into_iter().flat_map(|item| {
        let mut groups = grouped(item.nodes);
        if groups.is_empty() {
            groups.push(Vec::new());
        }
        groups.into_iter().enumerate().map(move |(index, nodes)| {
            let marker = if index == 0 { item.marker } else { Marker::Continued };
            Item { marker, nodes }
        })
    });
    group(parts, |item| item.nodes.iter().map(height).sum()).into_iter().map(Node::List).collect()
}

fn split_table(table: Table) -> Vec<Node> {
    let rows = (TABLE_CELLS / table.columns.len().max(1)).max(1);
    if table.rows.len() <= rows + rows / 2 {
        return vec![Node::Table(table)];
    }
    let mut parts = Vec::new();
    let (mut header, mut rest) = (table.header, table.rows.into_iter());
    loop {
        let part: Vec<_> = rest.by_ref().take(rows).collect();
        if part.is_empty() {
            return parts;
        }
        let columns = table.columns.clone();
        parts.push(Node::Table(Table { columns, header: std::mem::take(&mut header), rows: part }));
    }
}

fn split_code(code: Code) -> Vec<Node> {
    let parts = code_parts(&code.text);
    let part = |part| Node::Code(Code { part, ..code.clone() });
    parts.into_iter().map(part).collect()
}

fn code_parts(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut lines) = (0, 0);
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
        if end - at > CODE_BYTES {
            // A line that is too long for one part goes on in the next.
            if start < at {
                parts.push(start..at);
            }
            at = text.floor_char_boundary(at + CODE_BYTES);
            parts.push(parts.last().map_or(0, |last: &Range<usize>| last.end)..at);
            (start, lines) = (at, 0);
            continue;
        }
        if lines == CODE_LINES || end - start > CODE_BYTES {
            parts.push(start..at);
            (start, lines) = (at, 0);
        }
        lines += 1;
        at = end;
    }
    // A short rest stays with the part before.
    if let Some(last) = parts.last_mut()
        && lines < CODE_LINES / 4
        && text.len() - last.start <= CODE_BYTES
    {
        last.end = text.len();
    } else if start < text.len() || parts.is_empty() {
        parts.push(start..text.len());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_cut_into_parts_that_are_the_whole() {
        let lines: String = (0..1010).map(|line| format!("line {line} é\n")).collect();
        for text in
            [lines.clone(), "é".repeat(200_000), format!("{lines}{}\n{lines}", "x".repeat(100_000)), String::new()]
        {
            let parts = code_parts(&text);
            assert_eq!(parts.first().unwrap().start, 0);
            assert_eq!(parts.last().unwrap().end, text.len());
            for pair in parts.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
            }
            assert!(parts.iter().all(|part| part.len() <= CODE_BYTES && text[part.clone()].lines().count() < 130));
        }
        assert_eq!(code_parts("a\nb\n").len(), 1);
    }
}
