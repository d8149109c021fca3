use super::WeightFormat::{self, *};

/// Column counts with incomplete groups, incomplete super-blocks and odd numbers of groups.
const COLS: [usize; 7] = [1, 32, 72, 200, 256, 640, 2304];

/// Values between 0 and 1, from a linear congruential generator.
pub(super) fn uniform(count: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (seed >> 40) as f32 / (1 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// Normally distributed values, by the central limit theorem.
fn gaussian(count: usize, seed: u64) -> Vec<f32> {
    uniform(12 * count, seed).chunks(12).map(|values| values.iter().sum::<f32>() - 6.0).collect()
}

#[test]
fn rows_of_the_table_are_in_the_order_of_the_formats() {
    for (i, format) in WeightFormat::ALL.into_iter().enumerate() {
        assert_eq!(format as usize, i, "{format:?}");
        assert_eq!(format.name().replace('_', ""), format!("{format:?}").to_lowercase().replace('_', ""));
    }
}

fn quantized(format: WeightFormat, values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format.quantize(values, &mut bytes);
    bytes
}

pub(super) fn dequantized(format: WeightFormat, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![f32::NAN; bytes.len() / format.block_bytes() * format.block_len()];
    format.dequantize(bytes, &mut values);
    values
}

/// The bytes of an f16.
fn half(value: f32) -> [u8; 2] {
    half::f16::from_f32(value).to_le_bytes()
}

/// Reads one value of a row in the GPU layout, as a shader does. It uses only the table in `mod.rs`.
fn gpu_value(format: WeightFormat, quants: &[u32], scales: &[u32], col: usize) -> f32 {
    let float = |bits: u32| half::f16::from_bits(bits as u16).to_f32();
    let (group, i) = (col / 32, col % 32);
    let (sup, k) = (col / 256, col % 256);
    let pair_scale = |word: u32| float(word >> (16 * (group % 2)));
    // Byte `at` of the row's quants.
    let byte = |at: usize| quants[at / 4] >> (8 * (at % 4)) & 255;
    let nibble = |i: usize| (byte(group * 16 + i % 16) >> (4 * (i / 16)) & 15) as f32;
    // The 6-bit scale and minimum of sub-block b, in 12 bytes from word 1 on.
    let line = |b: usize| {
        let packed = |at: usize| scales[sup * 4 + 1 + at / 4] >> (8 * (at % 4)) & 255;
        let (sc, m) = if b < 4 {
            (packed(b) & 63, packed(b + 4) & 63)
        } else {
            (packed(b + 4) & 15 | packed(b - 4) >> 6 << 4, packed(b + 4) >> 4 | packed(b) >> 6 << 4)
        };
        let head = scales[sup * 4];
        (float(head) * sc as f32, float(head >> 16) * m as f32)
    };
    match format {
        F32 => f32::from_bits(quants[col]),
        F16 => float(quants[col / 2] >> (16 * (col % 2))),
        Bf16 => f32::from_bits(quants[col / 2] >> (16 * (col % 2)) << 16),
        Q8_0 => f32::from(byte(col) as i8) * pair_scale(scales[group / 2]),
        Q4_0 => (nibble(i) - 8.0) * pair_scale(scales[group / 2]),
        Q4_1 => nibble(i) * float(scales[group]) + float(scales[group] >> 16),
        Q5_0 => {
            let words = &scales[group / 2 * 3..][..3];
            let fifth = (words[group % 2] >> (8 * (i % 4) + i / 4) & 1) as f32;
            (nibble(i) + 16.0 * fifth - 16.0) * pair_scale(words[2])
        }
        Q5_1 => {
            let words = &scales[group * 2..][..2];
            let fifth = (words[0] >> (8 * (i % 4) + i / 4) & 1) as f32;
            (nibble(i) + 16.0 * fifth) * float(words[1]) + float(words[1] >> 16)
        }
        Q4K => {
            let (scale, min) = line(k / 32);
            let low = byte(sup * 128 + k / 64 * 32 + k % 32) >> (4 * (k / 32 % 2)) & 15;
            scale * low as f32 - min
        }
        Q5K => {
            let (scale, min) = line(k / 32);
            let low = byte(sup * 160 + k / 64 * 32 + k % 32) >> (4 * (k / 32 % 2)) & 15;
            let fifth = byte(sup * 160 + 128 + k % 32) >> (k / 32) & 1;
            scale * (low | fifth << 4) as f32 - min
        }
        Q6K => {
            let (half, s, j) = (k / 128, k % 128 / 32, k % 32);
            let low = byte(sup * 192 + half * 64 + s % 2 * 32 + j) >> (4 * (s / 2)) & 15;
            let high = byte(sup * 192 + 128 + half * 32 + j) >> (2 * s) & 3;
            let sub = k / 16;
            let sc = (scales[sup * 5 + sub / 4] >> (8 * (sub % 4)) & 255) as i8;
            float(scales[sup * 5 + 4]) * f32::from(sc) * ((low | high << 4) as f32 - 32.0)
        }
    }
}

#[test]
fn names_round_trip() {
    for format in WeightFormat::ALL {
        assert_eq!(format.to_string().parse::<WeightFormat>().unwrap(), format);
    }
    let error = "q3_k".parse::<WeightFormat>().unwrap_err().to_string();
    for format in WeightFormat::ALL {
        assert!(error.contains(format.name()), "{error}");
    }
}

#[test]
fn row_bytes_counts_whole_blocks() {
    assert_eq!(Bf16.row_bytes(3), Some(6));
    assert_eq!(Q8_0.row_bytes(2304), Some(72 * 34));
    assert_eq!(Q8_0.row_bytes(40), None);
    assert_eq!(Q6K.row_bytes(2304), Some(9 * 210));
    assert_eq!(Q6K.row_bytes(128), None);
    assert_eq!(F32.row_bytes(usize::MAX), None);
}

#[test]
fn quantization_error_is_small() {
    // Root mean square error on N(0, 1) data. Each bound is about 3 % above the error of GGML's quantizers, so that a
    // slightly wrong scale or an incomplete search fails.
    let bounds = [
        (F32, 0.0),
        (F16, 2.15e-4),
        (Bf16, 1.72e-3),
        (Q8_0, 5.43e-3),
        (Q5_0, 4.34e-2),
        (Q5_1, 3.88e-2),
        (Q4_0, 8.71e-2),
        (Q4_1, 8.02e-2),
        (Q4K, 7.29e-2),
        (Q5K, 3.70e-2),
        (Q6K, 1.81e-2),
    ];
    let values = gaussian(256 * 256, 1);
    for (format, bound) in bounds {
        // The error scales with the values.
        for factor in [1.0, 0.02] {
            let values: Vec<f32> = values.iter().map(|v| v * factor).collect();
            let decoded = dequantized(format, &quantized(format, &values));
            let squares = values.iter().zip(&decoded).map(|(a, b)| f64::from(a - b).powi(2));
            let error = (squares.sum::<f64>() / values.len() as f64).sqrt() / f64::from(factor);
            assert!(error <= bound, "{format}: {error}");
            assert!(error >= 0.9 * bound, "{format}: {error} is too good to be true");
        }
    }
}

#[test]
fn decoding_loses_nothing_that_encoding_needs() {
    // If the largest magnitude has its own code, quantizing again gives the same scale and codes.
    let values = gaussian(256 * 20, 2);
    for format in [F32, F16, Bf16, Q8_0, Q5_0, Q4_0] {
        let once = quantized(format, &values);
        assert_eq!(quantized(format, &dequantized(format, &once)), once, "{format}");
    }
}

#[test]
fn the_gpu_layout_decodes_to_the_same_values() {
    for format in WeightFormat::ALL {
        for cols in COLS {
            let values = gaussian(cols, 3 + cols as u64);
            let row = quantized(format, &values);
            let decoded = dequantized(format, &row);
            let size = format.gpu_row(cols);
            // The slices' previous contents must not matter.
            let mut quants = vec![0xDEAD_BEEF; 4 * size.quant_vec4s];
            let mut scales = vec![0xDEAD_BEEF; size.scale_words];
            format.repack_row(&row, cols, &mut quants, &mut scales);

            let pad = if format.block_len() == 256 { 256 } else { 32 };
            for col in 0..cols.next_multiple_of(pad) {
                let value = gpu_value(format, &quants, &scales, col);
                let expected = decoded.get(col).copied().unwrap_or(0.0);
                assert_eq!(value.to_bits(), expected.to_bits(), "{format}, {col} of {cols}");
            }
            // An odd number of groups leaves half a word.
            let odd = cols.div_ceil(32) % 2 == 1;
            match format {
                Q8_0 | Q4_0 | Q5_0 if odd => assert_eq!(scales[size.scale_words - 1] >> 16, 0),
                _ => {}
            }
            if format == Q5_0 && odd {
                assert_eq!(scales[size.scale_words - 2], 0);
            }
        }
    }
}

#[test]
fn odd_rows_are_padded_with_zeros() {
    for format in WeightFormat::ALL {
        for cols in [72, 200, 640] {
            let values = gaussian(cols, 4);
            let mut padded = values.clone();
            padded.resize(cols.next_multiple_of(format.block_len()), 0.0);
            assert_eq!(quantized(format, &values), quantized(format, &padded), "{format}");
        }
    }
}

#[test]
fn extreme_values_do_not_panic() {
    let extremes = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45, -1e-30];
    for format in WeightFormat::ALL {
        for (i, value) in extremes.into_iter().enumerate() {
            let mut one = gaussian(256, 5);
            one[7 * i] = value;
            dequantized(format, &quantized(format, &one));
            dequantized(format, &quantized(format, &[value; 256]));
        }
        dequantized(format, &quantized(format, &extremes));
        let zeros = dequantized(format, &quantized(format, &[0.0; 256]));
        assert!(zeros.iter().all(|&value| value == 0.0), "{format}");
        assert!(quantized(format, &[]).is_empty());
    }
}

#[test]
fn known_float_blocks() {
    assert_eq!(dequantized(F32, &[0, 0, 0xC0, 0x3F]), [1.5]);
    assert_eq!(dequantized(F16, &[0x00, 0x3E, 0x01, 0x00]), [1.5, 2.0_f32.powi(-24)]);
    assert_eq!(dequantized(Bf16, &[0xC0, 0xBF]), [-1.5]);
    // Halfway between two neighbours, the even one wins.
    assert_eq!(quantized(F16, &[1.0 + 2.0_f32.powi(-11)]), [0x00, 0x3C]);
    assert_eq!(quantized(F16, &[1.0 + 3.0 * 2.0_f32.powi(-11)]), [0x02, 0x3C]);
    assert_eq!(quantized(Bf16, &[1.0 + 2.0_f32.powi(-8)]), [0x80, 0x3F]);
    assert_eq!(quantized(Bf16, &[1.0 + 3.0 * 2.0_f32.powi(-8)]), [0x82, 0x3F]);
}

#[test]
fn known_simple_blocks() {
    // All codes differ, so that each value identifies its place.
    let nibbles: Vec<u8> = (0..16).map(|j| j | (15 - j) << 4).collect();
    let code = |i: usize| if i < 16 { i as f32 } else { 31.0 - i as f32 };
    // Fifth bits for values 0, 17 and 31.
    let fifth = 0x8002_0001_u32.to_le_bytes();
    let five = |i: usize| code(i) + if [0, 17, 31].contains(&i) { 16.0 } else { 0.0 };

    let block = [&half(0.5)[..], &(0..32).map(|i| (i * 8 - 128) as u8).collect::<Vec<_>>()].concat();
    let values = dequantized(Q8_0, &block);
    assert_eq!(values, (0..32).map(|i| (i * 4 - 64) as f32).collect::<Vec<_>>());

    let values = dequantized(Q4_0, &[&half(0.25)[..], &nibbles].concat());
    assert_eq!(values, (0..32).map(|i| 0.25 * (code(i) - 8.0)).collect::<Vec<_>>());

    let values = dequantized(Q4_1, &[&half(0.25)[..], &half(-3.0), &nibbles].concat());
    assert_eq!(values, (0..32).map(|i| 0.25 * code(i) - 3.0).collect::<Vec<_>>());

    let values = dequantized(Q5_0, &[&half(0.25)[..], &fifth, &nibbles].concat());
    assert_eq!(values, (0..32).map(|i| 0.25 * (five(i) - 16.0)).collect::<Vec<_>>());

    let values = dequantized(Q5_1, &[&half(0.25)[..], &half(7.0), &fifth, &nibbles].concat());
    assert_eq!(values, (0..32).map(|i| 0.25 * five(i) + 7.0).collect::<Vec<_>>());
}

/// Scales 33, 2, 19, 60, 1, 45, 16, 63 and minimums 5, 62, 0, 31, 48, 15, 63, 20, packed by hand.
const PACKED: [u8; 12] = [
    0x21, 0x82, 0x53, 0xFC, // scales 0 to 3, top bits of scales 4 to 7: 0, 2, 1, 3
    0xC5, 0x3E, 0xC0, 0x5F, // minimums 0 to 3, top bits of minimums 4 to 7: 3, 0, 3, 1
    0x01, 0xFD, 0xF0, 0x4F, // low bits of scales 4 to 7 and, above, of minimums 4 to 7
];
const SCALES: [f32; 8] = [33.0, 2.0, 19.0, 60.0, 1.0, 45.0, 16.0, 63.0];
const MINS: [f32; 8] = [5.0, 62.0, 0.0, 31.0, 48.0, 15.0, 63.0, 20.0];

#[test]
fn known_k_blocks() {
    let head = [&half(0.5)[..], &half(0.25), &PACKED].concat();
    // Byte 32 c + j: c + 1 in the low nibble, j % 16 in the high one.
    let nibbles: Vec<u8> = (0..128).map(|at| ((at / 32 + 1) + at % 16 * 16) as u8).collect();
    let code = |i: usize| if i % 64 < 32 { i / 64 + 1 } else { i % 16 };
    let line = |i: usize, code: usize| 0.5 * SCALES[i / 32] * code as f32 - 0.25 * MINS[i / 32];

    let values = dequantized(Q4K, &[&head[..], &nibbles].concat());
    assert_eq!(values, (0..256).map(|i| line(i, code(i))).collect::<Vec<_>>());

    // Fifth bits: byte j has bit j % 8 set, so value i has one where its sub-block is i % 8.
    let high: Vec<u8> = (0..32).map(|j| 1 << (j % 8)).collect();
    let values = dequantized(Q5K, &[&head[..], &high, &nibbles].concat());
    let five = |i: usize| code(i) + if i / 32 == i % 8 { 16 } else { 0 };
    assert_eq!(values, (0..256).map(|i| line(i, five(i))).collect::<Vec<_>>());

    // q6_k: all low bits 9 below and 4 above, high bits 0, 1, 2, 3 in the four strips of 32.
    let scales: Vec<u8> = (0..16).map(|i| (i * 16 - 128) as u8).collect();
    let block = [&[0x49; 128][..], &[0b1110_0100; 64], &scales, &half(0.125)].concat();
    let values = dequantized(Q6K, &block);
    let six = |i: usize| [9.0, 16.0 + 9.0, 32.0 + 4.0, 48.0 + 4.0][i % 128 / 32] - 32.0;
    let scale = |i: usize| 0.125 * ((i / 16) as f32 * 16.0 - 128.0);
    assert_eq!(values, (0..256).map(|i| scale(i) * six(i)).collect::<Vec<_>>());
}

#[test]
fn known_quantized_blocks() {
    // A ramp whose scale is a power of two is stored without loss.
    let ramp: Vec<f32> = (0..32).map(|i| 0.5 * (i as f32 - 16.0)).collect();
    for format in [Q5_0, Q5_1] {
        assert_eq!(dequantized(format, &quantized(format, &ramp)), ramp, "{format}");
    }
    let block = quantized(Q5_0, &ramp);
    assert_eq!(block[..6], [&half(0.5)[..], &0xFFFF_0000_u32.to_le_bytes()].concat());
    assert_eq!(block[6..], (0..16).map(|j| j * 17).collect::<Vec<u8>>());

    // Ties go away from zero in q8_0: 0.5 becomes 1 and -2.5 becomes -3.
    let mut values = [0.0; 32];
    values[..4].copy_from_slice(&[127.0, 0.5, -2.5, 0.499_999_97]);
    assert_eq!(quantized(Q8_0, &values)[..6], [0x00, 0x3C, 127, 1, 253, 0]);

    // Sixteen levels of 1 from -8 on, the largest magnitude being negative.
    let levels: Vec<f32> = (0..32).map(|i| (i % 16) as f32 - 8.0).collect();
    let block = quantized(Q4_0, &levels);
    assert_eq!(block, [&half(1.0)[..], &(0..16).map(|j| j * 17).collect::<Vec<u8>>()].concat());
    let block = quantized(Q4_1, &levels);
    assert_eq!(block[..4], [half(1.0), half(-8.0)].concat());
    assert_eq!(dequantized(Q4_1, &block), levels);
}
