//! References of RoPE and attention.

use lapidary_shaders::reference::{self, Partial};

use super::inputs::{Inputs, half_values};
use super::outputs::{Expected, F16, F32, INT8, Output};
use crate::error::Result;
use crate::ops::PAGE;

/// Keys or values of a layer, `[pages, kv_heads, PAGE, head_dim]`, and how they are stored.
struct Cache {
    values: Vec<f32>,
    half: bool,
    /// `[slots, table_len]`
    tables: Vec<u32>,
    table_len: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Cache {
    fn read(inputs: &Inputs<'_>, name: &'static str, kv_heads: usize, head_dim: usize) -> Result<Self> {
        // A kernel without the flag reads f16 only.
        let half = inputs.has("kv_f16") || !inputs.knows("kv_f16");
        let values = if half { half_values(inputs.words(name)?) } else { inputs.floats(name)?.to_vec() };
        let (tables, table_len) = (inputs.words("pages")?.to_vec(), inputs.param("table_len")?);
        Ok(Self { values, half, tables, table_len, kv_heads, head_dim })
    }

    fn tolerance(&self) -> f64 {
        if self.half { F16 } else { F32 }
    }

    fn at(&self, kv_head: usize, place: Place) -> usize {
        let page = self.tables[place.slot * self.table_len + place.position / PAGE] as usize;
        ((page * self.kv_heads + kv_head) * PAGE + place.position % PAGE) * self.head_dim
    }

    /// The write of one head at a position.
    fn write(&mut self, binding: &'static str, kv_head: usize, place: Place, head: &[f32]) -> Output {
        let at = self.at(kv_head, place);
        self.values[at..at + head.len()].copy_from_slice(head);
        let (word, tolerance) = (if self.half { at / 2 } else { at }, self.tolerance());
        let expected = match self.half {
            true => Expected::Halves(head.to_vec(), tolerance),
            false => Expected::Floats(head.to_vec(), tolerance),
        };
        Output::in_place(binding, word, expected)
    }

    /// `[positions, kv_heads, head_dim]` of a sequence, as the reference takes it.
    fn by_position(&self, positions: usize, slot: usize) -> Vec<f32> {
        let heads = (0..positions).flat_map(|position| (0..self.kv_heads).map(move |h| (h, Place { position, slot })));
        heads.flat_map(|(h, place)| &self.values[self.at(h, place)..][..self.head_dim]).copied().collect()
    }
}

/// Where a token belongs.
#[derive(Clone, Copy)]
struct Place {
    position: usize,
    slot: usize,
}

impl Place {
    /// Of token `t` of a step of several sequences.
    fn of(inputs: &Inputs<'_>, t: usize) -> Self {
        let (position, slot) = inputs.step.place(t);
        Self { position: position as usize, slot: slot as usize }
    }
}

/// Norms a head (where there is a weight) and rotates it by the angles of its position, as `reference::rope` does with the
/// angles' formula.
fn rotate(inputs: &Inputs<'_>, head: &[f32], weight: Option<&[f32]>, position: usize, scale: f32) -> Result<Vec<f32>> {
    let d = head.len();
    let angles = &inputs.floats("cos_sin")?[position * d..][..d];
    let head = match weight {
        Some(weight) => reference::rms_norm(head, weight, inputs.float_param("eps")?),
        None => head.to_vec(),
    };
    let mut out = vec![0.0; d];
    for (i, angle) in angles.chunks_exact(2).enumerate() {
        let (cos, sin) = (f64::from(angle[0]), f64::from(angle[1]));
        let (a, b) = (f64::from(head[i]), f64::from(head[i + d / 2]));
        out[i] = ((a * cos - b * sin) * f64::from(scale)) as f32;
        out[i + d / 2] = ((b * cos + a * sin) * f64::from(scale)) as f32;
    }
    Ok(out)
}

/// The shape of a kernel's heads.
struct Heads {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Heads {
    /// Keys and values.
    fn caches(&self, inputs: &Inputs<'_>) -> Result<[Cache; 2]> {
        let read = |name| Cache::read(inputs, name, self.kv_heads, self.head_dim);
        Ok([read("k_cache")?, read("v_cache")?])
    }

    /// Rotates a token's queries, and writes its rotated keys and its values to the caches. Gives the queries and the writes.
    fn rotate_token(
        &self,
        inputs: &Inputs<'_>,
        row: &[f32],
        place: Place,
        qk_norm: bool,
        [keys, values]: [&mut Cache; 2],
    ) -> Result<(Vec<f32>, Vec<Output>)> {
        let Self { heads, kv_heads, head_dim: d } = *self;
        let weights = if qk_norm { Some(inputs.floats("qk_weight")?.split_at(d)) } else { None };
        let (query_weight, key_weight) = (weights.map(|w| w.0), weights.map(|w| &w.1[..d]));
        let scale = inputs.float_param("query_scale")?;
        let mut queries = Vec::with_capacity(heads * d);
        for head in row[..heads * d].chunks_exact(d) {
            queries.extend(rotate(inputs, head, query_weight, place.position, scale)?);
        }
        let mut writes = Vec::new();
        let (k, v) = row[heads * d..][..2 * kv_heads * d].split_at(kv_heads * d);
        for (h, (key, value)) in k.chunks_exact(d).zip(v.chunks_exact(d)).enumerate() {
            writes.push(keys.write("k_cache", h, place, &rotate(inputs, key, key_weight, place.position, 1.0)?));
            writes.push(values.write("v_cache", h, place, value));
        }
        Ok((queries, writes))
    }
}

pub(super) fn rope(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let d = inputs.param("head_dim")?;
    let shape = Heads { heads: inputs.param("heads")?, kv_heads: inputs.param("kv_heads")?, head_dim: d };
    let [mut keys, mut values] = shape.caches(inputs)?;
    let stride = inputs.param("stride")?;
    let mut outputs = Vec::new();
    for t in 0..inputs.tokens() {
        let row = &inputs.floats("qkv")?[t * stride..][..stride];
        let place = Place { position: inputs.step.position as usize + t, slot: inputs.step.slot as usize };
        let caches = [&mut keys, &mut values];
        let (queries, writes) = shape.rotate_token(inputs, row, place, inputs.has("qk_norm"), caches)?;
        outputs.push(Output::in_place("qkv", t * stride, Expected::Floats(queries, F32)));
        outputs.extend(writes);
    }
    Ok(outputs)
}

/// The shape of a kernel that attends.
fn shape(inputs: &Inputs<'_>, head_dim: usize) -> Result<(Heads, reference::Attention)> {
    let (heads, kv_heads) = (inputs.param("heads")?, inputs.param("kv_heads")?);
    let soft_cap = Some(inputs.float_param("soft_cap")?).filter(|cap| *cap > 0.0);
    let shape = reference::Attention { heads, kv_heads, head_dim, window: Some(inputs.param("window")?), soft_cap };
    Ok((Heads { heads, kv_heads, head_dim }, shape))
}

pub(super) fn attention(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    if inputs.has("split") {
        return attention_decode(inputs);
    }
    of_chunk(inputs, 4 * inputs.param("head_dim4")?, 4 * inputs.param("out_stride4")?)
}

pub(super) fn attention_coop(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    of_chunk(inputs, inputs.param("head_dim")?, inputs.param("out_stride")?)
}

fn of_chunk(inputs: &Inputs<'_>, d: usize, out_stride: usize) -> Result<Vec<Output>> {
    let (heads, shape) = shape(inputs, d)?;
    let [keys, values] = heads.caches(inputs)?;
    let (tokens, width) = (inputs.tokens(), heads.heads * d);
    let queries = inputs.rows("q", tokens, 4 * inputs.param("q_stride4")?, width)?;
    let (position, slot) = (inputs.step.position as usize, inputs.step.slot as usize);
    let by_position = |cache: &Cache| cache.by_position(position + tokens, slot);
    let out = reference::attention(shape, &queries, &by_position(&keys), &by_position(&values), position);
    let rows = out.chunks_exact(width).enumerate();
    let row = |(t, row): (usize, &[f32])| {
        Output::new("out", t * out_stride, Expected::Floats(row.to_vec(), keys.tolerance()))
    };
    Ok(rows.map(row).collect())
}

pub(super) fn attention_decode(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let (heads, shape) = shape(inputs, 4 * inputs.param("head_dim4")?)?;
    let [mut keys, mut values] = heads.caches(inputs)?;
    let (width, d, tolerance) = (heads.heads * heads.head_dim, heads.head_dim, keys.tolerance());
    let (splits, stride) = (inputs.param("splits")?, 4 * inputs.param("q_stride4")?);
    let qk_norm = inputs.param("qk_norm")? == 1;
    let mut outputs = Vec::new();
    let mut rounded = Vec::new();
    for t in 0..inputs.tokens() {
        let row = &inputs.floats("q")?[t * stride..][..stride];
        let place = Place::of(inputs, t);
        let (queries, writes) = heads.rotate_token(inputs, row, place, qk_norm, [&mut keys, &mut values])?;
        outputs.extend(writes);
        let by_position = |cache: &Cache| cache.by_position(place.position + 1, place.slot);
        let out = reference::attention(shape, &queries, &by_position(&keys), &by_position(&values), place.position);
        if splits > 1 {
            let used = splits_with_keys(inputs, splits, place.position)?;
            let words = splits * (width + 4 * heads.heads);
            let judge = move |found: &[u32]| judge_partials(found, splits, used, d, &out, tolerance);
            outputs.push(Output::new("out", t * words, Expected::Judged(words, Box::new(judge))));
        } else if inputs.param("rounded")? == 1 {
            rounded.extend(out);
        } else {
            let at = t * 4 * inputs.param("out_stride4")?;
            outputs.push(Output::new("out", at, Expected::Floats(out, tolerance)));
        }
    }
    if !rounded.is_empty() {
        // The rounding of the result comes on top of that of the step's own key and value.
        outputs.push(Output::new("out", 0, Expected::Int8(rounded, INT8 + tolerance)));
    }
    Ok(outputs)
}

/// Splits that have keys at a position; what the others hold does not count.
fn splits_with_keys(inputs: &Inputs<'_>, splits: usize, position: usize) -> Result<usize> {
    let first_key = (position + 1).saturating_sub(inputs.param("window")?);
    Ok(splits.min(position / PAGE - first_key / PAGE + 1))
}

/// The partial results of a head's splits, from the `[splits][head_dim + 4]` words of it.
fn partials(words: &[f32], used: usize, d: usize) -> Vec<Partial> {
    let partial = |row: &[f32]| Partial { sums: row[..d].to_vec(), highest: row[d], total: row[d + 1] };
    words.chunks_exact(d + 4).take(used).map(partial).collect()
}

/// How keys are split is for the kernel to choose; what the splits come to is not.
fn judge_partials(
    words: &[u32],
    splits: usize,
    used: usize,
    d: usize,
    expected: &[f32],
    tolerance: f64,
) -> Result<(), String> {
    let floats: &[f32] = bytemuck::cast_slice(words);
    let heads = floats.chunks_exact(splits * (d + 4));
    let merged: Vec<f32> = heads.flat_map(|head| reference::attention_merge(&partials(head, used, d))).collect();
    let merged: Vec<u32> = bytemuck::cast_slice(&merged).to_vec();
    Output::new("merged partials", 0, Expected::Floats(expected.to_vec(), tolerance)).compare(&merged)
}

pub(super) fn attention_merge(inputs: &Inputs<'_>) -> Result<Vec<Output>> {
    let (splits, heads, d) = (inputs.param("splits")?, inputs.param("heads")?, 4 * inputs.param("head_dim4")?);
    let tokens = inputs.floats("partials")?.chunks_exact(heads * splits * (d + 4)).take(inputs.tokens());
    let mut rows = Vec::new();
    for (t, token) in tokens.enumerate() {
        let used = splits_with_keys(inputs, splits, Place::of(inputs, t).position)?;
        let heads = token.chunks_exact(splits * (d + 4));
        rows.push(heads.flat_map(|head| reference::attention_merge(&partials(head, used, d))).collect::<Vec<f32>>());
    }
    if inputs.has("int8_out") {
        return Ok(vec![Output::new("out", 0, Expected::Int8(rows.concat(), INT8))]);
    }
    let stride = 4 * inputs.param("out_stride4")?;
    let rows = rows.into_iter().enumerate();
    Ok(rows.map(|(t, row)| Output::new("out", t * stride, Expected::Floats(row, F32))).collect())
}
