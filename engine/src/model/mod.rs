//! Gemma: weights and the layer graph.

mod activations;
mod feed_forward;
mod forward;
mod products;
mod sequence_buffers;
mod weights;

pub use activations::Activations;
pub(crate) use feed_forward::{FeedForward, FfnInner, record_ffn_inner};
pub use forward::{Body, Head, Model, record_body, record_choice, record_head, record_logits};
pub use products::Kernels;
pub(crate) use products::Products;
pub use sequence_buffers::{Capacity, SequenceBuffers};
pub(crate) use weights::Source;
pub use weights::{LayerWeights, RopeTables, Stack, Weights};
