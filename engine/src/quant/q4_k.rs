//! q4_k: 256 values in 144 bytes, `value = d * sc * q - dmin * m` with `sc` and `m` for 32 values.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..16 | `d`, `dmin` and the packed `sc` and `m`: see `scale_min` |
//! | 16..144 | `q`, two per byte: byte `32 * c + j` holds value `64 * c + j` low and value `64 * c + 32 + j` high |
//!
//! After `dequantize_row_q4_K` and `quantize_row_q4_K_ref` in GGML's ggml-quants.c.

use super::bits::copy_words;
use super::fit::Search;
use super::{scale_min, weighted};

/// Bytes of a block.
pub(super) const BYTES: usize = 144;

const SEARCH: Search = Search { top: 15.0, first: -1.0, more: 20 };

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 256]) {
    let lines = scale_min::decode(block);
    let (bytes, _) = block[scale_min::BYTES..].as_chunks::<32>();
    for (c, (bytes, out)) in bytes.iter().zip(out.as_chunks_mut::<64>().0).enumerate() {
        let [(low_scale, low_min), (high_scale, high_min)] = [lines[2 * c], lines[2 * c + 1]];
        for (j, byte) in bytes.iter().enumerate() {
            out[j] = low_scale * f32::from(byte & 15) - low_min;
            out[j + 32] = high_scale * f32::from(byte >> 4) - high_min;
        }
    }
}

pub(super) fn quantize(values: &[f32; 256]) -> [u8; BYTES] {
    let (header, codes) = scale_min::encode(values, &SEARCH);
    pack(&header, &codes)
}

pub(super) fn quantize_weighted(values: &[f32; 256], weights: &[f32; 256]) -> [u8; BYTES] {
    let (header, codes) = weighted::scales_and_minimums(values, weights, SEARCH.top);
    pack(&header, &codes)
}

/// The block of a header and codes.
fn pack(header: &[u8; scale_min::BYTES], codes: &[u8; 256]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..scale_min::BYTES].copy_from_slice(header);
    let (bytes, _) = block[scale_min::BYTES..].as_chunks_mut::<32>();
    for (bytes, codes) in bytes.iter_mut().zip(codes.as_chunks::<64>().0) {
        *bytes = std::array::from_fn(|j| codes[j] | codes[j + 32] << 4);
    }
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    let (quants, _) = quants.as_chunks_mut::<32>();
    let (scales, _) = scales.as_chunks_mut::<4>();
    for ((block, quants), scales) in blocks.iter().zip(quants).zip(scales) {
        copy_words(&block[..scale_min::BYTES], scales);
        copy_words(&block[scale_min::BYTES..], quants);
    }
}
