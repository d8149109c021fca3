//! What a dispatch reads.

use crate::error::{Error, Result};
use crate::gpu::{Dispatch, Gpu, Step};
use crate::load::{Bytes, TensorView, read_rows};
use crate::quant::{Matrix, Shard, WeightFormat};

/// A dispatch with what is bound to it, as words, before it runs.
pub(super) struct Inputs<'a> {
    pub(super) dispatch: &'a Dispatch,
    pub(super) step: &'a Step,
    /// By the binding's name; weights are left out.
    words: Vec<(&'static str, Vec<u32>)>,
    weights: Option<ShardRows>,
}

/// The rows of a shard of weights as its file has them.
pub(super) struct ShardRows {
    /// Whole rows, in order.
    pieces: Vec<Bytes>,
    in_file: WeightFormat,
    on_device: WeightFormat,
    cols: usize,
}

impl ShardRows {
    /// Reads the rows of a shard of a matrix that was made of these tensors.
    pub(super) async fn read(views: &[TensorView<'_>], matrix: &Matrix, shard: &Shard) -> Result<Self> {
        let in_file = views.first().map_or(matrix.format, |view| view.format);
        let mut pieces = Vec::new();
        read_rows(views, shard.first_row, shard.rows, &mut pieces).await?;
        Ok(Self { pieces, in_file, on_device: matrix.format, cols: matrix.cols })
    }

    /// The values of a row that the device holds.
    pub(super) fn row(&self, index: usize) -> Vec<f32> {
        let row_bytes = self.in_file.row_bytes(self.cols).unwrap_or(0);
        let dequantize = |format: WeightFormat, bytes: &[u8]| {
            let mut values = vec![0.0; self.cols.next_multiple_of(format.block_len())];
            format.dequantize(bytes, &mut values);
            values.truncate(self.cols);
            values
        };
        let mut at = index * row_bytes;
        let mut pieces = self.pieces.iter();
        let piece = pieces.find(|piece| {
            at < piece.len() || {
                at -= piece.len();
                false
            }
        });
        let values = piece.map_or(Vec::new(), |piece| dequantize(self.in_file, &piece[at..][..row_bytes]));
        if self.on_device == self.in_file {
            return values;
        }
        let mut blocks = Vec::new();
        self.on_device.quantize(&values, &mut blocks);
        dequantize(self.on_device, &blocks)
    }

    pub(super) fn cols(&self) -> usize {
        self.cols
    }
}

impl<'a> Inputs<'a> {
    /// Reads what is bound from the device.
    pub(super) async fn read(
        gpu: &Gpu,
        dispatch: &'a Dispatch,
        step: &'a Step,
        weights: Option<ShardRows>,
    ) -> Result<Self> {
        let mut words = Vec::new();
        for storage in dispatch.kernel.storage {
            let is_weights = weights.is_some() && ["quants", "scales"].contains(&storage.name);
            if let Some(slice) = dispatch.binding(storage.name).filter(|_| !is_weights) {
                let bytes = gpu.read(&slice.buffer, slice.offset + slice.bytes).await?.split_off(slice.offset as usize);
                words.push((storage.name, bytemuck::pod_collect_to_vec(&bytes)));
            }
        }
        Ok(Self { dispatch, step, words, weights })
    }

    /// What is bound at bindings that the kernel may write.
    pub(super) fn writable(&self) -> impl Iterator<Item = (&'static str, &[u32])> {
        let writes = |name: &str| self.dispatch.kernel.storage.iter().any(|s| s.name == name && s.writes);
        self.words.iter().filter(move |(name, _)| writes(name)).map(|(name, words)| (*name, &words[..]))
    }

    /// Tokens of the step.
    pub(super) fn tokens(&self) -> usize {
        self.step.n_tokens as usize
    }

    /// Whether the variant was linked with this flag.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.dispatch.variant().is_some_and(|variant| variant.features.contains(&flag))
    }

    /// Whether the kernel has variants with this flag.
    pub(super) fn knows(&self, flag: &str) -> bool {
        self.dispatch.kernel.flags.contains(&flag)
    }

    /// A parameter of the kernel.
    pub(super) fn param(&self, name: &'static str) -> Result<usize> {
        self.param_word(name).map(|word| word as usize)
    }

    /// A parameter of the kernel that is a float.
    pub(super) fn float_param(&self, name: &'static str) -> Result<f32> {
        self.param_word(name).map(f32::from_bits)
    }

    fn param_word(&self, name: &'static str) -> Result<u32> {
        let place = self.dispatch.kernel.params.iter().position(|param| param.name == name);
        let word = place.and_then(|place| self.dispatch.params.get(place)).copied();
        word.ok_or_else(|| self.missing("parameter", name))
    }

    /// The words of a binding.
    pub(super) fn words(&self, name: &'static str) -> Result<&[u32]> {
        let found = self.words.iter().find(|(known, _)| *known == name);
        found.map(|(_, words)| &words[..]).ok_or_else(|| self.missing("binding", name))
    }

    /// The words of a binding as floats.
    pub(super) fn floats(&self, name: &'static str) -> Result<&[f32]> {
        self.words(name).map(bytemuck::cast_slice)
    }

    /// The shard of weights.
    pub(super) fn weights(&self) -> Result<&ShardRows> {
        self.weights.as_ref().ok_or_else(|| self.missing("binding", "quants"))
    }

    /// Rows of a binding of floats, `[count, cols]` without the padding of rows that are `stride` apart.
    pub(super) fn rows(&self, name: &'static str, count: usize, stride: usize, cols: usize) -> Result<Vec<f32>> {
        let floats = self.floats(name)?;
        Ok(floats.chunks_exact(stride).take(count).flat_map(|row| &row[..cols]).copied().collect())
    }

    fn missing(&self, what: &str, name: &str) -> Error {
        let reason = format!("the check expects the {what} {name} of {}, which has none", self.dispatch.kernel.name);
        Error::Internal { reason }
    }
}

/// Words of a group of 32 values as 8-bit integers: the bytes, the scale, the sums of the first and last 16, and padding.
pub(super) const INT8_GROUP_WORDS: usize = 12;

/// The values of groups of 8-bit integers.
pub(super) fn int8_values(words: &[u32]) -> Vec<f32> {
    let groups = words.chunks_exact(INT8_GROUP_WORDS);
    groups
        .flat_map(|group| {
            let scale = f32::from_bits(group[8]);
            let bytes: &[i8] = bytemuck::cast_slice(&group[..8]);
            bytes.iter().map(move |byte| scale * f32::from(*byte))
        })
        .collect()
}

/// Values of words that hold two f16 each.
pub(super) fn half_values(words: &[u32]) -> Vec<f32> {
    let halves: &[half::f16] = bytemuck::cast_slice(words);
    halves.iter().map(|half| half.to_f32()).collect()
}
