//! The 16-byte header of q4_k and q5_k blocks, and the choice of its scales and of the codes.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..2 | `d`, f16: the factor of the scales |
//! | 2..4 | `dmin`, f16: the factor of the minimums |
//! | 4..16 | `sc` and `m`, a 6-bit scale and a 6-bit minimum for each of the 8 sub-blocks |
//!
//! The 12 packed bytes hold, in their low six bits, `sc` 0 to 3 (bytes 0 to 3) and `m` 0 to 3 (bytes
//! 4 to 7). Byte `8 + j` holds the low four bits of `sc` and, above them, those of `m` of sub-block
//! `4 + j`; their upper two bits are the top bits of bytes `j` and `4 + j`.
//!
//! After `get_scale_min_k4` and what `quantize_row_q4_K_ref` and `quantize_row_q5_K_ref` share.

use super::bits::{half_bytes, half_value};
use super::fit::{Search, affine, nearest};

/// Bytes of the header.
pub(super) const BYTES: usize = 16;

/// `(d * sc, dmin * m)` of each sub-block: `value = d * sc * q - dmin * m`.
pub(super) fn decode(header: &[u8]) -> [(f32, f32); 8] {
    let d = half_value(header);
    let dmin = half_value(&header[2..]);
    let packed = &header[4..];
    std::array::from_fn(|i| {
        let (scale, min) = if i < 4 {
            (packed[i] & 63, packed[i + 4] & 63)
        } else {
            (packed[i + 4] & 15 | packed[i - 4] >> 6 << 4, packed[i + 4] >> 4 | packed[i] >> 6 << 4)
        };
        (d * f32::from(scale), dmin * f32::from(min))
    })
}

/// Chooses the header and the codes of a super-block.
pub(super) fn encode(values: &[f32; 256], search: &Search) -> ([u8; BYTES], [u8; 256]) {
    let mut codes = [0; 256];
    let mut lines = [(0.0, 0.0); 8];
    let (blocks, _) = values.as_chunks::<32>();
    for ((block, codes), line) in blocks.iter().zip(codes.as_chunks_mut::<32>().0).zip(&mut lines) {
        *line = affine(block, search, codes);
    }

    let header = pack(&lines);
    choose_again(&header, values, search.top, &mut codes);
    (header, codes)
}

/// Chooses the codes for a header, which rounds the line of each sub-block. A sub-block whose scale became zero keeps its codes,
/// which no longer matter.
pub(super) fn choose_again(header: &[u8; BYTES], values: &[f32; 256], top: f32, codes: &mut [u8; 256]) {
    let blocks = values.as_chunks::<32>().0.iter().zip(codes.as_chunks_mut::<32>().0);
    for ((block, codes), (scale, min)) in blocks.zip(decode(header)) {
        if scale != 0.0 {
            *codes = block.map(|value| nearest((value + min) / scale).clamp(0.0, top) as u8);
        }
    }
}

/// Rounds the scales and minimums of the sub-blocks to 6 bits, relative to the largest.
fn pack(lines: &[(f32, f32); 8]) -> [u8; BYTES] {
    let (mut max_scale, mut max_min) = (0.0, 0.0);
    for &(scale, min) in lines {
        if scale > max_scale {
            max_scale = scale;
        }
        if min > max_min {
            max_min = min;
        }
    }
    let per_scale = if max_scale > 0.0 { 63.0 / max_scale } else { 0.0 };
    let per_min = if max_min > 0.0 { 63.0 / max_min } else { 0.0 };
    let codes =
        lines.map(|(scale, min)| [per_scale * scale, per_min * min].map(|steps| nearest(steps).clamp(0.0, 63.0) as u8));
    pack_codes([max_scale / 63.0, max_min / 63.0], &codes)
}

/// The header of the two factors, and a scale and a minimum of 6 bits for each sub-block.
pub(super) fn pack_codes(factors: [f32; 2], codes: &[[u8; 2]; 8]) -> [u8; BYTES] {
    let mut header = [0; BYTES];
    header[..2].copy_from_slice(&half_bytes(factors[0]));
    header[2..4].copy_from_slice(&half_bytes(factors[1]));
    let packed = &mut header[4..];
    for (i, [scale, min]) in codes.iter().copied().enumerate() {
        if i < 4 {
            packed[i] = scale;
            packed[i + 4] = min;
        } else {
            packed[i + 4] = scale & 15 | min << 4;
            packed[i - 4] |= scale >> 4 << 6;
            packed[i] |= min >> 4 << 6;
        }
    }
    header
}
