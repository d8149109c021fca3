//! Gemma: weights and the layer graph.

mod feed_forward;
mod forward;
mod kv_cache;
mod products;
mod state;
mod weights;

pub(crate) use feed_forward::{FeedForward, Hidden, folds_seam, record_hidden};
pub use forward::{Head, Model, record_body, record_head};
pub use kv_cache::KvCache;
pub(crate) use products::Products;
pub use products::{Few, Kernels, Matmul, Matvec, Mode};
pub use state::State;
pub use weights::{LayerWeights, RopeTables, Stack, Weights};
