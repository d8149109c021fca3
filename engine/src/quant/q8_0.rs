//! q8_0: 32 values in 34 bytes, `value = d * q`.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..2 | `d`, f16 |
//! | 2..34 | `q`, 32 signed bytes |
//!
//! After `dequantize_row_q8_0` and `quantize_row_q8_0_ref` in GGML's ggml-quants.c.

use super::bits::{copy_words, half_bytes, half_value, pair_halves};
use super::fit::inverse;

/// Bytes of a block.
const BYTES: usize = 34;

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = half_value(block);
    for (value, code) in out.iter_mut().zip(&block[2..]) {
        *value = f32::from(*code as i8) * d;
    }
}

pub(super) fn quantize(values: &[f32; 32]) -> [u8; BYTES] {
    let d = magnitude(values) / 127.0;
    let inverse = inverse(d);
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(d));
    for (code, value) in block[2..].iter_mut().zip(values) {
        *code = round(value * inverse) as u8;
    }
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    for (block, words) in blocks.iter().zip(quants.as_chunks_mut::<8>().0) {
        copy_words(&block[2..], words);
    }
    for (pair, word) in blocks.chunks(2).zip(scales) {
        *word = pair_halves(pair);
    }
}

/// The largest magnitude. Eight independent maxima are faster than one chain of comparisons.
fn magnitude(values: &[f32; 32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for values in values.as_chunks::<8>().0 {
        for (lane, value) in lanes.iter_mut().zip(values) {
            let magnitude = value.abs();
            *lane = if magnitude > *lane { magnitude } else { *lane };
        }
    }
    lanes.into_iter().fold(0.0, f32::max)
}

/// Rounds to the nearest integer, ties away from zero, as C's `roundf`; `f32::round` would be a
/// library call for each value. The codes of finite values are in range.
fn round(value: f32) -> i8 {
    let whole = value as i32;
    let fraction = value - whole as f32;
    let up = i32::from(fraction >= 0.5) - i32::from(fraction <= -0.5);
    whole.wrapping_add(up) as i8
}
