//! q4_1: 32 values in 20 bytes, `value = d * q + m`.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..2 | `d`, f16 |
//! | 2..4 | `m`, f16 |
//! | 4..20 | `q`, two per byte: byte `j` holds value `j` low and value `j + 16` high |
//!
//! After `dequantize_row_q4_1` and `quantize_row_q4_1_ref` in GGML's ggml-quants.c.

use super::bits::{copy_words, half_bytes, half_value, pack_nibbles, word};
use super::fit::{inverse, range};

/// Bytes of a block.
pub(super) const BYTES: usize = 20;

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = half_value(block);
    let m = half_value(&block[2..]);
    for (j, byte) in block[4..].iter().enumerate() {
        out[j] = f32::from(byte & 15) * d + m;
        out[j + 16] = f32::from(byte >> 4) * d + m;
    }
}

pub(super) fn quantize(values: &[f32; 32]) -> [u8; BYTES] {
    let (min, max) = range(values);
    let d = (max - min) / 15.0;
    let inverse = inverse(d);
    let codes = std::array::from_fn(|i| (((values[i] - min) * inverse + 0.5) as u8).min(15));
    pack(d, min, &codes)
}

/// The block of a scale, a minimum and codes.
pub(super) fn pack(d: f32, min: f32, codes: &[u8; 32]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(d));
    block[2..4].copy_from_slice(&half_bytes(min));
    block[4..].copy_from_slice(&pack_nibbles(codes));
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    for (block, words) in blocks.iter().zip(quants.as_chunks_mut::<4>().0) {
        copy_words(&block[4..], words);
    }
    for (block, scale) in blocks.iter().zip(scales) {
        *scale = word(block);
    }
}
