//! What a dispatch should write.

use std::ops::Range;

use super::inputs::{INT8_GROUP_WORDS, half_values, int8_values};

/// How far sums in f32 may be from the reference, relative to the largest value.
pub(super) const F32: f64 = 1e-4;
/// The same for what f16 rounds.
pub(super) const F16: f64 = 4e-3;
/// How far values rounded to 8-bit integers may be from those before, relative to the largest of their group: half a byte.
pub(super) const INT8: f64 = 0.52 / 127.0;
/// The same where the kernel also rounds what it multiplies: a value between two bytes may fall either way there.
pub(super) const INT8_TWICE: f64 = 1.05 / 127.0;

/// Numbers that are compared together. Their largest is the measure of an error, so a large number far away hides none.
const COMPARED_TOGETHER: usize = 256;

/// What is wrong with words, if anything.
type Judge = Box<dyn Fn(&[u32]) -> Result<(), String> + Send>;

/// A range of words that a dispatch should write.
pub(super) struct Output {
    pub(super) binding: &'static str,
    /// The first word.
    pub(super) at: usize,
    pub(super) expected: Expected,
    /// Whether the kernel also reads these words, so that they must hold what they held.
    pub(super) is_input: bool,
}

/// What should be there.
pub(super) enum Expected {
    /// Floats, within a tolerance relative to the largest of [`COMPARED_TOGETHER`].
    Floats(Vec<f32>, f64),
    /// Floats stored as f16, an even number.
    Halves(Vec<f32>, f64),
    /// Groups of 8-bit integers, given by their values before rounding, within a tolerance relative to the largest of a group.
    Int8(Vec<f32>, f64),
    /// These words.
    Words(Vec<u32>),
    /// A number of words, and a function that says what is wrong with them, if anything.
    Judged(usize, Judge),
}

impl Output {
    pub(super) fn new(binding: &'static str, at: usize, expected: Expected) -> Self {
        Self { binding, at, expected, is_input: false }
    }

    /// The same for words that the kernel also reads.
    pub(super) fn in_place(binding: &'static str, at: usize, expected: Expected) -> Self {
        Self { is_input: true, ..Self::new(binding, at, expected) }
    }

    /// The words.
    pub(super) fn range(&self) -> Range<usize> {
        let words = match &self.expected {
            Expected::Floats(values, _) => values.len(),
            Expected::Halves(values, _) => values.len() / 2,
            Expected::Int8(values, _) => values.len() / 32 * INT8_GROUP_WORDS,
            Expected::Words(words) => words.len(),
            Expected::Judged(words, _) => *words,
        };
        self.at..self.at + words
    }

    /// Compares the words that were written with those that should have been.
    pub(super) fn compare(&self, words: &[u32]) -> Result<(), String> {
        match &self.expected {
            Expected::Floats(expected, tolerance) => self.close(bytemuck::cast_slice(words), expected, *tolerance),
            Expected::Halves(expected, tolerance) => self.close(&half_values(words), expected, *tolerance),
            Expected::Int8(expected, tolerance) => self.close_int8(words, expected, *tolerance),
            Expected::Words(expected) => match words.iter().zip(expected).position(|(a, b)| a != b) {
                Some(i) => Err(format!(
                    "the word {}[{}] is {}, the reference says {}",
                    self.binding,
                    self.at + i,
                    words[i],
                    expected[i]
                )),
                None => Ok(()),
            },
            Expected::Judged(_, judge) => judge(words).map_err(|reason| format!("{}: {reason}", self.binding)),
        }
    }

    fn close(&self, found: &[f32], expected: &[f32], tolerance: f64) -> Result<(), String> {
        let pieces = found.chunks(COMPARED_TOGETHER).zip(expected.chunks(COMPARED_TOGETHER));
        for (first, (found, expected)) in pieces.enumerate() {
            let finite = expected.iter().filter(|value| value.is_finite());
            let largest = finite.fold(1e-20, |most, value| f64::max(most, f64::from(value.abs())));
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                let error = (f64::from(*found) - f64::from(*expected)).abs() / largest;
                // A comparison with NaN is false, so NaN is an error unless the reference has it too.
                let close = error <= tolerance || found == expected || found.is_nan() && expected.is_nan();
                if !close {
                    let place = format!("{}[{} + {}]", self.binding, self.at, COMPARED_TOGETHER * first + i);
                    return Err(format!(
                        "{place} is {found}, the reference says {expected}: off by {error:.1e} of the largest value \
                         near it, {largest}; at most {tolerance:.0e} is rounding"
                    ));
                }
            }
        }
        Ok(())
    }

    fn close_int8(&self, words: &[u32], expected: &[f32], tolerance: f64) -> Result<(), String> {
        let values = int8_values(words);
        let groups = values.chunks_exact(32).zip(expected.chunks_exact(32)).zip(words.chunks_exact(INT8_GROUP_WORDS));
        for (i, ((found, expected), words)) in groups.enumerate() {
            let part = Self { at: self.at + i * INT8_GROUP_WORDS, expected: Expected::Words(Vec::new()), ..*self };
            part.close(found, expected, tolerance)?;
            let sum = |half: &[f32]| half.iter().sum::<f32>();
            let sums = [f32::from_bits(words[9]), f32::from_bits(words[10])];
            // Relative to the values that are summed.
            let size = found.iter().map(|value| value.abs()).sum::<f32>();
            for (sum, held) in sums.into_iter().zip([sum(&found[..16]), sum(&found[16..])]) {
                let close = (sum - held).abs() <= 1e-5 * size;
                if !close {
                    return Err(format!("{}[{}]: the sum of a group is {sum}, not {held}", self.binding, part.at));
                }
            }
        }
        Ok(())
    }
}
