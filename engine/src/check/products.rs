//! References of the products with weights and of the embedding.

use lapidary_shaders::reference;

use super::inputs::{INT8_GROUP_WORDS, Inputs, half_values, int8_values};
use super::norms::residual_norm;
use super::outputs::{Expected, F16, F32, INT8, INT8_TWICE, Output};
use crate::error::Result;
use crate::ops::F16_SCALE;
use crate::threads::{on_threads, threads};

pub(super) fn embed(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let (weights, first_row) = (inputs.weights()?, inputs.param("first_row")?);
    let (rows, stride) = (inputs.param("rows")?, 32 * inputs.param("groups")?);
    let mut outputs = Vec::new();
    let newest = inputs.param("newest")? == 1;
    for t in 0..inputs.tokens() {
        let place = if newest { inputs.step.place(t).1 as usize } else { t };
        let id = inputs.words("tokens")?[place];
        // Other shards write the others.
        let Some(row) = (id as usize).checked_sub(first_row).filter(|row| *row < rows) else { continue };
        let table = weights.row(row);
        let mut out = reference::embed(&table, table.len(), &[0], inputs.float_param("scale")?);
        out.resize(stride, 0.0);
        outputs.push(Output::new("out", t * stride, Expected::Floats(out, F32)));
    }
    Ok(outputs)
}

/// Whether the kernel multiplies integers.
fn is_int8(inputs: &Inputs<'_>) -> bool {
    inputs.has("int8") || inputs.dispatch.kernel.name.ends_with("_int8")
}

/// Activations of the step, `[tokens, cols]`: rows of floats or of integers, `32 * groups` apart.
fn activations(inputs: &Inputs<'_>, cols: usize) -> Result<Vec<f32>> {
    let stride = 32 * inputs.param("groups")?;
    if inputs.dispatch.kernel.name == "matmul_coop" {
        let halves = half_values(&inputs.words("x")?[..inputs.tokens() * stride / 2]);
        let rows = halves.chunks_exact(stride);
        return Ok(rows.flat_map(|row| &row[..cols]).map(|v| F16_SCALE * v).collect());
    }
    if !is_int8(inputs) {
        return inputs.rows("x", inputs.tokens(), stride, cols);
    }
    let words = &inputs.words("x")?[..inputs.tokens() * stride / 32 * INT8_GROUP_WORDS];
    Ok(int8_values(words).chunks_exact(stride).flat_map(|row| &row[..cols]).copied().collect())
}

/// `weights · x[t]` for each row of the shard: `[rows][tokens]`, on all cores.
fn multiply(inputs: &Inputs<'_>, x: &[f32], rows: usize) -> Result<Vec<Vec<f32>>> {
    let weights = inputs.weights()?;
    let share = rows.div_ceil(threads()).max(1);
    let product = |row: usize| reference::matmul(&weights.row(row), x, weights.cols());
    let shares = (0..rows).step_by(share).map(|first| first..rows.min(first + share));
    let products = on_threads(shares, |rows| rows.map(product).collect::<Vec<_>>());
    Ok(products.into_iter().flatten().collect())
}

/// Any product whose output is `[tokens, out_stride]`, or one row in decode.
pub(super) fn product(inputs: &Inputs<'_>, decode: bool) -> Result<Vec<Output>> {
    let cols = inputs.weights()?.cols();
    let mut x = activations(inputs, cols)?;
    if decode {
        // Of a chunk of a prompt, only the last token counts.
        x.drain(..x.len() - cols);
    }
    if inputs.has("geglu") {
        return Ok(vec![gates_ups(inputs, &x, INT8)?]);
    }
    let (rows, first_out) = (inputs.param("rows")?, inputs.param("first_out")?);
    let products = multiply(inputs, &x, rows)?;
    let tolerance = if inputs.dispatch.kernel.name == "matmul_coop" { F16 } else { F32 };
    let stride = inputs.param("out_stride")?;
    let outputs = (0..x.len() / cols).map(|t| {
        let column = products.iter().map(|row| row[t]).collect();
        Output::new("out", t * stride + first_out, Expected::Floats(column, tolerance))
    });
    Ok(outputs.collect())
}

/// GeGLU of the product of one token with gates above ups; `int8` is the tolerance of an output of integers.
fn gates_ups(inputs: &Inputs<'_>, x: &[f32], int8: f64) -> Result<Output> {
    let n = inputs.param("rows")?;
    let both = multiply(inputs, x, 2 * n)?.concat();
    let out = reference::geglu(&both[..n], &both[n..]);
    let expected = if is_int8(inputs) { Expected::Int8(out, int8) } else { Expected::Floats(out, F32) };
    Ok(Output::new("out", 0, expected))
}

/// A product of one token with the norms before it.
pub(super) fn norm_matvec(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let cols = inputs.param("cols")?;
    let (residual, x) = residual_norm(inputs, cols, 32 * inputs.param("groups")?)?;
    let x = reference::quantize(&x, cols);
    let out = if inputs.has("geglu") {
        gates_ups(inputs, &x, INT8_TWICE)?
    } else {
        let products = multiply(inputs, &x, inputs.param("rows")?)?;
        // A value between two bytes may be rounded either way, which changes every output a little.
        Output::new("out", 0, Expected::Floats(products.concat(), INT8))
    };
    Ok(vec![out, Output::new("new_residual", 0, Expected::Floats(residual, F32))])
}
