//! q4_k and q5_k: 256 values in 144 and 176 bytes, `value = d * sc * q - dmin * m` with `sc` and `m` for 32 values.
//!
//! | bytes | field | in |
//! | --- | --- | --- |
//! | 16 | `d`, `dmin` and the packed `sc` and `m`: see `scale_min` | both |
//! | 32 | `qh`, the fifth bits of `q`: value `32 * b + j`'s is bit `b` of byte `j` | q5_k |
//! | 128 | the low four bits of `q`: byte `32 * c + j` holds value `64 * c + j` low and value `64 * c + 32 + j` high | both |
//!
//! The size of a block tells the formats apart, so the functions here are generic over it.
//!
//! After `dequantize_row_q4_K` and `quantize_row_q4_K_ref` in GGML's ggml-quants.c, and those of q5_K.

use super::bits::copy_words;
use super::fit::Search;
use super::{scale_min, weighted};

/// The offset of the fifth bits.
const HIGH: usize = scale_min::BYTES;

/// The offset of the low four bits.
const fn low(bytes: usize) -> usize {
    bytes - 128
}

/// Whether blocks of this size have fifth bits.
const fn has_fifth_bits(bytes: usize) -> bool {
    low(bytes) > HIGH
}

/// How the codes are searched for.
const fn search(bytes: usize) -> Search {
    if has_fifth_bits(bytes) {
        Search { top: 31.0, first: -0.5, more: 15 }
    } else {
        Search { top: 15.0, first: -1.0, more: 20 }
    }
}

pub(super) fn dequantize<const BYTES: usize>(block: &[u8; BYTES], out: &mut [f32; 256]) {
    let lines = scale_min::decode(block);
    let (bytes, _) = block[low(BYTES)..].as_chunks::<32>();
    for (c, (bytes, out)) in bytes.iter().zip(out.as_chunks_mut::<64>().0).enumerate() {
        let [(low_scale, low_min), (high_scale, high_min)] = [lines[2 * c], lines[2 * c + 1]];
        for (j, byte) in bytes.iter().enumerate() {
            let fifth = if has_fifth_bits(BYTES) { block[HIGH + j] >> (2 * c) } else { 0 };
            out[j] = low_scale * f32::from(byte & 15 | (fifth & 1) << 4) - low_min;
            out[j + 32] = high_scale * f32::from(byte >> 4 | (fifth & 2) << 3) - high_min;
        }
    }
}

pub(super) fn quantize<const BYTES: usize>(values: &[f32; 256]) -> [u8; BYTES] {
    pack(scale_min::encode(values, &search(BYTES)))
}

pub(super) fn quantize_weighted<const BYTES: usize>(values: &[f32; 256], weights: &[f32; 256]) -> [u8; BYTES] {
    pack(weighted::scales_and_minimums(values, weights, search(BYTES).top))
}

/// The block of a header and codes.
fn pack<const BYTES: usize>((header, codes): ([u8; scale_min::BYTES], [u8; 256])) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..HIGH].copy_from_slice(&header);
    if has_fifth_bits(BYTES) {
        for (b, codes) in codes.as_chunks::<32>().0.iter().enumerate() {
            for (high, code) in block[HIGH..low(BYTES)].iter_mut().zip(codes) {
                *high |= code >> 4 << b;
            }
        }
    }
    let (bytes, _) = block[low(BYTES)..].as_chunks_mut::<32>();
    for (bytes, codes) in bytes.iter_mut().zip(codes.as_chunks::<64>().0) {
        *bytes = std::array::from_fn(|j| codes[j] & 15 | codes[j + 32] << 4);
    }
    block
}

pub(super) fn repack<const BYTES: usize>(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    let quants = quants.chunks_exact_mut((BYTES - HIGH) / 4);
    let (scales, _) = scales.as_chunks_mut::<4>();
    for ((block, quants), scales) in blocks.iter().zip(quants).zip(scales) {
        copy_words(&block[..HIGH], scales);
        // The shader reads the low bits first.
        let (low_words, high_words) = quants.split_at_mut(32);
        copy_words(&block[low(BYTES)..], low_words);
        copy_words(&block[HIGH..low(BYTES)], high_words);
    }
}
