//! Which format each matrix of a model gets.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::config::Config;
use crate::error::{Error, one_of};
use crate::load::gguf::DEFAULT_ALIGNMENT;
use crate::load::{LayerTensor, TensorId};
use crate::quant::WeightFormat;

/// Which format each matrix of a model gets when it is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// One format for all matrices.
    Pure(WeightFormat),
    /// llama.cpp's Q4_K_M: `q4_k`, and `q6_k` where a small error costs most quality per byte: in the embedding, which is also
    /// the head, and in the values and the last product of the feed-forward part of the first and the last eighth of the layers and of
    /// every third one between.
    Q4KM,
    /// As [`Recipe::Q4KM`], with `q5_k` instead of `q4_k`.
    Q5KM,
}

impl Recipe {
    /// Every recipe.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Q4KM, Self::Q5KM].into_iter().chain(WeightFormat::ALL.map(Self::Pure))
    }

    /// The recipe's name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pure(format) => format.name(),
            Self::Q4KM => "q4_k_m",
            Self::Q5KM => "q5_k_m",
        }
    }

    /// The format of a tensor in the file. Norms are f32. A row that is no whole number of the format's blocks takes another
    /// format of as many bits or more, the same as in llama.cpp.
    pub fn format_of(self, id: TensorId, config: &Config) -> WeightFormat {
        if id.is_norm() {
            return WeightFormat::F32;
        }
        let [_, cols] = id.shape(config);
        let (base, sensitive) = match self {
            Self::Pure(format) => (format, format),
            Self::Q4KM => (WeightFormat::Q4K, WeightFormat::Q6K),
            Self::Q5KM => (WeightFormat::Q5K, WeightFormat::Q6K),
        };
        let mut format = if is_sensitive(id, config.num_layers) { sensitive } else { base };
        while format.row_bytes(cols).is_none() {
            format = match format {
                WeightFormat::Q4K => WeightFormat::Q5_0,
                WeightFormat::Q5K => WeightFormat::Q5_1,
                WeightFormat::Q6K => WeightFormat::Q8_0,
                _ => WeightFormat::F16,
            };
        }
        format
    }

    /// Bytes of a model's tensors in a file.
    pub fn bytes(self, config: &Config) -> u64 {
        let bytes = |id: TensorId| padded_bytes(self.format_of(id, config), id.shape(config));
        TensorId::all(config).into_iter().map(bytes).sum()
    }

    /// The number by which GGUF files name the mix of their formats.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::Q4KM => 15,
            Self::Q5KM => 17,
            Self::Pure(format) => format.gguf_file_type(),
        }
    }
}

/// Whether the mixed recipes give a matrix more bits.
fn is_sensitive(id: TensorId, layers: usize) -> bool {
    match id {
        TensorId::Embedding => true,
        TensorId::Layer(i, LayerTensor::Value | LayerTensor::Down) => {
            let eighth = layers / 8;
            i < eighth || i >= 7 * layers / 8 || (i - eighth) % 3 == 2
        }
        _ => false,
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        static EXPECTED: LazyLock<String> =
            LazyLock::new(|| one_of(&Recipe::all().map(Recipe::name).collect::<Vec<_>>()));
        let lower = text.to_lowercase();
        let known = Self::all().find(|recipe| recipe.name() == lower);
        known.ok_or_else(|| Error::Setting { field: "weights", value: text.to_owned(), expected: &EXPECTED })
    }
}

/// Bytes of a tensor up to the next one.
pub(super) fn padded_bytes(format: WeightFormat, [rows, cols]: [usize; 2]) -> u64 {
    // Recipes choose formats whose blocks fit the columns.
    let row = format.row_bytes(cols).unwrap_or(0) as u64;
    (rows as u64 * row).next_multiple_of(DEFAULT_ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_that_of_published_files() {
        // gemma-2-2b-it-Q4_K_M.gguf has 1,708,582,752 bytes, some 6 million of which are its vocabulary.
        let bytes = Recipe::Q4KM.bytes(&Config::of_shape("gemma-2-2b").unwrap());
        assert!((1_695_000_000..1_708_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn rows_that_are_no_whole_blocks_get_a_format_that_fits() {
        // 640 columns are no whole number of 256.
        let config = Config::of_shape("gemma-3-270m").unwrap();
        let of = |recipe: Recipe, tensor| recipe.format_of(TensorId::Layer(3, tensor), &config);
        assert_eq!(of(Recipe::Q4KM, LayerTensor::Query), WeightFormat::Q5_0);
        assert_eq!(of(Recipe::Q4KM, LayerTensor::Down), WeightFormat::Q4K);
        assert_eq!(of(Recipe::Q5KM, LayerTensor::Gate), WeightFormat::Q5_1);
        assert_eq!(of(Recipe::Q4KM, LayerTensor::InputNorm), WeightFormat::F32);
        assert_eq!(Recipe::Q4KM.format_of(TensorId::Embedding, &config), WeightFormat::Q8_0);
        let narrow = Config { hidden_size: 40, ..config };
        assert_eq!(Recipe::Q4KM.format_of(TensorId::Embedding, &narrow), WeightFormat::F16);
    }

    #[test]
    fn names_are_read_back() {
        for recipe in Recipe::all() {
            assert_eq!(recipe.name().to_uppercase().parse::<Recipe>().unwrap(), recipe);
        }
        assert!("q9".parse::<Recipe>().unwrap_err().to_string().contains("q4_k_m"));
    }
}
