//! Tables whose columns fit the terminal.

use pulldown_cmark::Alignment;

use super::style::{Span, Style};
use super::wrap::{width, wrap};

/// A table while it is read.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) alignments: Vec<Alignment>,
    /// Rows of cells; the first is the header.
    pub(super) rows: Vec<Vec<Vec<Span>>>,
}

/// Between two columns.
const GAP: &str = " │ ";

impl Table {
    /// The lines of the table in `columns`, if it can be made that narrow.
    pub(super) fn lines(&self, columns: usize) -> Vec<Vec<Span>> {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        if count == 0 {
            return Vec::new();
        }
        let widths = self.widths(count, columns);
        let dim = Style { dim: true, ..Style::default() };
        let mut lines = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<Vec<Vec<Span>>> = (0..count)
                .map(|at| {
                    let mut spans = row.get(at).cloned().unwrap_or_default();
                    if index == 0 {
                        spans.iter_mut().for_each(|span| span.style.bold = true);
                    }
                    wrap(&spans, widths[at])
                })
                .collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(1);
            for line in 0..height {
                let mut spans = Vec::new();
                for (at, cell) in cells.iter().enumerate() {
                    if at > 0 {
                        spans.push(Span::new(GAP, dim));
                    }
                    let cell = cell.get(line).cloned().unwrap_or_default();
                    let used: usize = cell.iter().map(|span| width(&span.text)).sum();
                    let free = widths[at].saturating_sub(used);
                    let before = match self.alignments.get(at) {
                        Some(Alignment::Right) => free,
                        Some(Alignment::Center) => free / 2,
                        _ => 0,
                    };
                    spans.push(Span::new(" ".repeat(before), Style::default()));
                    spans.extend(cell);
                    // No spaces at the end of the line.
                    if at + 1 < count {
                        spans.push(Span::new(" ".repeat(free - before), Style::default()));
                    }
                }
                lines.push(spans);
            }
            if index == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
                lines.push(vec![Span::new(rule.join("─┼─"), dim)]);
            }
        }
        lines
    }

    /// The widths of the columns: what their cells need, or less if that does not fit.
    fn widths(&self, count: usize, columns: usize) -> Vec<usize> {
        let cell = |spans: &Vec<Span>| spans.iter().map(|span| width(&span.text)).sum::<usize>();
        let need = |at| self.rows.iter().filter_map(|row| row.get(at)).map(cell).max().unwrap_or(0).max(1);
        let mut widths: Vec<usize> = (0..count).map(need).collect();
        let room = columns.saturating_sub((count - 1) * width(GAP)).max(count);
        // The widest column gives way first.
        while widths.iter().sum::<usize>() > room {
            let excess = widths.iter().sum::<usize>() - room;
            let Some(widest) = (0..count).max_by_key(|at| widths[*at]) else { break };
            let next = widths.iter().filter(|width| **width < widths[widest]).max().copied().unwrap_or(1);
            let less = excess.min((widths[widest] - next).max(1));
            widths[widest] = (widths[widest] - less).max(1);
        }
        widths
    }
}
