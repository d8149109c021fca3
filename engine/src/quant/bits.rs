//! Small helpers to read and write the fields of a block.

use half::f16;

/// The f16 field that starts at `bytes[0]`, as bits in the low half of a word.
pub(super) fn half_bits(bytes: &[u8]) -> u32 {
    u32::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// The f16 field that starts at `bytes[0]`, as a value.
pub(super) fn half_value(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// A value as the two bytes of an f16 field.
pub(super) fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

/// The 32-bit field that starts at `bytes[0]`.
pub(super) fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Copies bytes into little-endian words.
pub(super) fn copy_words(bytes: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
}

/// One word per pair of blocks: the f16 at the start of each block, the even block's in the low half. If the number of
/// blocks is odd, the last high half is zero.
pub(super) fn pair_halves<const BYTES: usize>(pair: &[[u8; BYTES]]) -> u32 {
    half_bits(&pair[0]) | pair.get(1).map_or(0, |odd| half_bits(odd)) << 16
}

/// The low four bits of 32 codes as 16 bytes: code `j` low, code `j + 16` high.
pub(super) fn pack_nibbles(codes: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|j| (codes[j] & 15) | (codes[j + 16] << 4))
}

/// The fifth bits of 32 codes, code `j`'s in bit `j`.
pub(super) fn pack_fifth_bits(codes: &[u8; 32]) -> u32 {
    (0..32).fold(0, |bits, j| bits | u32::from(codes[j] >> 4 & 1) << j)
}

/// Fifth bits in the GPU layout: value `4 j + k`'s is bit `8 k + j`, so that a shift and a mask move the bits of four
/// neighbours to four bytes.
pub(super) fn fifth_bits_by_byte(qh: u32) -> u32 {
    (0..32).fold(0, |bits, i| bits | (qh >> i & 1) << (8 * (i % 4) + i / 4))
}

/// The reverse of [`pack_nibbles`] and [`pack_fifth_bits`].
pub(super) fn unpack_codes(nibbles: &[u8], fifth: u32) -> [u8; 32] {
    let mut codes = [0; 32];
    for j in 0..16 {
        codes[j] = (nibbles[j] & 15) | ((fifth >> j & 1) as u8) << 4;
        codes[j + 16] = (nibbles[j] >> 4) | ((fifth >> (j + 16) & 1) as u8) << 4;
    }
    codes
}
