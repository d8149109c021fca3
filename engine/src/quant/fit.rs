//! Chooses the scales and codes of quantized blocks.
//!
//! The operations and their order are those of ggml-quants.c, because `f32` sums depend on the order. Another order
//! would give other codes for values near a rounding boundary.

/// Smaller magnitudes are treated as zero, as `GROUP_MAX_EPS` in GGML.
pub(super) const TINY: f32 = 1e-15;

/// Rounds to the nearest integer, ties to even, for magnitudes below 2^22. Larger magnitudes stay large.
///
/// The sum pushes the fraction out of the mantissa. Unlike `round_ties_even` this needs no
/// instruction beyond the baseline of x86-64, so that the loops around it become vector code.
pub(super) fn nearest(value: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23
    (value + SHIFT) - SHIFT
}

/// `1 / value`, or zero for zero.
pub(super) fn inverse(value: f32) -> f32 {
    if value != 0.0 { 1.0 / value } else { 0.0 }
}

/// The value of the largest magnitude, with its sign; on a tie, the first.
pub(super) fn largest(values: &[f32]) -> f32 {
    let mut largest = 0.0_f32;
    for &value in values {
        if value.abs() > largest.abs() {
            largest = value;
        }
    }
    largest
}

/// The least and the greatest value.
pub(super) fn range(values: &[f32]) -> (f32, f32) {
    let (mut min, mut max) = (f32::MAX, f32::MIN);
    for &value in values {
        if value < min {
            min = value;
        }
        if value > max {
            max = value;
        }
    }
    (min, max)
}

/// The candidates that [`affine`] tries.
pub(super) struct Search {
    /// The largest code.
    pub(super) top: f32,
    /// The first candidate maps the range of the values to `top + first` steps.
    pub(super) first: f32,
    /// The number of further candidates. Each has a tenth of a step more.
    pub(super) more: u8,
}

/// Finds `scale` and `min` so that `scale * code - min` is close to the values, `min` not negative.
///
/// Each candidate step gives codes, and the codes a weighted least-squares line; the line with the
/// smallest weighted squared error wins. This is `make_qkx2_quants` with squared errors.
pub(super) fn affine(values: &[f32; 32], search: &Search, codes: &mut [u8; 32]) -> (f32, f32) {
    let square_sum = values.iter().fold(0.0, |sum, v| sum + v * v);
    let mean = (square_sum / 32.0).sqrt();
    let weights: [f32; 32] = std::array::from_fn(|i| mean + values[i].abs());

    let (min, max) = range(values);
    let mut low = if min > 0.0 { 0.0 } else { min };
    if max == low {
        codes.fill(0);
        return (0.0, -low);
    }
    let (mut weight_sum, mut value_sum) = (0.0, 0.0);
    for (value, weight) in values.iter().zip(&weights) {
        weight_sum += weight;
        value_sum += weight * value;
    }

    let round = |steps: f32, low: f32| -> [f32; 32] {
        std::array::from_fn(|i| nearest(steps * (values[i] - low)).clamp(0.0, search.top))
    };
    let error = |rounded: &[f32; 32], scale: f32, low: f32| {
        let squares: [f32; 32] = std::array::from_fn(|i| {
            let miss = scale * rounded[i] + low - values[i];
            weights[i] * (miss * miss)
        });
        squares.iter().fold(0.0, |sum, square| sum + square)
    };

    let steps = search.top / (max - low);
    let mut scale = 1.0 / steps;
    let mut best = round(steps, low);
    let mut best_error = error(&best, scale, low);
    for step in 0..=search.more {
        // `low` belongs to the best line so far, as in GGML.
        let steps = (search.first + 0.1 * f32::from(step) + search.top) / (max - low);
        let rounded = round(steps, low);
        let (mut code_sum, mut code_square_sum, mut product_sum) = (0.0, 0.0, 0.0);
        for i in 0..32 {
            let weighted = weights[i] * rounded[i];
            code_sum += weighted;
            code_square_sum += weighted * rounded[i];
            product_sum += weighted * values[i];
        }
        let determinant = weight_sum * code_square_sum - code_sum * code_sum;
        if determinant > 0.0 {
            let mut slope = (weight_sum * product_sum - value_sum * code_sum) / determinant;
            let mut start = (code_square_sum * value_sum - code_sum * product_sum) / determinant;
            if start > 0.0 {
                start = 0.0;
                slope = product_sum / code_square_sum;
            }
            let this_error = error(&rounded, slope, start);
            if this_error < best_error {
                (best, best_error, scale, low) = (rounded, this_error, slope, start);
            }
        }
    }
    for (code, rounded) in codes.iter_mut().zip(&best) {
        *code = *rounded as u8;
    }
    (scale, -low)
}

/// Finds `scale` so that `scale * (code - 32)` is close to the values, for 6-bit codes.
///
/// As [`affine`], with a line through zero and the squares of the values as weights. This is
/// `make_qx_quants` with 32 levels on each side and `rmse_type` 1.
pub(super) fn symmetric(values: &[f32; 16], codes: &mut [u8; 16]) -> f32 {
    let largest = largest(values);
    if largest.abs() < TINY {
        codes.fill(0);
        return 0.0;
    }

    let round = |steps: f32| -> [f32; 16] { std::array::from_fn(|i| nearest(steps * values[i]).clamp(-32.0, 31.0)) };
    let sums = |rounded: &[f32; 16]| {
        let (mut product_sum, mut square_sum) = (0.0, 0.0);
        for (value, rounded) in values.iter().zip(rounded) {
            let weight = value * value;
            product_sum += weight * value * rounded;
            square_sum += weight * rounded * rounded;
        }
        (product_sum, square_sum)
    };

    let mut best = round(-32.0 / largest);
    let (product_sum, square_sum) = sums(&best);
    let mut scale = if square_sum != 0.0 { product_sum / square_sum } else { 0.0 };
    let mut gain = scale * product_sum;
    for step in (-9_i8..=9).filter(|&step| step != 0) {
        let rounded = round(-(32.0 + 0.1 * f32::from(step)) / largest);
        let (product_sum, square_sum) = sums(&rounded);
        if square_sum > 0.0 && product_sum * product_sum > gain * square_sum {
            best = rounded;
            scale = product_sum / square_sum;
            gain = scale * product_sum;
        }
    }
    for (code, rounded) in codes.iter_mut().zip(&best) {
        *code = (rounded + 32.0) as u8;
    }
    scale
}
