//! The comparison finds everything that a kernel can do wrong.

use super::inputs::INT8_GROUP_WORDS;
use super::judge;
use super::outputs::{Expected, F16, F32, INT8, Output};

/// What is wrong with the words `found` of a binding, which held `before`.
fn wrong(expected: Expected, at: usize, before: &[u32], found: &[u32]) -> Option<String> {
    judge("out", before, found, &[Output::new("out", at, expected)]).err()
}

/// What is wrong with floats, which fill the binding.
fn wrong_floats(expected: &[f32], found: &[f32]) -> Option<String> {
    let zeros = vec![0; found.len()];
    wrong(Expected::Floats(expected.to_vec(), F32), 0, &zeros, bytemuck::cast_slice(found))
}

#[test]
fn a_wrong_number_is_found_and_rounding_is_not() {
    let expected: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.7).sin()).collect();
    assert_eq!(wrong_floats(&expected, &expected), None);
    for i in [0, 255, 256, 999] {
        let mut found = expected.clone();
        found[i] += 1e-5;
        assert_eq!(wrong_floats(&expected, &found), None);
        for value in [expected[i] + 1e-3, f32::NAN, f32::INFINITY] {
            found[i] = value;
            let reason = wrong_floats(&expected, &found).expect("a wrong number");
            assert!(reason.contains(&format!("out[0 + {i}] is {value}")), "{reason}");
        }
    }
    let swapped: Vec<f32> = expected.iter().rev().copied().collect();
    assert!(wrong_floats(&expected, &swapped).is_some());
}

#[test]
fn a_large_number_does_not_hide_errors_far_from_it() {
    let mut expected = vec![1.0; 600];
    expected[10] = 1e6;
    let mut found = expected.clone();
    found[599] = 1.5;
    assert!(wrong_floats(&expected, &found).is_some_and(|reason| reason.contains("out[0 + 599] is 1.5")));
}

#[test]
fn nan_is_right_only_where_the_reference_has_it() {
    assert_eq!(wrong_floats(&[f32::NAN, 1.0], &[f32::NAN, 1.0]), None);
    assert!(wrong_floats(&[f32::NAN, 1.0], &[0.0, 1.0]).is_some());
    assert!(wrong_floats(&[f32::NEG_INFINITY, 1.0], &[f32::INFINITY, 1.0]).is_some());
}

#[test]
fn a_write_beside_the_output_is_found() {
    let before = [7; 6];
    let output = || Expected::Words(vec![1, 2, 3]);
    assert_eq!(wrong(output(), 1, &before, &[7, 1, 2, 3, 7, 7]), None);
    for stray in [0, 4, 5] {
        let mut found = [7, 1, 2, 3, 7, 7];
        found[stray] = 8;
        let reason = wrong(output(), 1, &before, &found).expect("a stray write");
        assert!(reason.contains(&format!("out[{stray}]")), "{reason}");
    }
}

#[test]
fn a_wrong_word_is_found() {
    let reason = wrong(Expected::Words(vec![1, 2]), 1, &[0; 3], &[0, 1, 3]).expect("a wrong word");
    assert!(reason.contains("out[2] is 3, the reference says 2"), "{reason}");
}

#[test]
fn a_wrong_half_is_found_in_both_places_of_a_word() {
    let values = [0.5f32, -1.0, 2.0, 0.25];
    let pack = |values: &[f32]| -> Vec<u32> {
        let bits = |value: &f32| u32::from(half::f16::from_f32(*value).to_bits());
        values.chunks_exact(2).map(|pair| bits(&pair[0]) | bits(&pair[1]) << 16).collect()
    };
    let expected = || Expected::Halves(values.to_vec(), F16);
    assert_eq!(wrong(expected(), 0, &[0; 2], &pack(&values)), None);
    for i in 0..4 {
        let mut found = values;
        found[i] += 0.1;
        let reason = wrong(expected(), 0, &[0; 2], &pack(&found)).expect("a wrong half");
        assert!(reason.contains(&format!("out[0 + {i}]")), "{reason}");
    }
}

/// A group of 32 values as 8-bit integers.
fn group(values: &[f32], scale: f32) -> Vec<u32> {
    let bytes: Vec<i8> = values.iter().map(|value| (value / scale).round() as i8).collect();
    let sum = |bytes: &[i8]| (scale * bytes.iter().map(|byte| f32::from(*byte)).sum::<f32>()).to_bits();
    let mut words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
    words.extend([scale.to_bits(), sum(&bytes[..16]), sum(&bytes[16..])]);
    words.resize(INT8_GROUP_WORDS, 0);
    words
}

#[test]
fn wrong_integers_scales_and_sums_are_found() {
    let values: Vec<f32> = (0..64).map(|i| (i as f32 * 0.7).sin()).collect();
    let right: Vec<u32> = values.chunks_exact(32).flat_map(|values| group(values, 1.0 / 127.0)).collect();
    let wrong = |found: &[u32]| wrong(Expected::Int8(values.clone(), INT8), 0, &[0; 2 * INT8_GROUP_WORDS], found);
    assert_eq!(wrong(&right), None);
    // Two steps of a byte, the scale, and both sums, in the second group.
    for (word, change) in [(3, 2), (8, 1 << 20), (9, 1 << 20), (10, 1 << 20)] {
        let mut found = right.clone();
        found[INT8_GROUP_WORDS + word] = found[INT8_GROUP_WORDS + word].wrapping_add(change);
        assert!(wrong(&found).is_some(), "word {word} of a group");
    }
}
