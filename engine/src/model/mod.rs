//! Gemma: weights and the layer graph.

mod activations;
mod feed_forward;
mod forward;
mod products;
mod sequence_state;
mod weights;

pub use activations::Activations;
pub(crate) use feed_forward::{FeedForward, FfnInner, record_ffn_inner};
pub use forward::{Head, Model, record_body, record_head};
pub use products::Kernels;
pub(crate) use products::Products;
pub use sequence_state::SequenceState;
pub(crate) use weights::Source;
pub use weights::{LayerWeights, RopeTables, Stack, Weights};
