//! q6_k: 256 values in 210 bytes, `value = d * sc * (q - 32)` with `sc` for 16 values.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..128 | `ql`, the low four bits of `q` |
//! | 128..192 | `qh`, the high two bits of `q` |
//! | 192..208 | `sc`, 16 signed bytes |
//! | 208..210 | `d`, f16 |
//!
//! Each half of 128 values has 64 bytes of `ql` and 32 bytes of `qh`. Value `32 * s + j` of a half
//! (`s` from 0 to 3) has its low bits in byte `32 * (s % 2) + j` of `ql`, in the low nibble for `s`
//! under 2 and the high nibble above, and its high bits in byte `j` of `qh`, from bit `2 * s` on.
//!
//! After `dequantize_row_q6_K` and `quantize_row_q6_K_ref` in GGML's ggml-quants.c.

use super::bits::{copy_words, half_bits, half_bytes, half_value};
use super::fit::{TINY, largest, nearest, symmetric};
use super::weighted;

/// Bytes of a block.
const BYTES: usize = 210;

/// The offset of the high bits.
const HIGH: usize = 128;
/// The offset of the sub-blocks' scales.
const SCALES: usize = 192;
/// The offset of the super-block's scale.
const D: usize = 208;

pub(super) fn dequantize(block: &[u8; BYTES], out: &mut [f32; 256]) {
    let d = half_value(&block[D..]);
    let scales: [f32; 16] = std::array::from_fn(|i| d * f32::from(block[SCALES + i] as i8));
    let (low, _) = block[..HIGH].as_chunks::<64>();
    let (high, _) = block[HIGH..SCALES].as_chunks::<32>();
    for (half, out) in out.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let (low, high) = (&low[half], &high[half]);
        for (s, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let low = &low[s % 2 * 32..][..32];
            let scales = &scales[half * 8 + s * 2..][..2];
            for (j, value) in out.iter_mut().enumerate() {
                let code = low[j] >> (s / 2 * 4) & 15 | (high[j] >> (2 * s) & 3) << 4;
                *value = scales[j / 16] * f32::from(code as i8 - 32);
            }
        }
    }
}

pub(super) fn quantize(values: &[f32; 256]) -> [u8; BYTES] {
    let mut codes = [0; 256];
    let mut scales = [0.0; 16];
    let (groups, _) = values.as_chunks::<16>();
    let (group_codes, _) = codes.as_chunks_mut::<16>();
    for ((group, codes), scale) in groups.iter().zip(&mut *group_codes).zip(&mut scales) {
        *scale = symmetric(group, codes);
    }

    pack(values, &scales, &mut codes)
}

pub(super) fn quantize_weighted(values: &[f32; 256], weights: &[f32; 256]) -> [u8; BYTES] {
    let (mut scales, mut codes) = ([0.0; 16], [0; 256]);
    let groups = values.as_chunks::<16>().0.iter().zip(weights.as_chunks::<16>().0);
    for ((scale, codes), (values, weights)) in scales.iter_mut().zip(codes.as_chunks_mut::<16>().0).zip(groups) {
        let signed;
        (*scale, signed) = weighted::symmetric(values, weights, 32.0);
        *codes = signed.map(|code| (code + 32.0) as u8);
    }
    pack(values, &scales, &mut codes)
}

/// The block of a scale per 16 values, which are rounded to 8 bits, and codes. Those are chosen again for the rounded scales.
fn pack(values: &[f32; 256], scales: &[f32; 16], codes: &mut [u8; 256]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    let max_scale = largest(scales);
    if max_scale.abs() < TINY {
        return block;
    }
    let per_scale = -128.0 / max_scale;
    block[D..].copy_from_slice(&half_bytes(1.0 / per_scale));
    let d = half_value(&block[D..]);
    let (groups, _) = values.as_chunks::<16>();
    let (group_codes, _) = codes.as_chunks_mut::<16>();
    for (i, (group, codes)) in groups.iter().zip(group_codes).enumerate() {
        let stored = nearest(per_scale * scales[i]).clamp(-128.0, 127.0) as i8;
        block[SCALES + i] = stored as u8;
        // The block rounds the scales, so the codes are chosen again. A group whose scale became zero keeps its codes,
        // which no longer matter.
        let scale = d * f32::from(stored);
        if scale != 0.0 {
            for (code, value) in codes.iter_mut().zip(group) {
                *code = (nearest(value / scale).clamp(-32.0, 31.0) + 32.0) as u8;
            }
        }
    }

    let (low, high) = block[..SCALES].split_at_mut(HIGH);
    for (half, codes) in codes.as_chunks::<128>().0.iter().enumerate() {
        let (low, high) = (&mut low[half * 64..][..64], &mut high[half * 32..][..32]);
        for j in 0..32 {
            let [a, b, c, d] = [codes[j], codes[j + 32], codes[j + 64], codes[j + 96]];
            low[j] = a & 15 | c << 4;
            low[j + 32] = b & 15 | d << 4;
            high[j] = a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6;
        }
    }
    block
}

pub(super) fn repack(blocks: &[[u8; BYTES]], quants: &mut [u32], scales: &mut [u32]) {
    let (quants, _) = quants.as_chunks_mut::<48>();
    let (scales, _) = scales.as_chunks_mut::<5>();
    for ((block, quants), scales) in blocks.iter().zip(quants).zip(scales) {
        copy_words(&block[..SCALES], quants);
        copy_words(&block[SCALES..D], scales);
        scales[4] = half_bits(&block[D..]);
    }
}
