//! Rows of a file to rows of the GPU's layout, on all cores.

use crate::quant::WeightFormat;

/// Rows below which another thread costs more than it brings.
const ROWS_A_THREAD: usize = 16;

/// Converts rows of `cols` values `from` the file's format `to` another and moves them into the GPU layout: `quants` and
/// `scales` have room for as many rows.
///
/// Quantising searches for scales (tens of nanoseconds a value for the k-quants), so it takes all cores; what only moves is
/// as fast as memory on one.
pub(crate) fn convert(
    from: WeightFormat,
    to: WeightFormat,
    cols: usize,
    rows: &[&[u8]],
    quants: &mut [u32],
    scales: &mut [u32],
) {
    let threads = if from == to { 1 } else { threads().min(rows.len() / ROWS_A_THREAD).max(1) };
    let share = rows.len().div_ceil(threads).max(1);
    let (quant_words, scale_words) = (quants.len() / rows.len().max(1), scales.len() / rows.len().max(1));
    let mut rest = (rows, quants, scales);
    let mut shares = Vec::with_capacity(threads);
    while !rest.0.is_empty() {
        let count = share.min(rest.0.len());
        let (rows, more_rows) = rest.0.split_at(count);
        let (quants, more_quants) = rest.1.split_at_mut(count * quant_words);
        let (scales, more_scales) = rest.2.split_at_mut(count * scale_words);
        shares.push((rows, quants, scales));
        rest = (more_rows, more_quants, more_scales);
    }
    if let [(rows, quants, scales)] = &mut shares[..] {
        return convert_share(from, to, cols, rows, quants, scales);
    }
    std::thread::scope(|scope| {
        for (rows, quants, scales) in shares {
            scope.spawn(move || convert_share(from, to, cols, rows, quants, scales));
        }
    });
}

/// A browser has one.
fn threads() -> usize {
    if cfg!(target_arch = "wasm32") { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

fn convert_share(
    from: WeightFormat,
    to: WeightFormat,
    cols: usize,
    rows: &[&[u8]],
    quants: &mut [u32],
    scales: &mut [u32],
) {
    let (quant_words, scale_words) = (quants.len() / rows.len(), scales.len() / rows.len());
    let mut values = vec![0.0; if from == to { 0 } else { cols }];
    let mut blocks = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let quants = &mut quants[i * quant_words..][..quant_words];
        let scales = &mut scales[i * scale_words..][..scale_words];
        if from == to {
            to.repack_row(row, cols, quants, scales);
            continue;
        }
        from.dequantize(row, &mut values);
        blocks.clear();
        to.quantize(&values, &mut blocks);
        to.repack_row(&blocks, cols, quants, scales);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_in_order_however_many_threads() {
        let (from, to, cols) = (WeightFormat::F32, WeightFormat::Q8_0, 40);
        let values: Vec<f32> = (0..100 * cols).map(|i| (i % 251) as f32 - 125.0).collect();
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
