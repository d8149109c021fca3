//! The table of weight formats, one row per format.

use super::{float, nibbles, nibbles_k, q6_k, q8_0};

/// How a format is stored and converted.
pub(super) struct Codec {
    /// Its name in settings, which is also the name of its shader module.
    pub(super) name: &'static str,
    /// The numbers by which GGML names a tensor of this type, and GGUF files name a mix of formats that is mostly this one.
    pub(super) ggml: (u32, u32),
    /// Values per GGML block.
    pub(super) block_len: usize,
    /// Bytes of a GGML block.
    pub(super) block_bytes: usize,
    /// vec4 of quants in the GPU layout, and the columns that they are for.
    pub(super) quants: (usize, usize),
    /// Words of scales in the GPU layout, and the columns that they are for.
    pub(super) scales: (usize, usize),
    /// Decodes whole blocks.
    pub(super) dequantize: fn(&[u8], &mut [f32]),
    /// Appends a row of values as blocks, the last one padded with zeros.
    pub(super) quantize: fn(&[f32], &mut Vec<u8>),
    /// The same where some values matter more: a weight of its error per value. `None` where only rounding is chosen.
    pub(super) quantize_weighted: Option<Weighted>,
    /// Converts a row of blocks to quants and scales of the GPU layout.
    pub(super) repack: fn(&[u8], &mut [u32], &mut [u32]),
}

/// Appends a row of values with weights as blocks.
pub(super) type Weighted = fn(&[f32], &[f32], &mut Vec<u8>);

/// The row of a format whose values are quantized in blocks: its name, its numbers in GGML, the module that converts its
/// blocks, the values and the bytes of a block, and its sizes in the GPU layout.
macro_rules! blocks {
    ($format:ident, $ggml:expr, $module:ident, $len:literal, $bytes:literal, $quants:expr, $scales:expr, weighted) => {
        Codec {
            quantize_weighted: Some(|row, weights, out| {
                weighted_blocks::<$bytes, $len>(row, weights, out, $module::quantize_weighted)
            }),
            ..blocks!($format, $ggml, $module, $len, $bytes, $quants, $scales)
        }
    };
    ($format:ident, $ggml:expr, $module:ident, $len:literal, $bytes:literal, $quants:expr, $scales:expr) => {
        Codec {
            name: stringify!($format),
            ggml: $ggml,
            block_len: $len,
            block_bytes: $bytes,
            quants: $quants,
            scales: $scales,
            dequantize: |blocks, out| each_block::<$bytes, $len>(blocks, out, $module::dequantize),
            quantize: |values, out| append_blocks::<$bytes, $len>(values, out, $module::quantize),
            quantize_weighted: None,
            repack: |row, quants, scales| $module::repack(row.as_chunks::<$bytes>().0, quants, scales),
        }
    };
}

/// The formats in the order of [`WeightFormat::ALL`](super::WeightFormat::ALL).
pub(super) static CODECS: [Codec; 11] = [
    Codec {
        name: "f32",
        ggml: (0, 0),
        block_len: 1,
        block_bytes: 4,
        quants: (8, 32),
        scales: (0, 32),
        dequantize: float::dequantize_f32,
        quantize: float::quantize_f32,
        quantize_weighted: None,
        repack: |row, quants, _| float::repack_f32(row, quants),
    },
    F16,
    Codec { name: "bf16", ggml: (30, 32), dequantize: float::dequantize_bf16, quantize: float::quantize_bf16, ..F16 },
    blocks!(q8_0, (8, 7), q8_0, 32, 34, (2, 32), (1, 64)),
    blocks!(q5_0, (6, 8), nibbles, 32, 22, (1, 32), (3, 64), weighted),
    blocks!(q5_1, (7, 9), nibbles, 32, 24, (1, 32), (2, 32), weighted),
    blocks!(q4_0, (2, 2), nibbles, 32, 18, (1, 32), (1, 64), weighted),
    blocks!(q4_1, (3, 3), nibbles, 32, 20, (1, 32), (1, 32), weighted),
    blocks!(q4_k, (12, 14), nibbles_k, 256, 144, (8, 256), (4, 256), weighted),
    blocks!(q5_k, (13, 16), nibbles_k, 256, 176, (10, 256), (4, 256), weighted),
    blocks!(q6_k, (14, 18), q6_k, 256, 210, (12, 256), (5, 256), weighted),
];

/// bf16 differs in its values.
const F16: Codec = Codec {
    name: "f16",
    ggml: (1, 1),
    block_len: 1,
    block_bytes: 2,
    quants: (4, 32),
    scales: (0, 32),
    dequantize: float::dequantize_f16,
    quantize: float::quantize_f16,
    quantize_weighted: None,
    repack: |row, quants, _| float::repack_16(row, quants),
};

/// Decodes block after block.
fn each_block<const BYTES: usize, const LEN: usize>(
    blocks: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    let (blocks, _) = blocks.as_chunks();
    let (out, _) = out.as_chunks_mut();
    for (block, values) in blocks.iter().zip(out) {
        decode(block, values);
    }
}

/// Encodes block after block, the last one padded with zeros.
fn append_blocks<const BYTES: usize, const LEN: usize>(
    values: &[f32],
    out: &mut Vec<u8>,
    encode: impl Fn(&[f32; LEN]) -> [u8; BYTES],
) {
    out.reserve(values.len().div_ceil(LEN) * BYTES);
    let (whole, rest) = values.as_chunks();
    for block in whole {
        out.extend_from_slice(&encode(block));
    }
    if !rest.is_empty() {
        let mut block = [0.0; LEN];
        block[..rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&encode(&block));
    }
}

/// Encodes block after block with weights. Rows that are no whole blocks are not converted.
fn weighted_blocks<const BYTES: usize, const LEN: usize>(
    values: &[f32],
    weights: &[f32],
    out: &mut Vec<u8>,
    encode: impl Fn(&[f32; LEN], &[f32; LEN]) -> [u8; BYTES],
) {
    for (values, weights) in values.as_chunks().0.iter().zip(weights.as_chunks().0) {
        out.extend_from_slice(&encode(values, weights));
    }
}
