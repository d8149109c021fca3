//! Rows of a file to rows of the GPU's layout, on all cores.

use crate::quant::{ROW_GROUP, WeightFormat, interleave};
use crate::threads::{on_threads, threads};

/// A thread for fewer rows costs more time than it saves.
const ROWS_PER_THREAD: usize = 16;

/// Converts rows of `cols` values from the file's format, `from`, to the format `to`, and writes them in the GPU layout,
/// interleaved. `quants` and `scales` are zeros, with room for the rows, rounded up to whole blocks of [`ROW_GROUP`].
///
/// Quantising takes all cores: the k-quants search for scales, which takes tens of nanoseconds per value. Repacking alone
/// is as fast as memory on one core.
pub(crate) fn convert(
    from: WeightFormat,
    to: WeightFormat,
    cols: usize,
    rows: &[&[u8]],
    quants: &mut [u32],
    scales: &mut [u32],
) {
    let threads = if from == to { 1 } else { threads().min(rows.len() / ROWS_PER_THREAD).max(1) };
    let share = rows.len().div_ceil(threads).next_multiple_of(ROW_GROUP).max(ROW_GROUP);
    let size = to.gpu_row(cols);
    let scale_words = (share * size.scale_words).max(1);
    let shares = rows.chunks(share).zip(quants.chunks_mut(4 * share * size.quant_vec4s));
    // Formats without scales have no chunks of scales.
    let mut scales = scales.chunks_mut(scale_words);
    let shares = shares.map(|(rows, quants)| (rows, quants, scales.next().unwrap_or_default()));
    on_threads(shares, |(rows, quants, scales)| convert_share(from, to, cols, rows, quants, scales));
}

fn convert_share(
    from: WeightFormat,
    to: WeightFormat,
    cols: usize,
    rows: &[&[u8]],
    quants: &mut [u32],
    scales: &mut [u32],
) {
    let size = to.gpu_row(cols);
    let (mut row_quants, mut row_scales) = (vec![0; 4 * size.quant_vec4s], vec![0; size.scale_words]);
    let mut values = vec![0.0; if from == to { 0 } else { cols }];
    let mut blocks = Vec::new();
    for (i, mut row) in rows.iter().copied().enumerate() {
        if from != to {
            from.dequantize(row, &mut values);
            blocks.clear();
            to.quantize(&values, &mut blocks);
            row = &blocks;
        }
        to.repack_row(row, cols, &mut row_quants, &mut row_scales);
        let (block, place) = (i / ROW_GROUP * ROW_GROUP, i % ROW_GROUP);
        interleave(&row_quants, size.quant_units, place, &mut quants[block * row_quants.len()..]);
        interleave(&row_scales, size.scale_units, place, &mut scales[block * row_scales.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_in_order_however_many_threads() {
        let (from, to, cols) = (WeightFormat::F32, WeightFormat::Q8_0, 40);
        let values: Vec<f32> = (0..104 * cols).map(|i| (i % 251) as f32 - 125.0).collect();
        let rows: Vec<&[u8]> = bytemuck::cast_slice(&values).chunks_exact(4 * cols).collect();
        let size = to.gpu_row(cols);
        let room = |rows: usize| (vec![0; rows * 4 * size.quant_vec4s], vec![0; rows * size.scale_words]);
        let (mut quants, mut scales) = room(rows.len());
        convert(from, to, cols, &rows, &mut quants, &mut scales);
        let (mut one_quants, mut one_scales) = room(rows.len());
        convert_share(from, to, cols, &rows, &mut one_quants, &mut one_scales);
        assert!((quants, scales) == (one_quants, one_scales));
        convert(from, to, cols, &[], &mut [], &mut []);
    }
}
