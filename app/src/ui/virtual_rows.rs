//! The positions of rows of which only the visible ones are drawn. Heights are measured when a row is drawn, and estimated
//! before. A row at the top of the view stays in its place while heights above it change.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// A place in the rows: a row, and how far below its top, in points. It may be negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Anchor<K> {
    pub(super) row: K,
    pub(super) below: f32,
}

/// A row and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed<K> {
    pub(super) row: K,
    /// The distance of its top from the top of the first row, in points.
    pub(super) top: f32,
    pub(super) height: f32,
}

impl<K> Placed<K> {
    fn bottom(&self) -> f32 {
        self.top + self.height
    }
}

/// The rows, and the heights of all rows that were drawn or estimated.
pub(super) struct VirtualRows<K> {
    heights: HashMap<K, f32>,
    /// The width that the heights belong to.
    width: f32,
    placed: Vec<Placed<K>>,
}

impl<K> Default for VirtualRows<K> {
    fn default() -> Self {
        Self { heights: HashMap::new(), width: 0.0, placed: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash> VirtualRows<K> {
    /// Starts a frame in which rows are `width` points wide. After a change of the width, known heights are scaled by it,
    /// because text that is half as wide has twice as many lines.
    pub(super) fn begin(&mut self, width: f32) {
        if (self.width - width).abs() > 0.5 {
            if self.width > 0.0 {
                let factor = self.width / width;
                for height in self.heights.values_mut() {
                    *height *= factor;
                }
            }
            self.width = width;
        }
        self.placed.clear();
    }

    /// Adds a row below those of this frame. `estimate` is called once per row and width.
    pub(super) fn push(&mut self, row: K, estimate: impl FnOnce() -> f32) {
        let height = *self.heights.entry(row).or_insert_with(estimate);
        self.placed.push(Placed { row, top: self.total(), height });
    }

    /// The height of all rows, in points.
    pub(super) fn total(&self) -> f32 {
        self.placed.last().map_or(0.0, Placed::bottom)
    }

    /// All rows of this frame.
    pub(super) fn placed(&self) -> &[Placed<K>] {
        &self.placed
    }

    /// The indices of the rows that touch the range from `from` to `to`.
    pub(super) fn within(&self, from: f32, to: f32) -> Range<usize> {
        let first = self.placed.partition_point(|row| row.bottom() < from);
        let end = self.placed.partition_point(|row| row.top <= to);
        first..end.max(first)
    }

    /// The row at a distance from the top.
    pub(super) fn anchor_at(&self, offset: f32) -> Option<Anchor<K>> {
        let index = self.placed.partition_point(|row| row.bottom() <= offset);
        let row = self.placed.get(index).or(self.placed.last())?;
        Some(Anchor { row: row.row, below: offset - row.top })
    }

    /// The distance of an anchor from the top, if its row is there.
    pub(super) fn offset_of(&self, anchor: &Anchor<K>) -> Option<f32> {
        let row = self.placed.iter().find(|row| row.row == anchor.row)?;
        Some(row.top + anchor.below)
    }

    /// Stores the measured height of a row. Returns whether it differs from the one that the row was placed with.
    pub(super) fn measured(&mut self, row: K, height: f32) -> bool {
        let before = self.heights.insert(row, height);
        before.is_none_or(|before| (before - height).abs() > 0.5)
    }

    /// Forgets the heights of rows for which `keep` is false, if far more are known than are used.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        if self.heights.len() > 4 * self.placed.len() + 4096 {
            self.heights.retain(|row, _| keep(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(heights: &[f32]) -> VirtualRows<usize> {
        let mut rows = VirtualRows::default();
        rows.begin(100.0);
        for (index, height) in heights.iter().enumerate() {
            rows.push(index, || *height);
        }
        rows
    }

    fn again(rows: &mut VirtualRows<usize>, width: f32) {
        let count = rows.placed().len();
        rows.begin(width);
        for index in 0..count {
            rows.push(index, || panic!("the height is known"));
        }
    }

    #[test]
    fn rows_follow_each_other() {
        let rows = rows(&[10.0, 20.0, 30.0]);
        assert_eq!(rows.total(), 60.0);
        assert_eq!(rows.within(0.0, 5.0), 0..1);
        assert_eq!(rows.within(15.0, 40.0), 1..3);
        assert_eq!(rows.within(100.0, 200.0), 3..3);
    }

    #[test]
    fn an_anchor_stays_while_rows_above_it_grow() {
        let mut rows = rows(&[10.0, 20.0, 30.0]);
        let anchor = rows.anchor_at(35.0).unwrap();
        assert_eq!(anchor, Anchor { row: 2, below: 5.0 });
        assert!(rows.measured(0, 110.0));
        assert!(!rows.measured(1, 20.2));
        again(&mut rows, 100.0);
        assert!((rows.offset_of(&anchor).unwrap() - 135.2).abs() < 1e-3);
    }

    #[test]
    fn narrower_rows_become_higher() {
        let mut rows = rows(&[10.0, 20.0]);
        again(&mut rows, 50.0);
        assert_eq!(rows.total(), 60.0);
    }

    #[test]
    fn an_anchor_past_the_end_is_the_last_row() {
        let rows = rows(&[10.0, 20.0]);
        assert_eq!(rows.anchor_at(99.0), Some(Anchor { row: 1, below: 89.0 }));
        assert_eq!(rows.offset_of(&Anchor { row: 7, below: 0.0 }), None);
        assert_eq!(VirtualRows::<usize>::default().anchor_at(0.0), None);
    }
}
