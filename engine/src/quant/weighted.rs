//! Chooses scales and codes of blocks whose values matter differently.
//!
//! A product sums `x_j * w_j` over the columns. With errors `e_j` of the weights that do not correlate, the square of the product's
//! error is on average `sum(mean(x_j^2) * e_j^2)`. So each value's squared error gets a weight, of which the mean squared input of
//! its column is a factor. The search alternates between the codes, for which rounding is best whatever the weights are, and the line
//! of least weighted squares through them, from several starts.

use super::fit::{TINY, largest, nearest, range};
use super::scale_min;

/// A column that no text reached still gets this part of the mean weight.
const FLOOR: f32 = 1e-3;
/// Times that codes are rounded again after a line was fitted.
const ROUNDS: usize = 3;

/// The weights of the squared errors of a row. Large values get more, because the sizes of activations differ from text to text, and
/// an error in proportion to its value changes least. `None` where the importance is of no use.
pub(super) fn weights(values: &[f32], importance: &[f32]) -> Option<Vec<f32>> {
    let count = values.len().max(1) as f32;
    let mean = importance.iter().sum::<f32>() / count;
    let square = values.iter().map(|value| value * value).sum::<f32>() / count;
    if !(mean.is_finite() && mean > 0.0 && square.is_finite()) {
        return None;
    }
    let weight = |(value, importance): (&f32, &f32)| (importance / mean).max(FLOOR) * (square + value * value).sqrt();
    Some(values.iter().zip(importance).map(weight).collect())
}

/// A scale, and codes from `-half` to `half - 1`, so that `scale * code` is close to the values.
pub(super) fn symmetric<const N: usize>(values: &[f32; N], weights: &[f32; N], half: f32) -> (f32, [f32; N]) {
    let largest = largest(values);
    if largest.abs() < TINY {
        return (0.0, [0.0; N]);
    }
    let (mut best, mut best_scale, mut best_gain) = ([0.0; N], 0.0, 0.0);
    for step in -9_i8..=9 {
        let mut steps = -(half + 0.1 * f32::from(step)) / largest;
        for _ in 0..ROUNDS {
            let codes: [f32; N] = std::array::from_fn(|i| nearest(steps * values[i]).clamp(-half, half - 1.0));
            let (mut products, mut squares) = (0.0, 0.0);
            for i in 0..N {
                products += weights[i] * values[i] * codes[i];
                squares += weights[i] * codes[i] * codes[i];
            }
            // The weighted squares of the values less those of the errors.
            let gain = if squares > 0.0 { products * products / squares } else { 0.0 };
            if gain <= best_gain {
                break;
            }
            (best, best_scale, best_gain) = (codes, products / squares, gain);
            steps = 1.0 / best_scale;
        }
    }
    (best_scale, best)
}

/// `scale * code + start`
pub(super) struct Line<const N: usize> {
    pub(super) scale: f32,
    pub(super) start: f32,
    pub(super) codes: [f32; N],
}

/// A line so that `scale * code + start` is close to the values, with codes from 0 to `top` and a start of at most `most`.
pub(super) fn affine<const N: usize>(values: &[f32; N], weights: &[f32; N], top: f32, most: f32) -> Line<N> {
    let (min, max) = range(values);
    let low = min.min(most);
    if max - low < TINY {
        return Line { scale: 0.0, start: low, codes: [0.0; N] };
    }
    let (mut weight_sum, mut value_sum) = (0.0, 0.0);
    for (value, weight) in values.iter().zip(weights) {
        weight_sum += weight;
        value_sum += weight * value;
    }
    let mut best = Line { scale: 0.0, start: low, codes: [0.0; N] };
    let mut best_error = f32::MAX;
    for step in 0_u8..=16 {
        let (mut steps, mut start) = ((top - 0.8 + 0.1 * f32::from(step)) / (max - low), low);
        for _ in 0..ROUNDS {
            let codes: [f32; N] = std::array::from_fn(|i| nearest(steps * (values[i] - start)).clamp(0.0, top));
            let (mut codes_sum, mut squares, mut products) = (0.0, 0.0, 0.0);
            for i in 0..N {
                let weighted = weights[i] * codes[i];
                codes_sum += weighted;
                squares += weighted * codes[i];
                products += weighted * values[i];
            }
            if squares <= 0.0 {
                break;
            }
            let determinant = weight_sum * squares - codes_sum * codes_sum;
            let mut scale = (weight_sum * products - value_sum * codes_sum) / determinant;
            let free = (squares * value_sum - codes_sum * products) / determinant;
            // Through equal codes there is no line but the one from a given start.
            let is_flat = determinant <= 1e-6 * weight_sum * squares;
            start = if is_flat { start } else { free.min(most) };
            if is_flat || free > most {
                scale = (products - start * codes_sum) / squares;
            }
            let mut error = 0.0;
            for i in 0..N {
                let miss = scale * codes[i] + start - values[i];
                error += weights[i] * miss * miss;
            }
            if error >= best_error || scale <= 0.0 {
                break;
            }
            (best, best_error) = (Line { scale, start, codes }, error);
            steps = 1.0 / scale;
        }
    }
    best
}

/// The header and the codes of a super-block of q4_k or q5_k, whose codes are at most `top`.
pub(super) fn scales_and_minimums(
    values: &[f32; 256],
    weights: &[f32; 256],
    top: f32,
) -> ([u8; scale_min::BYTES], [u8; 256]) {
    let (blocks, _) = values.as_chunks::<32>();
    let (block_weights, _) = weights.as_chunks::<32>();
    // The stored minimum is what is subtracted, and not negative.
    let lines: [Line<32>; 8] = std::array::from_fn(|i| affine(&blocks[i], &block_weights[i], top, 0.0));
    let sums: [f32; 8] = std::array::from_fn(|i| block_weights[i].iter().sum());
    let (scale, scale_codes) = six_bits(&lines.each_ref().map(|line| line.scale), &sums);
    let (min, min_codes) = six_bits(&lines.each_ref().map(|line| -line.start), &sums);
    let header = scale_min::pack_codes([scale, min], &std::array::from_fn(|i| [scale_codes[i], min_codes[i]]));
    let mut codes = [0; 256];
    scale_min::choose_again(&header, values, top, &mut codes);
    (header, codes)
}

/// A factor and 6-bit codes for numbers that are not negative.
fn six_bits(numbers: &[f32; 8], weights: &[f32; 8]) -> (f32, [u8; 8]) {
    let (_, max) = range(numbers);
    if max < TINY {
        return (0.0, [0; 8]);
    }
    let (mut best, mut best_factor, mut best_gain) = ([0; 8], 0.0, 0.0);
    for step in -4_i8..=4 {
        let steps = (63.0 + 0.1 * f32::from(step)) / max;
        let codes = numbers.map(|number| nearest(steps * number).clamp(0.0, 63.0));
        let (mut products, mut squares) = (0.0, 0.0);
        for i in 0..8 {
            products += weights[i] * numbers[i] * codes[i];
            squares += weights[i] * codes[i] * codes[i];
        }
        if squares > 0.0 && products * products > best_gain * squares {
            best_gain = products * products / squares;
            (best, best_factor) = (codes.map(|code| code as u8), products / squares);
        }
    }
    (best_factor, best)
}

#[cfg(test)]
mod tests {
    use crate::quant::WeightFormat;
    use crate::quant::tests::{dequantized, uniform};

    /// The weighted squared error of a row after quantizing it.
    fn error(format: WeightFormat, row: &[f32], importance: &[f32], weighted: bool) -> f64 {
        let mut bytes = Vec::new();
        if weighted {
            format.quantize_weighted(row, importance, &mut bytes);
        } else {
            format.quantize(row, &mut bytes);
        }
        let back = dequantized(format, &bytes);
        let squares = row.iter().zip(&back).zip(importance).map(|((a, b), i)| f64::from(i * (a - b) * (a - b)));
        squares.sum()
    }

    #[test]
    fn columns_that_matter_lose_less() {
        let row: Vec<f32> =
            uniform(4096, 1).iter().map(|value| (value - 0.5) * (value - 0.5) * (value - 0.5)).collect();
        let importance: Vec<f32> = uniform(4096, 2).iter().map(|value| value.powi(8)).collect();
        for format in [
            WeightFormat::Q4_0,
            WeightFormat::Q4_1,
            WeightFormat::Q5_0,
            WeightFormat::Q5_1,
            WeightFormat::Q4K,
            WeightFormat::Q5K,
            WeightFormat::Q6K,
        ] {
            let (with, without) = (error(format, &row, &importance, true), error(format, &row, &importance, false));
            assert!(with < 0.95 * without, "{format}: {with} of {without}");
        }
    }

    #[test]
    fn awkward_rows_stay_finite_and_close() {
        let ones = vec![1.0; 256];
        let rows = [vec![0.0; 256], vec![3.0; 256], vec![-3.0; 256], (0..256).map(|i| i as f32).collect(), {
            let mut row = vec![1e-20; 256];
            row[7] = 1.0;
            row
        }];
        let mut lone = vec![0.0; 256];
        lone[200] = 1.0;
        for row in &rows {
            let square: f64 = row.iter().map(|value| f64::from(value * value)).sum();
            for importance in [&ones, &lone] {
                for format in WeightFormat::ALL {
                    let lost = error(format, row, &ones, true).max(error(format, row, importance, true));
                    assert!(lost <= 0.01 * square, "{format}: {lost} of {square}");
                }
            }
        }
    }

    #[test]
    fn an_importance_of_no_use_changes_nothing() {
        let row = uniform(256, 3);
        for importance in [vec![], vec![0.0; 256], vec![f32::NAN; 256], vec![1.0; 255]] {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            WeightFormat::Q4K.quantize_weighted(&row, &importance, &mut with);
            WeightFormat::Q4K.quantize(&row, &mut without);
            assert_eq!(with, without);
        }
    }
}
