//! References of the norms, GeGLU and rounding.

use lapidary_shaders::reference;

use super::inputs::Inputs;
use super::outputs::{Expected, F16, F32, INT8, Output};
use crate::error::Result;
use crate::ops::F16_SCALE;

/// Rows of values as the kernel writes them: floats with the padding of rows, which is zero, or groups of integers.
pub(super) fn rows(inputs: &Inputs<'_>, values: &[f32], cols: usize) -> Expected {
    let stride = cols.next_multiple_of(32);
    let pad = |row: &[f32]| [row, &vec![0.0; stride - cols]].concat();
    let padded = values.chunks_exact(cols).flat_map(pad).collect();
    if inputs.has("int8_out") { Expected::Int8(padded, INT8) } else { Expected::Floats(padded, F32) }
}

pub(super) fn rms_norm(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let cols = inputs.param("cols")?;
    let stride = 4 * inputs.param("stride4")?;
    let x = inputs.rows("x", inputs.tokens(), stride, cols)?;
    let out = reference::rms_norm(&x, &inputs.floats("weight")?[..cols], inputs.float_param("eps")?);
    Ok(vec![Output::new("out", 0, rows(inputs, &out, cols))])
}

pub(super) fn add_rms_norm(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let cols = inputs.param("cols")?;
    let stride = 4 * inputs.param("stride4")?;
    let (residual, out) = residual_norm(inputs, cols, stride)?;
    let mut outputs = vec![Output::new("out", 0, rows(inputs, &out, cols))];
    for (t, row) in residual.chunks_exact(cols).enumerate() {
        outputs.push(Output::in_place("residual", t * stride, Expected::Floats(row.to_vec(), F32)));
    }
    Ok(outputs)
}

/// The new residual stream, and the next block's input.
pub(super) fn residual_norm(inputs: &Inputs<'_>, cols: usize, stride: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let y = inputs.rows("y", inputs.tokens(), stride, cols)?;
    let mut residual = inputs.rows("residual", inputs.tokens(), stride, cols)?;
    let weight = |name| inputs.floats(name).map(|weight| &weight[..cols]);
    let (post, next) = (weight("post_weight")?, weight("next_weight")?);
    let out = reference::add_rms_norm(&y, post, &mut residual, next, inputs.float_param("eps")?);
    Ok((residual, out))
}

pub(super) fn geglu(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let cols = 4 * inputs.param("stride4")?;
    let gates_ups = inputs.floats("gate_up")?.chunks_exact(2 * cols).take(inputs.tokens());
    let out: Vec<f32> = gates_ups.flat_map(|row| reference::geglu(&row[..cols], &row[cols..])).collect();
    Ok(vec![Output::new("out", 0, rows(inputs, &out, cols))])
}

pub(super) fn to_f16(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let x = &inputs.floats("x")?[..inputs.tokens() * 8 * inputs.param("eights")?];
    Ok(vec![Output::new("out", 0, Expected::Halves(reference::to_f16(x, F16_SCALE), F16))])
}

pub(super) fn quantize(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let cols = 32 * inputs.param("groups")?;
    let x = &inputs.floats("x")?[..inputs.tokens() * cols];
    Ok(vec![Output::new("out", 0, Expected::Int8(x.to_vec(), INT8))])
}
