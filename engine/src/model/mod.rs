//! Gemma: configuration, weights and the layer graph.

pub mod config;
mod forward;
mod kv_cache;
mod shapes;
mod state;
mod weights;

pub use config::{Architecture, Config, LayerAttention};
pub use forward::{Head, Mode, record_body, record_head};
pub use kv_cache::KvCache;
pub use shapes::SHAPES;
pub use state::State;
pub use weights::{LayerWeights, RopeTables, Weights};
