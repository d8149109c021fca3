//! Models without a file: weights of the right size and spread, for measuring.

use std::collections::HashMap;
use std::path::PathBuf;

use super::source::ModelFile;
use super::tensor_id::TensorId;
use super::{Bytes, Located, ModelFiles, TensorView, TokenizerSource, Uploader};
use crate::config::Config;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::quant::{Matrix, WeightFormat};

/// Rows that a large model has per width; its matrices repeat them. A prime that is above the rows of a kernel's tile, so that a
/// kernel that takes a row for another computes something else.
const ROWS: usize = 67;
/// Values of a model all of whose rows differ, at most.
const SMALL: usize = 1 << 22;

impl ModelFiles {
    /// A model of this shape whose weights are noise, in `format` where rows are whole blocks of it, else in bf16. In a large
    /// one the rows of a matrix repeat, so the host stores some of them. The device stores all.
    pub fn synthetic(config: Config, format: WeightFormat, name: &str) -> ModelFiles {
        Self::synthetic_mixed(config, |_| format, name)
    }

    /// [`ModelFiles::synthetic`] with a format per tensor. Norms are f32.
    pub fn synthetic_mixed(config: Config, format_of: impl Fn(TensorId) -> WeightFormat, name: &str) -> ModelFiles {
        let mut files: Vec<ModelFile> = Vec::new();
        let mut patterns: HashMap<(usize, bool, usize, WeightFormat), Located> = HashMap::new();
        let mut tensors = HashMap::new();
        let values = TensorId::all(&config).into_iter().map(|id| id.shape(&config).iter().product::<usize>());
        let is_small = values.sum::<usize>() <= SMALL;
        for (i, id) in TensorId::all(&config).into_iter().enumerate() {
            let [rows, cols] = id.shape(&config);
            let format = match id.is_norm() {
                true => WeightFormat::F32,
                false => {
                    Some(format_of(id)).filter(|format| format.row_bytes(cols).is_some()).unwrap_or(WeightFormat::Bf16)
                }
            };
            let key = (cols, id.is_norm(), if is_small { i } else { 0 }, format);
            let pattern = patterns.entry(key).or_insert_with(|| {
                let count = if id.is_norm() || is_small { rows } else { ROWS };
                // Norms near 1, and projections that keep the magnitude of their input.
                let (mean, spread) = if id.is_norm() { (1.0, 0.1) } else { (0.0, 1.7 / (cols as f32).sqrt()) };
                let bytes = Bytes::from(noise_rows(format, count, cols, mean, spread, key.2));
                let range = 0..bytes.len() as u64;
                files.push(ModelFile::new(PathBuf::from(name), bytes));
                Located { name: String::new(), format, shape: [count, cols], file: files.len() - 1, range }
            });
            tensors.insert(id, Located { name: id.gguf_name(), shape: [rows, cols], ..pattern.clone() });
        }
        ModelFiles {
            path: PathBuf::from(name),
            name: name.to_owned(),
            is_hub: false,
            config,
            tokenizer: TokenizerSource::Missing { looked_for: PathBuf::from(name) },
            tensors,
            files,
            chat_template: None,
        }
    }
}

/// Rows of evenly spread numbers, `spread` to both sides of `mean`.
fn noise_rows(format: WeightFormat, rows: usize, cols: usize, mean: f32, spread: f32, seed: usize) -> Vec<u8> {
    let mut noise = Noise(cols as u64 + ((seed as u64) << 32));
    let mut bytes = Vec::new();
    for _ in 0..rows {
        let row: Vec<f32> = (0..cols).map(|_| mean + spread * noise.next()).collect();
        format.quantize(&row, &mut bytes);
    }
    bytes
}

/// Rows of noise, of which matrices are made for measuring.
pub struct NoiseRows {
    format: WeightFormat,
    cols: usize,
    bytes: Bytes,
}

impl NoiseRows {
    /// Rows of `cols` values, which are whole blocks of the format.
    pub fn new(format: WeightFormat, cols: usize) -> Self {
        Self { format, cols, bytes: noise_rows(format, ROWS, cols, 0.0, 1.0, 0).into() }
    }

    /// A matrix whose rows repeat these, on a device.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn matrix(&self, gpu: &Gpu, rows: usize) -> Result<Matrix> {
        let view = TensorView::in_memory("noise", self.format, rows, self.cols, &self.bytes);
        let matrix = Matrix::new("noise", self.format, [rows, self.cols], gpu.capabilities());
        let mut ignore = |_, _| true;
        let mut uploader = Uploader::new(gpu, 0, &mut ignore);
        uploader.fill(&matrix, &[view]).await?;
        uploader.finish().await?;
        Ok(matrix)
    }
}

/// Uniform numbers from -1 to 1, the same for the same seed (xorshift64*, Vigna 2016).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1 << 23) as f32 - 1.0
    }
}
