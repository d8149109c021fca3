//! The kernels' computations in plain Rust: `f32` in and out, `f64` within, as directly as the formulas are written.
//!
//! A twin knows nothing of tiles, groups, shards or padding: what it shares with its kernel is the meaning, not the method,
//! so that an error of method shows. One file a kernel, of the same name.

mod add_rms_norm;
mod argmax;
mod attention;
mod attention_merge;
mod embed;
mod gate_up;
mod geglu;
mod logits;
mod matmul;
mod matvec;
mod pick;
mod quantize;
mod rms_norm;
mod rope;
mod sample;
mod shortlist;

pub use add_rms_norm::add_rms_norm;
pub use argmax::argmax;
pub use attention::{Attention, attention};
pub use attention_merge::{Partial, attention_merge};
pub use embed::embed;
pub use gate_up::gate_up;
pub use geglu::geglu;
pub use logits::logits;
pub use matmul::matmul;
pub use matvec::matvec;
pub use pick::pick;
pub use quantize::quantize;
pub use rms_norm::rms_norm;
pub use rope::{Rope, rope};
pub use sample::{Sample, probabilities, random, sample};
pub use shortlist::shortlist;

/// Dot product, accumulated in `f64`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
