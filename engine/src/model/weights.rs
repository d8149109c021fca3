//! The weights of a model on the device.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Gpu, Tensor};
use crate::load::{LayerTensor, ModelFiles, TensorId, TensorView, Uploader, floats};
use crate::ops::{cos_sin_table, first_up};
use crate::quant::{Matrix, WeightFormat};

/// All weights. `H` is the hidden size, `F` the intermediate size, `D` a head's size, `Q` and `K` query and key heads.
#[derive(Debug)]
pub struct Weights {
    /// `[vocab, H]`: token embedding and, tied, the head.
    pub embedding: Matrix,
    /// In order.
    pub layers: Vec<LayerWeights>,
    /// `[1, H]`
    pub final_norm: Tensor,
}

/// Matrices that multiply the same vector, to one output: neighbours of the same format are one matrix, so that they take
/// one dispatch.
#[derive(Debug)]
pub struct Stack {
    /// In order, each with the first column of its output.
    parts: Vec<(Matrix, usize)>,
}

impl Stack {
    /// Each matrix with the first column of its output.
    pub(crate) fn placed(&self) -> Vec<(&Matrix, usize)> {
        self.parts.iter().map(|(matrix, first_out)| (matrix, *first_out)).collect()
    }
}

/// The weights of a layer. Norms hold `1 + w`.
#[derive(Debug)]
pub struct LayerWeights {
    /// `[1, H]`
    pub input_norm: Tensor,
    /// `[Q · D, H]`, `[K · D, H]` twice: queries, keys, values.
    pub qkv: Stack,
    /// `[H, Q · D]`
    pub output: Matrix,
    /// `[1, 2 · D]`: the norm of queries, then of keys; Gemma-3 only.
    pub qk_norm: Option<Tensor>,
    /// `[1, H]`
    pub post_attention_norm: Tensor,
    /// `[1, H]`
    pub pre_ffn_norm: Tensor,
    /// `[F, H]` twice: gates, ups.
    pub gate_up: Stack,
    /// `[H, F]`
    pub down: Matrix,
    /// `[1, H]`
    pub post_ffn_norm: Tensor,
}

impl Weights {
    /// Uploads a model's weights, as `format` or as the file has them.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) if `progress` returns false; out of memory; limits of the adapter.
    pub async fn load(
        gpu: &Gpu,
        files: &ModelFiles,
        format: Option<WeightFormat>,
        max_shard_bytes: u64,
        progress: &mut (dyn FnMut(u64, u64) -> bool + Send),
    ) -> Result<Self> {
        let config = files.config();
        let mut total = 0;
        for part in TensorId::all(config) {
            let view = files.tensor(part)?;
            total += view.format.row_bytes(view.cols).map_or(0, |bytes| bytes as u64 * view.rows as u64);
        }
        let mut loader = Loader { gpu, files, format, uploader: Uploader::new(gpu, max_shard_bytes, total, progress) };
        let embedding = loader.matrix(TensorId::Embedding).await?;
        let mut layers = Vec::with_capacity(config.num_layers);
        for i in 0..config.num_layers {
            layers.push(loader.layer(i).await?);
        }
        let final_norm = loader.norm(TensorId::FinalNorm).await?;
        loader.uploader.finish().await?;
        loader.uploader.report_all()?;
        Ok(Self { embedding, layers, final_norm })
    }

    /// Every matrix.
    pub fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|layer| {
            let LayerWeights { qkv, output, gate_up, down, .. } = layer;
            let stacked = qkv.parts.iter().chain(&gate_up.parts).map(|(matrix, _)| matrix);
            stacked.chain([output, down])
        });
        std::iter::once(&self.embedding).chain(layers)
    }

    /// The format that most of the weights have, those of f32 aside.
    pub fn narrow_format(&self) -> Option<WeightFormat> {
        let mut bytes: Vec<(WeightFormat, u64)> = Vec::new();
        for matrix in self.matrices().filter(|matrix| matrix.format() != WeightFormat::F32) {
            match bytes.iter_mut().find(|(format, _)| *format == matrix.format()) {
                Some((_, sum)) => *sum += matrix.bytes(),
                None => bytes.push((matrix.format(), matrix.bytes())),
            }
        }
        bytes.into_iter().max_by_key(|(_, sum)| *sum).map(|(format, _)| format)
    }

    /// Bytes that the weights will take on the device, from the file's header alone.
    ///
    /// # Errors
    /// The errors of [`ModelFiles::tensor`].
    pub fn bytes(files: &ModelFiles, format: Option<WeightFormat>) -> Result<u64> {
        let mut bytes = 0;
        for part in TensorId::all(files.config()) {
            let view = files.tensor(part)?;
            let format = if view.rows == 1 { WeightFormat::F32 } else { format.unwrap_or(view.format) };
            let row = format.gpu_row(view.cols);
            bytes += view.rows as u64 * (16 * row.quant_vec4s + 4 * row.scale_words) as u64;
        }
        Ok(bytes)
    }
}

struct Loader<'a> {
    gpu: &'a Gpu,
    files: &'a ModelFiles,
    format: Option<WeightFormat>,
    uploader: Uploader<'a>,
}

impl Loader<'_> {
    async fn matrix(&mut self, part: TensorId) -> Result<Matrix> {
        let view = self.files.tensor(part)?;
        let format = self.format.unwrap_or(view.format);
        self.uploader.matrix(&[view], format).await
    }

    /// Matrices of the same input, each with the first column of its output.
    async fn stack(&mut self, placed: &[(TensorId, usize)]) -> Result<Stack> {
        // Matrices to be one, where they begin, and where they end.
        let mut groups: Vec<(Vec<TensorView<'_>>, WeightFormat, usize, usize)> = Vec::new();
        for &(part, first_out) in placed {
            let view = self.files.tensor(part)?;
            let format = self.format.unwrap_or(view.format);
            let end = first_out + view.rows;
            match groups.last_mut() {
                // What the file has in another format is read differently.
                Some((views, of, _, last)) if views[0].format == view.format && *of == format && *last == first_out => {
                    views.push(view);
                    *last = end;
                }
                _ => groups.push((vec![view], format, first_out, end)),
            }
        }
        let mut parts = Vec::with_capacity(groups.len());
        for (views, format, first_out, _) in groups {
            parts.push((self.uploader.matrix(&views, format).await?, first_out));
        }
        Ok(Stack { parts })
    }

    async fn norm(&mut self, part: TensorId) -> Result<Tensor> {
        let view = self.files.tensor(part)?;
        self.uploader.vector(&view, self.files.norm_offset()).await
    }

    /// The norms of queries and keys in one row.
    async fn qk_norm(&self, layer: usize) -> Result<Option<Tensor>> {
        if !self.files.config().qk_norm {
            return Ok(None);
        }
        let offset = self.files.norm_offset();
        let mut both = floats(&self.files.tensor(TensorId::Layer(layer, LayerTensor::QueryNorm))?, offset).await?;
        both.extend(floats(&self.files.tensor(TensorId::Layer(layer, LayerTensor::KeyNorm))?, offset).await?);
        Tensor::from_rows(self.gpu, "qk_norm", both.len(), &both).await.map(Some)
    }

    async fn layer(&mut self, i: usize) -> Result<LayerWeights> {
        let part = |part| TensorId::Layer(i, part);
        let config = self.files.config();
        let (query, key) = (config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim);
        let first_up = first_up(config.intermediate_size);
        let qkv =
            [(part(LayerTensor::Query), 0), (part(LayerTensor::Key), query), (part(LayerTensor::Value), query + key)];
        let gate_up = [(part(LayerTensor::Gate), 0), (part(LayerTensor::Up), first_up)];
        Ok(LayerWeights {
            input_norm: self.norm(part(LayerTensor::InputNorm)).await?,
            qkv: self.stack(&qkv).await?,
            output: self.matrix(part(LayerTensor::Output)).await?,
            qk_norm: self.qk_norm(i).await?,
            post_attention_norm: self.norm(part(LayerTensor::PostAttentionNorm)).await?,
            pre_ffn_norm: self.norm(part(LayerTensor::PreFfnNorm)).await?,
            gate_up: self.stack(&gate_up).await?,
            down: self.matrix(part(LayerTensor::Down)).await?,
            post_ffn_norm: self.norm(part(LayerTensor::PostFfnNorm)).await?,
        })
    }
}

/// The rotary tables of a model, one for each pair of base and scale that its layers use.
#[derive(Debug)]
pub struct RopeTables {
    tables: Vec<(f32, f32, Tensor)>,
}

impl RopeTables {
    /// Tables for `positions` positions.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu, config: &Config, positions: usize) -> Result<Self> {
        let mut tables: Vec<(f32, f32, Tensor)> = Vec::new();
        for layer in &config.layers {
            if !tables.iter().any(|(theta, scale, _)| (*theta, *scale) == (layer.rope_theta, layer.rope_scale)) {
                let table = cos_sin_table(gpu, positions, config.head_dim, layer.rope_theta, layer.rope_scale).await?;
                tables.push((layer.rope_theta, layer.rope_scale, table));
            }
        }
        Ok(Self { tables })
    }

    /// The table of a layer.
    pub(crate) fn of(&self, theta: f32, scale: f32) -> &Tensor {
        let found = self.tables.iter().find(|(t, s, _)| (*t, *s) == (theta, scale));
        let Some((_, _, table)) = found else { unreachable!("new() made one for every layer") };
        table
    }
}
