//! Gemma: configuration, weights and the layer graph.

mod activations;
pub mod config;
mod feed_forward;
mod forward;
mod kv_cache;
mod products;
mod sequence_state;
mod shapes;
mod weights;

pub use activations::Activations;
pub use config::{Architecture, Config, LayerAttention};
pub(crate) use feed_forward::{FeedForward, FfnInner, record_ffn_inner};
pub use forward::{Head, Model, record_body, record_head};
pub use kv_cache::KvCache;
pub use products::Kernels;
pub(crate) use products::Products;
pub use sequence_state::SequenceState;
pub use shapes::SHAPES;
pub(crate) use weights::Source;
pub use weights::{LayerWeights, RopeTables, Stack, Weights};
