//! f32, f16 and bf16: plain little-endian floats, a block being one value of 4 or 2 bytes.
//!
//! Rounding to 16 bits goes to the nearest value, ties to even, as in GGML's `ggml_fp32_to_fp16_row`
//! and `ggml_fp32_to_bf16_row`.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::bits::copy_words;

/// Values converted at a time, so that the processor's vector conversion is used.
const CHUNK: usize = 256;

pub(super) fn dequantize_f32(bytes: &[u8], out: &mut [f32]) {
    for (bytes, value) in bytes.as_chunks().0.iter().zip(out) {
        *value = f32::from_le_bytes(*bytes);
    }
}

pub(super) fn dequantize_f16(bytes: &[u8], out: &mut [f32]) {
    // The bytes may be unaligned, so they are copied to an aligned buffer first.
    let mut halves = [f16::ZERO; CHUNK];
    for (bytes, values) in bytes.chunks(2 * CHUNK).zip(out.chunks_mut(CHUNK)) {
        for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks().0) {
            *half = f16::from_le_bytes(*bytes);
        }
        halves[..values.len()].convert_to_f32_slice(values);
    }
}

pub(super) fn dequantize_bf16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, value) in bytes.as_chunks().0.iter().zip(out) {
        *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
    }
}

pub(super) fn quantize_f32(values: &[f32], out: &mut Vec<u8>) {
    for (bytes, value) in append(out, values.len()).iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
}

pub(super) fn quantize_f16(values: &[f32], out: &mut Vec<u8>) {
    let mut halves = [f16::ZERO; CHUNK];
    let bytes = append(out, values.len());
    for (bytes, values) in bytes.chunks_mut(CHUNK).zip(values.chunks(CHUNK)) {
        halves[..values.len()].convert_from_f32_slice(values);
        for (bytes, half) in bytes.iter_mut().zip(&halves) {
            *bytes = half.to_le_bytes();
        }
    }
}

pub(super) fn quantize_bf16(values: &[f32], out: &mut Vec<u8>) {
    for (bytes, value) in append(out, values.len()).iter_mut().zip(values) {
        *bytes = bf16::from_f32(*value).to_le_bytes();
    }
}

pub(super) fn repack_f32(row: &[u8], quants: &mut [u32]) {
    let (values, padding) = quants.split_at_mut(row.len() / 4);
    copy_words(row, values);
    padding.fill(0);
}

/// f16 and bf16. If the number of values is odd, the last one fills a word alone.
pub(super) fn repack_16(row: &[u8], quants: &mut [u32]) {
    let (words, rest) = row.as_chunks::<4>();
    let (values, padding) = quants.split_at_mut(words.len());
    copy_words(row, values);
    padding.fill(0);
    if let (Some(word), [low, high]) = (padding.first_mut(), rest) {
        *word = u32::from(u16::from_le_bytes([*low, *high]));
    }
}

/// Appends `count` zeroed blocks of `BYTES` bytes to `out` and returns them.
fn append<const BYTES: usize>(out: &mut Vec<u8>, count: usize) -> &mut [[u8; BYTES]] {
    let start = out.len();
    out.resize(start + count * BYTES, 0);
    out[start..].as_chunks_mut().0
}
