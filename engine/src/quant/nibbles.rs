//! q4_0, q4_1, q5_0 and q5_1: 32 values in 18, 20, 22 and 24 bytes.
//!
//! | bytes | field | in |
//! | --- | --- | --- |
//! | 2 | `d`, f16 | all |
//! | 2 | `m`, f16 | q4_1, q5_1 |
//! | 4 | `qh`, the fifth bits of `q`: value `j`'s is bit `j` of this word | q5_0, q5_1 |
//! | 16 | the low four bits of `q`: byte `j` holds value `j` low and value `j + 16` high | all |
//!
//! With `m`, `value = d * q + m`. Without it, `value = d * (q - 8)` in q4_0 and `d * (q - 16)` in q5_0. The size of a block
//! tells the formats apart, so the functions here are generic over it.
//!
//! After `dequantize_row_q4_0` and `quantize_row_q4_0_ref` in GGML's ggml-quants.c, and those of the others.

use super::bits::{
    copy_words, fifth_bits_by_byte, half_bytes, half_value, pack_fifth_bits, pack_nibbles, pair_halves, unpack_codes,
    word,
};
use super::fit::{inverse, largest, range};
use super::weighted::{Line, affine, symmetric};

/// Whether blocks of this size have a minimum.
const fn has_minimum(bytes: usize) -> bool {
    bytes == 20 || bytes == 24
}

/// Whether blocks of this size have fifth bits.
const fn has_fifth_bits(bytes: usize) -> bool {
    bytes > 20
}

/// The number of codes.
const fn levels(bytes: usize) -> u8 {
    if has_fifth_bits(bytes) { 32 } else { 16 }
}

/// The fifth bits of a block's codes.
fn fifth_bits<const BYTES: usize>(block: &[u8; BYTES]) -> u32 {
    if has_fifth_bits(BYTES) { word(&block[BYTES - 20..]) } else { 0 }
}

pub(super) fn dequantize<const BYTES: usize>(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = half_value(block);
    let m = half_value(&block[2..]);
    let codes = unpack_codes(&block[BYTES - 16..], fifth_bits(block));
    for (value, code) in out.iter_mut().zip(codes) {
        *value = match has_minimum(BYTES) {
            true => f32::from(code) * d + m,
            false => (f32::from(code) - f32::from(levels(BYTES) / 2)) * d,
        };
    }
}

pub(super) fn quantize<const BYTES: usize>(values: &[f32; 32]) -> [u8; BYTES] {
    let top = levels(BYTES) - 1;
    if has_minimum(BYTES) {
        let (min, max) = range(values);
        let d = (max - min) / f32::from(top);
        let inverse = inverse(d);
        return pack(d, min, &std::array::from_fn(|i| (((values[i] - min) * inverse + 0.5) as u8).min(top)));
    }
    // The largest magnitude gets code 0, which is the only one that stands for half the levels.
    let half = f32::from(levels(BYTES) / 2);
    let d = largest(values) / -half;
    let inverse = inverse(d);
    pack(d, 0.0, &std::array::from_fn(|i| ((values[i] * inverse + half + 0.5) as i8).clamp(0, top as i8) as u8))
}

pub(super) fn quantize_weighted<const BYTES: usize>(values: &[f32; 32], weights: &[f32; 32]) -> [u8; BYTES] {
    if has_minimum(BYTES) {
        let Line { scale, start, codes } = affine(values, weights, f32::from(levels(BYTES) - 1), f32::MAX);
        return pack(scale, start, &codes.map(|code| code as u8));
    }
    let half = f32::from(levels(BYTES) / 2);
    let (d, codes) = symmetric(values, weights, half);
    pack(d, 0.0, &codes.map(|code| (code + half) as u8))
}

/// The block of a scale, a minimum where the format has one, and codes.
fn pack<const BYTES: usize>(d: f32, m: f32, codes: &[u8; 32]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(d));
    if has_minimum(BYTES) {
        block[2..4].copy_from_slice(&half_bytes(m));
    }
    if has_fifth_bits(BYTES) {
        block[BYTES - 20..BYTES - 16].copy_from_slice(&pack_fifth_bits(codes).to_le_bytes());
    }
    block[BYTES - 16..].copy_from_slice(&pack_nibbles(codes));
    block
}

pub(super) fn repack<const BYTES: usize>(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    for (block, words) in blocks.iter().zip(quants.as_chunks_mut::<4>().0) {
        copy_words(&block[BYTES - 16..], words);
    }
    // `d` and `m` fill a word; without `m` the `d` of two blocks do, and follow the fifth bits of both.
    let blocks_per_word = if has_minimum(BYTES) { 1 } else { 2 };
    let fifth_words = if has_fifth_bits(BYTES) { blocks_per_word } else { 0 };
    for (blocks, words) in blocks.chunks(blocks_per_word).zip(scales.chunks_exact_mut(fifth_words + 1)) {
        for (i, word) in words[..fifth_words].iter_mut().enumerate() {
            *word = blocks.get(i).map_or(0, |block| fifth_bits_by_byte(fifth_bits(block)));
        }
        words[fifth_words] = if has_minimum(BYTES) { word(&blocks[0]) } else { pair_halves(blocks) };
    }
}
