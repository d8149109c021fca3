//! The weights of a model: declared from its files' headers, then uploaded.

use crate::config::Config;
use crate::error::Result;
use crate::gpu::{Capabilities, Gpu, Tensor};
use crate::load::{LayerTensor, ModelFiles, TensorId, Uploader};
use crate::ops::{cos_sin, first_up, rope_table};
use crate::quant::{Matrix, WeightFormat};

/// All weights. `H` is the hidden size, `F` the intermediate size, `D` the head size, `Q` and `K` the numbers of query
/// and key heads.
#[derive(Debug)]
pub struct Weights {
    /// `[vocab, H]`: the token embedding, which is also the head.
    pub embedding: Matrix,
    /// In order.
    pub layers: Vec<LayerWeights>,
    /// `[1, H]`
    pub final_norm: Tensor,
}

/// Matrices with the same input and one output. Adjacent ones of the same format are stored as one matrix, so that they
/// take one dispatch.
#[derive(Debug)]
pub struct Stack {
    /// In order.
    parts: Vec<StackPart>,
}

#[derive(Debug)]
struct StackPart {
    matrix: Matrix,
    /// The first column of its output.
    first_out: usize,
    /// The tensors of the file that hold its rows, in order.
    tensors: Vec<TensorId>,
}

impl Stack {
    /// Each matrix with the first column of its output.
    pub(crate) fn placed(&self) -> Vec<(&Matrix, usize)> {
        self.parts.iter().map(|part| (&part.matrix, part.first_out)).collect()
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

/// A matrix or a norm, with the tensors of the file that hold it: a matrix's rows in order, norms side by side.
pub(crate) enum Source<'a> {
    /// `[rows, cols]`
    Matrix(&'a Matrix, Vec<TensorId>),
    /// `[1, cols]`
    Norm(&'a Tensor, Vec<TensorId>),
}

impl Weights {
    /// Declares the weights of a model, in `format` or in the file's formats. It needs no device and reads only the
    /// files' headers. Matrices are split into shards that fit the bindings of a device with these capabilities.
    ///
    /// # Errors
    /// The errors of [`ModelFiles::tensor`].
    pub fn new(files: &ModelFiles, format: Option<WeightFormat>, capabilities: &Capabilities) -> Result<Self> {
        let config = files.config();
        let declare = Declare { files, format, capabilities };
        Ok(Self {
            embedding: declare.matrix("embedding", TensorId::Embedding)?,
            layers: (0..config.num_layers).map(|i| declare.layer(i)).collect::<Result<_>>()?,
            final_norm: Tensor::new("final_norm", 1, config.hidden_size),
        })
    }

    /// Uploads the weights from the files that they were declared from.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) if `progress` returns false, the errors of buffers, and those of
    /// reading the files.
    pub async fn upload(
        &self,
        gpu: &Gpu,
        files: &ModelFiles,
        progress: &mut (dyn FnMut(u64, u64) -> bool + Send),
    ) -> Result<()> {
        let mut total = 0;
        for part in TensorId::all(files.config()) {
            let view = files.tensor(part)?;
            total += view.format.row_bytes(view.cols).map_or(0, |bytes| view.rows as u64 * bytes as u64);
        }
        let mut uploader = Uploader::new(gpu, total, progress);
        let views = |parts: &[TensorId]| parts.iter().map(|part| files.tensor(*part)).collect::<Result<Vec<_>>>();
        for source in self.sources() {
            match source {
                Source::Matrix(matrix, parts) => uploader.fill(matrix, &views(&parts)?).await?,
                Source::Norm(norm, parts) => uploader.fill_row(norm, &views(&parts)?, files.norm_offset()).await?,
            }
        }
        uploader.finish().await?;
        uploader.report_all()
    }

    /// Checks that a device can bind every shard. Call this before the weights are uploaded.
    ///
    /// # Errors
    /// [`Error::Adapter`](crate::Error::Adapter) if eight rows of a matrix exceed a binding.
    pub fn check_size(&self, gpu: &Gpu) -> Result<()> {
        self.matrices().try_for_each(|matrix| matrix.check_size(gpu))
    }

    /// Everything, with its tensors in the file.
    pub(crate) fn sources(&self) -> Vec<Source<'_>> {
        let mut sources = vec![Source::Matrix(&self.embedding, vec![TensorId::Embedding])];
        for (i, layer) in self.layers.iter().enumerate() {
            let named = |part| vec![TensorId::Layer(i, part)];
            let stacked = layer.qkv.parts.iter().chain(&layer.gate_up.parts);
            sources.extend(stacked.map(|part| Source::Matrix(&part.matrix, part.tensors.clone())));
            sources.extend([
                Source::Matrix(&layer.output, named(LayerTensor::Output)),
                Source::Matrix(&layer.down, named(LayerTensor::Down)),
                Source::Norm(&layer.input_norm, named(LayerTensor::InputNorm)),
                Source::Norm(&layer.post_attention_norm, named(LayerTensor::PostAttentionNorm)),
                Source::Norm(&layer.pre_ffn_norm, named(LayerTensor::PreFfnNorm)),
                Source::Norm(&layer.post_ffn_norm, named(LayerTensor::PostFfnNorm)),
            ]);
            let query_key =
                || [LayerTensor::QueryNorm, LayerTensor::KeyNorm].map(|part| TensorId::Layer(i, part)).to_vec();
            sources.extend(layer.qk_norm.as_ref().map(|norm| Source::Norm(norm, query_key())));
        }
        sources.push(Source::Norm(&self.final_norm, vec![TensorId::FinalNorm]));
        sources
    }

    /// Every matrix.
    pub fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|layer| {
            let LayerWeights { qkv, output, gate_up, down, .. } = layer;
            let stacked = qkv.parts.iter().chain(&gate_up.parts).map(|part| &part.matrix);
            stacked.chain([output, down])
        });
        std::iter::once(&self.embedding).chain(layers)
    }

    /// The format of most weights, not counting f32; `None` if all are f32.
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

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let bytes = |source: Source<'_>| match source {
            Source::Matrix(matrix, _) => matrix.bytes(),
            Source::Norm(norm, _) => norm.buffer().bytes(),
        };
        self.sources().into_iter().map(bytes).sum()
    }
}

/// The inputs for declaring a model's weights.
struct Declare<'a> {
    files: &'a ModelFiles,
    format: Option<WeightFormat>,
    capabilities: &'a Capabilities,
}

impl Declare<'_> {
    fn matrix(&self, label: &str, part: TensorId) -> Result<Matrix> {
        let view = self.files.tensor(part)?;
        let format = self.format.unwrap_or(view.format);
        Ok(Matrix::new(label, format, [view.rows, view.cols], self.capabilities))
    }

    /// Matrices of the same input, each with the first column of its output.
    fn stack(&self, label: &str, placed: &[(TensorId, usize)]) -> Result<Stack> {
        /// Tensors of the file that become one matrix.
        struct Group {
            tensors: Vec<TensorId>,
            /// The format in the file. Tensors of different formats stay separate, because they are read differently.
            read_as: WeightFormat,
            format: WeightFormat,
            cols: usize,
            first_out: usize,
            end: usize,
        }
        let mut groups: Vec<Group> = Vec::new();
        for &(part, first_out) in placed {
            let view = self.files.tensor(part)?;
            let (read_as, cols, end) = (view.format, view.cols, first_out + view.rows);
            let format = self.format.unwrap_or(read_as);
            match groups.last_mut() {
                Some(last) if (last.read_as, last.format, last.end) == (read_as, format, first_out) => {
                    last.tensors.push(part);
                    last.end = end;
                }
                _ => groups.push(Group { tensors: vec![part], read_as, format, cols, first_out, end }),
            }
        }
        let parts = groups.into_iter().map(|Group { tensors, format, cols, first_out, end, .. }| {
            let shape = [end - first_out, cols];
            let matrix = Matrix::new(label, format, shape, self.capabilities);
            StackPart { matrix, first_out, tensors }
        });
        Ok(Stack { parts: parts.collect() })
    }

    fn layer(&self, i: usize) -> Result<LayerWeights> {
        let part = |part| TensorId::Layer(i, part);
        let config = self.files.config();
        let norm = |label| Tensor::new(label, 1, config.hidden_size);
        let (query, key) = (config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim);
        let first_up = first_up(config.intermediate_size);
        let qkv =
            [(part(LayerTensor::Query), 0), (part(LayerTensor::Key), query), (part(LayerTensor::Value), query + key)];
        let gate_up = [(part(LayerTensor::Gate), 0), (part(LayerTensor::Up), first_up)];
        Ok(LayerWeights {
            input_norm: norm("input_norm"),
            qkv: self.stack("qkv weights", &qkv)?,
            output: self.matrix("output weights", part(LayerTensor::Output))?,
            qk_norm: config.qk_norm.then(|| Tensor::new("qk_norm", 1, 2 * config.head_dim)),
            post_attention_norm: norm("post_attention_norm"),
            pre_ffn_norm: norm("pre_ffn_norm"),
            gate_up: self.stack("gate_up weights", &gate_up)?,
            down: self.matrix("down weights", part(LayerTensor::Down))?,
            post_ffn_norm: norm("post_ffn_norm"),
        })
    }
}

/// The rotary tables of a model, one per pair of base and scale that its layers use.
#[derive(Debug)]
pub struct RopeTables {
    tables: Vec<(f32, f32, Tensor)>,
    positions: usize,
    head_dim: usize,
}

impl RopeTables {
    /// Declares tables for `positions` positions.
    pub fn new(config: &Config, positions: usize) -> Self {
        let head_dim = config.head_dim;
        let mut tables: Vec<(f32, f32, Tensor)> = Vec::new();
        for layer in &config.layers {
            if !tables.iter().any(|(theta, scale, _)| (*theta, *scale) == (layer.rope_theta, layer.rope_scale)) {
                tables.push((layer.rope_theta, layer.rope_scale, rope_table(positions, head_dim)));
            }
        }
        Self { tables, positions, head_dim }
    }

    /// Computes and uploads the angles.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn upload(&self, gpu: &Gpu) -> Result<()> {
        for (theta, scale, table) in &self.tables {
            table.upload(gpu, &cos_sin(self.positions, self.head_dim, *theta, *scale)).await?;
        }
        Ok(())
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|(_, _, table)| table.buffer().bytes()).sum()
    }

    /// The table of a layer.
    pub(crate) fn of(&self, theta: f32, scale: f32) -> &Tensor {
        let found = self.tables.iter().find(|(t, s, _)| (*t, *s) == (theta, scale));
        let Some((_, _, table)) = found else { unreachable!("new() made one for every layer") };
        table
    }
}
