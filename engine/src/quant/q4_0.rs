//! q4_0: 32 values in 18 bytes, `value = d * (q - 8)`.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..2 | `d`, f16 |
//! | 2..18 | `q`, two per byte: byte `j` holds value `j` low and value `j + 16` high |
//!
//! After `dequantize_row_q4_0` and `quantize_row_q4_0_ref` in GGML's ggml-quants.c.

use super::bits::{copy_words, half_bytes, half_value, pack_nibbles, pair_halves};
use super::fit::{inverse, largest};

/// Bytes of a block.
pub(super) const BYTES: usize = 18;

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = half_value(block);
    for (j, byte) in block[2..].iter().enumerate() {
        out[j] = f32::from((byte & 15) as i8 - 8) * d;
        out[j + 16] = f32::from((byte >> 4) as i8 - 8) * d;
    }
}

pub(super) fn quantize(values: &[f32; 32]) -> [u8; BYTES] {
    // The largest magnitude gets code 0, which is the only one that stands for 8 steps.
    let d = largest(values) / -8.0;
    let inverse = inverse(d);
    let codes = std::array::from_fn(|i| ((values[i] * inverse + 8.5) as i8).clamp(0, 15) as u8);
    pack(d, &codes)
}

/// The block of a scale and codes.
pub(super) fn pack(d: f32, codes: &[u8; 32]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(d));
    block[2..].copy_from_slice(&pack_nibbles(codes));
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    for (block, words) in blocks.iter().zip(quants.as_chunks_mut::<4>().0) {
        copy_words(&block[2..], words);
    }
    for (pair, word) in blocks.chunks(2).zip(scales) {
        *word = pair_halves(pair);
    }
}
