//! q5_0: 32 values in 22 bytes, `value = d * (q - 16)`.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..2 | `d`, f16 |
//! | 2..6 | `qh`, the fifth bits of `q`: value `j`'s is bit `j` of this word |
//! | 6..22 | the low four bits of `q`: byte `j` holds value `j` low and value `j + 16` high |
//!
//! After `dequantize_row_q5_0` and `quantize_row_q5_0_ref` in GGML's ggml-quants.c.

use super::bits::{
    copy_words, fifth_bits_by_byte, half_bytes, half_value, pack_fifth_bits, pack_nibbles, pair_halves,
    unpack_five_bits, word,
};
use super::fit::{inverse, largest};

/// Bytes of a block.
pub(super) const BYTES: usize = 22;

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let d = half_value(block);
    let codes = unpack_five_bits(&block[6..], word(&block[2..]));
    for (value, code) in out.iter_mut().zip(codes) {
        *value = f32::from(code as i8 - 16) * d;
    }
}

pub(super) fn quantize(values: &[f32; 32]) -> [u8; BYTES] {
    // The largest magnitude gets code 0, which is the only one that stands for 16 steps.
    let d = largest(values) / -16.0;
    let inverse = inverse(d);
    let codes = std::array::from_fn(|i| ((values[i] * inverse + 16.5) as i8).clamp(0, 31) as u8);
    pack(d, &codes)
}

/// The block of a scale and codes.
pub(super) fn pack(d: f32, codes: &[u8; 32]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&half_bytes(d));
    block[2..6].copy_from_slice(&pack_fifth_bits(codes).to_le_bytes());
    block[6..].copy_from_slice(&pack_nibbles(codes));
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    for (block, words) in blocks.iter().zip(quants.as_chunks_mut::<4>().0) {
        copy_words(&block[6..], words);
    }
    for (pair, words) in blocks.chunks(2).zip(scales.as_chunks_mut::<3>().0) {
        let odd = pair.get(1).map_or(0, |odd| fifth_bits_by_byte(word(&odd[2..])));
        *words = [fifth_bits_by_byte(word(&pair[0][2..])), odd, pair_halves(pair)];
    }
}
