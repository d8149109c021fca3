//! The weight formats: GGML's blocks on the CPU side, Lapidary's word arrays on the GPU side.
//!
//! A matrix is stored row by row. On the CPU a row is a run of GGML blocks, as in a GGUF file; the
//! module of each format says what one block holds. [`WeightFormat::dequantize`] and
//! [`WeightFormat::quantize`] follow GGML's reference functions operation by operation in `f32`, so
//! that their results equal GGML's bit for bit.
//!
//! # The GPU layout
//!
//! GGML's blocks have odd sizes (18, 34, 210 bytes), which a shader cannot load well. On the GPU a
//! matrix is therefore two arrays, `quants: array<vec4<u32>>` and `scales: array<u32>`, both row by
//! row and in little-endian words. A row is padded with zeros to whole groups of 32 columns, and to
//! whole super-blocks of 256 columns in the k-quants. In a format with a minimum (q5_1, q4_1, q4_k,
//! q5_k), zeros beside other values of a group decode to numbers only close to zero: up to about half
//! a step away. With `groups = ceil(cols / 32)`, `pairs = ceil(groups / 2)` and
//! `supers = ceil(cols / 256)`, a row holds:
//!
//! | format | `quants`, in vec4 | what they are | `scales`, in words | what they are |
//! | --- | --- | --- | --- | --- |
//! | f32 | 8 · groups | the values' bits | 0 | |
//! | f16, bf16 | 4 · groups | two values per word, the first in the low half | 0 | |
//! | q8_0 | 2 · groups | the 32 signed bytes in order | pairs | `d` of the even group, `d` of the odd group in the high half |
//! | q5_0 | groups | the 16 nibble bytes | 3 · pairs | the fifth bits of the even group, those of the odd group, then both `d` as in q8_0 |
//! | q5_1 | groups | the 16 nibble bytes | 2 · groups | the fifth bits, then `d` with `m` in the high half |
//! | q4_0 | groups | the 16 nibble bytes | pairs | as in q8_0 |
//! | q4_1 | groups | the 16 nibble bytes | groups | `d` with `m` in the high half |
//! | q4_k | 8 · supers | the 128 nibble bytes | 4 · supers | `d` with `dmin` in the high half, then the 12 scale bytes |
//! | q5_k | 10 · supers | the 128 nibble bytes (8 vec4), then the 32 bytes of fifth bits (2) | 4 · supers | as in q4_k |
//! | q6_k | 12 · supers | the 128 nibble bytes (8 vec4), then the 64 bytes of high bit pairs (4) | 5 · supers | the 16 signed scales (4 words), then `d` in the low half |
//!
//! Eight rows are interleaved, block by block: the first blocks of rows 0 to 7, then their second blocks, and so on. A
//! block is a group, a pair of groups (in the scales of q8_0, q5_0 and q4_0) or a super-block. So eight lanes that take
//! one row each read adjacent memory.
//!
//! `d`, `m` and `dmin` are the bits of an f16. In a group's 16 nibble bytes, byte `j` holds value `j`
//! in its low and value `j + 16` in its high nibble. Of q5_0's and q5_1's fifth bits, value `4 j + k`'s is
//! bit `8 k + j`. [`WeightFormat::repack_row`] is lossless: it moves GGML's bits without decoding them.

mod bits;
mod fit;
mod float;
mod matrix;
mod nibbles;
mod nibbles_k;
mod q6_k;
mod q8_0;
mod scale_min;
mod table;
#[cfg(test)]
mod tests;
mod weighted;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, one_of};

use self::table::{CODECS, Codec};

pub use matrix::Matrix;
pub(crate) use matrix::Shard;

/// The format of a matrix of weights.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WeightFormat {
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// 8 bits per value, one scale per 32 values.
    Q8_0,
    /// 5 bits per value, one scale per 32 values.
    Q5_0,
    /// 5 bits per value, scale and minimum per 32 values.
    Q5_1,
    /// 4 bits per value, one scale per 32 values.
    Q4_0,
    /// 4 bits per value, scale and minimum per 32 values.
    Q4_1,
    /// 4 bits per value in super-blocks of 256, 6-bit scale and minimum per 32 values.
    Q4K,
    /// 5 bits per value in super-blocks of 256, 6-bit scale and minimum per 32 values.
    Q5K,
    /// 6 bits per value in super-blocks of 256, 8-bit scale per 16 values.
    Q6K,
}

/// The size of one matrix row in the GPU layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuRow {
    /// Elements of `quants`, each a `vec4<u32>` of 16 bytes.
    pub quant_vec4s: usize,
    /// Elements of `scales`, each a `u32`.
    pub scale_words: usize,
    /// Blocks of `quants` by which rows are interleaved: groups of 32 columns, or super-blocks.
    pub quant_units: usize,
    /// Blocks of `scales` by which rows are interleaved: groups, pairs of groups, or super-blocks. 0 without scales.
    pub scale_units: usize,
}

impl GpuRow {
    /// Bytes of its `quants`.
    pub fn quant_bytes(self) -> u64 {
        16 * self.quant_vec4s as u64
    }

    /// Bytes of its `scales`.
    pub fn scale_bytes(self) -> u64 {
        4 * self.scale_words as u64
    }

    /// Bytes of both.
    pub fn bytes(self) -> u64 {
        self.quant_bytes() + self.scale_bytes()
    }
}

/// The number of interleaved rows. A shard is padded with rows of zeros to a multiple of it.
pub(crate) const ROW_GROUP: usize = 8;

/// Interleaves a row of `blocks` blocks in the GPU layout with the other rows of its [`ROW_GROUP`], in which it is row
/// `index`. `rows` is the memory of the whole group.
pub(crate) fn interleave(row: &[u32], blocks: usize, index: usize, rows: &mut [u32]) {
    if blocks == 0 {
        return;
    }
    let len = row.len() / blocks;
    for (i, words) in row.chunks_exact(len).enumerate() {
        rows[(i * ROW_GROUP + index) * len..][..len].copy_from_slice(words);
    }
}

impl WeightFormat {
    /// Every format.
    pub const ALL: [WeightFormat; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    fn codec(self) -> &'static Codec {
        // A test compares the orders.
        &CODECS[self as usize]
    }

    /// The format's name in settings, which is also the name of its shader module.
    pub fn name(self) -> &'static str {
        self.codec().name
    }

    /// The number by which GGML names the type of a tensor.
    pub(crate) fn ggml_type(self) -> u32 {
        self.codec().ggml.0
    }

    /// The format of the type to which GGML gave this number.
    pub(crate) fn of_ggml_type(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.ggml_type() == number)
    }

    /// The number by which GGUF files name a mix of formats that is mostly this one.
    pub(crate) fn gguf_file_type(self) -> u32 {
        self.codec().ggml.1
    }

    /// Whether the weights are integers with a scale, so that kernels can multiply them as integers.
    pub fn is_integer(self) -> bool {
        self.block_len() > 1
    }

    /// Values per GGML block.
    pub fn block_len(self) -> usize {
        self.codec().block_len
    }

    /// Bytes of a GGML block.
    pub fn block_bytes(self) -> usize {
        self.codec().block_bytes
    }

    /// Bytes of a row of `cols` values in GGML blocks. `None` if `cols` is not a whole number of blocks, or the size
    /// overflows.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        (cols / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Decodes whole GGML blocks. The length of `out` is the number of their values.
    pub fn dequantize(self, blocks: &[u8], out: &mut [f32]) {
        debug_assert_eq!(
            blocks.len() / self.block_bytes() * self.block_len(),
            out.len(),
            "{self}: {} bytes do not decode to {} values",
            blocks.len(),
            out.len(),
        );
        (self.codec().dequantize)(blocks, out);
    }

    /// Appends one row of values as GGML blocks, the last one padded with zeros.
    pub fn quantize(self, values: &[f32], out: &mut Vec<u8>) {
        (self.codec().quantize)(values, out);
    }

    /// The same where some columns matter more: `importance` has the mean squared input of each column, in any unit. Scales and
    /// codes are then searched so that the error of the product is small. Without an importance per value, in formats where
    /// there is nothing to search, and for rows that are no whole blocks, this is [`quantize`](Self::quantize).
    pub fn quantize_weighted(self, values: &[f32], importance: &[f32], out: &mut Vec<u8>) {
        let fits = importance.len() == values.len() && values.len().is_multiple_of(self.block_len());
        match self.codec().quantize_weighted {
            Some(quantize) if fits => match weighted::weights(values, importance) {
                Some(weights) => quantize(values, &weights, out),
                None => self.quantize(values, out),
            },
            _ => self.quantize(values, out),
        }
    }

    /// The size of a row of `cols` values in the GPU layout.
    pub fn gpu_row(self, cols: usize) -> GpuRow {
        let Codec { quants: (vec4s, quant_cols), scales: (words, scale_cols), .. } = self.codec();
        let quant_units = cols.div_ceil(*quant_cols);
        let scale_units = if *words == 0 { 0 } else { cols.div_ceil(*scale_cols) };
        GpuRow { quant_vec4s: vec4s * quant_units, scale_words: words * scale_units, quant_units, scale_units }
    }

    /// Converts one row of GGML blocks to the GPU layout with its padding, before interleaving.
    ///
    /// `row`: `cols` values as [`quantize`](Self::quantize) encodes them; `quants`: `4 * quant_vec4s` words, and
    /// `scales`: `scale_words` words, as [`gpu_row`](Self::gpu_row) gives them.
    pub fn repack_row(self, row: &[u8], cols: usize, quants: &mut [u32], scales: &mut [u32]) {
        let size = self.gpu_row(cols);
        debug_assert_eq!(
            row.len(),
            cols.div_ceil(self.block_len()) * self.block_bytes(),
            "{self}: a row of {cols} columns has the wrong number of bytes",
        );
        debug_assert_eq!(
            (quants.len(), scales.len()),
            (4 * size.quant_vec4s, size.scale_words),
            "{self}: the GPU slices do not fit a row of {cols} columns",
        );
        (self.codec().repack)(row, quants, scales);
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for WeightFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        static EXPECTED: LazyLock<String> = LazyLock::new(|| one_of(&WeightFormat::ALL.map(WeightFormat::name)));
        let known = Self::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or_else(|| Error::Setting { field: "weights", value: text.to_owned(), expected: &EXPECTED })
    }
}
