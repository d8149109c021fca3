//! Gemma: configuration, weights and the layer graph.

pub mod config;
mod feed_forward;
mod forward;
mod kv_cache;
mod products;
mod shapes;
mod state;
mod weights;

pub use config::{Architecture, Config, LayerAttention};
pub(crate) use feed_forward::{FeedForward, Hidden, folds_seam, record_hidden};
pub use forward::{Head, Model, record_body, record_head};
pub use kv_cache::KvCache;
pub(crate) use products::Products;
pub use products::{Few, Kernels, Matmul, Matvec, Mode};
pub use shapes::SHAPES;
pub use state::State;
pub use weights::{LayerWeights, RopeTables, Stack, Weights};
