//! Reference implementations of the kernels in plain Rust: `f32` inputs and outputs, `f64` sums, as direct as the formulas.
//!
//! They have no tiles, groups, shards or padding. A reference shares its kernel's meaning and not its method, so that an error
//! of the method shows. There is one file per computation, named after the kernel; `matmul` is the reference of every kernel
//! whose name begins with it.

mod add_rms_norm;
mod argmax;
mod argmax_merge;
mod attention;
mod attention_merge;
mod embed;
mod geglu;
mod logits;
mod matmul;
mod matvec;
mod norm_matvec;
mod quantize;
mod rms_norm;
mod rope;
mod sample;
mod shortlist;
mod to_f16;

pub use add_rms_norm::add_rms_norm;
pub use argmax::argmax;
pub use argmax_merge::argmax_merge;
pub use attention::{Attention, attention};
pub use attention_merge::{Partial, attention_merge};
pub use embed::embed;
pub use geglu::geglu;
pub use logits::logits;
pub use matmul::matmul;
pub use matvec::matvec;
pub use norm_matvec::norm_matvec;
pub use quantize::quantize;
pub use rms_norm::rms_norm;
pub use rope::{Rope, rope};
pub use sample::{Sample, probabilities, random, sample};
pub use shortlist::shortlist;
pub use to_f16::to_f16;

/// Dot product, accumulated in `f64`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
