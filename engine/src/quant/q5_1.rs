//! q5_1: 32 values in 24 bytes, `value = d * q + m`.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..2 | `d`, f16 |
//! | 2..4 | `m`, f16 |
//! | 4..8 | `qh`, the fifth bits of `q`: value `j`'s is bit `j` of this word |
//! | 8..24 | the low four bits of `q`: byte `j` holds value `j` low and value `j + 16` high |
//!
//! After `dequantize_row_q5_1` and `quantize_row_q5_1_ref` in GGML's ggml-quants.c.

use super::bits::{
    copy_words, fifth_bits_by_byte, half_bytes, half_value, pack_fifth_bits, pack_nibbles, unpack_five_bits, word,
};
use super::fit::{inverse, range};

/// Bytes of a block.
pub(super) const BYTES: usize = 24;

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = half_value(block);
    let m = half_value(&block[2..]);
    let codes = unpack_five_bits(&block[8..], word(&block[4..]));
    for (value, code) in out.iter_mut().zip(codes) {
        *value = f32::from(code) * d + m;
    }
}

pub(super) fn quantize(values: &[f32; 32]) -> [u8; BYTES] {
    let (min, max) = range(values);
    let d = (max - min) / 31.0;
    let inverse = inverse(d);
    let codes = std::array::from_fn(|i| (((values[i] - min) * inverse + 0.5) as u8).min(31));
    pack(d, min, &codes)
}

/// The block of a scale, a minimum and codes.
pub(super) fn pack(d: f32, min: f32, codes: &[u8; 32]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(d));
    block[2..4].copy_from_slice(&half_bytes(min));
    block[4..8].copy_from_slice(&pack_fifth_bits(codes).to_le_bytes());
    block[8..].copy_from_slice(&pack_nibbles(codes));
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    for (block, words) in blocks.iter().zip(quants.as_chunks_mut::<4>().0) {
        copy_words(&block[8..], words);
    }
    for (block, words) in blocks.iter().zip(scales.as_chunks_mut::<2>().0) {
        *words = [fifth_bits_by_byte(word(&block[4..])), word(block)];
    }
}
