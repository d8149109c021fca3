//! The operations of the layer graph: one file a kernel, each with typed arguments, its shapes, and its dispatch.
//!
//! Every function records one or more dispatches into a [`Recorder`](crate::gpu::Recorder). Shapes are given as
//! `[rows, cols]` with `T` the tokens of a step. Columns are asserted; that there are rows and positions enough for a step is
//! up to who runs the plan ([`Gpu::run_plan`](crate::gpu::Gpu::run_plan)).

mod add_rms_norm;
mod argmax;
mod argmax_merge;
mod attention;
mod attention_merge;
mod cache;
mod embed;
mod gate_up;
mod gate_up_int8;
mod geglu;
mod logits;
mod matmul;
mod matmul_coop;
mod matmul_int8;
mod matmul_small;
mod matvec;
mod matvec_int8;
mod quantize;
mod rms_norm;
mod rope;
mod sample;
mod shortlist;

pub use add_rms_norm::{Seam, add_rms_norm};
pub use argmax::{ARGMAX_WORKGROUPS, argmax};
pub use argmax_merge::{Emitted, NO_TOKEN, argmax_merge};
pub use attention::{Attention, Shares, attention, attention_split};
pub use attention_merge::{Partials, attention_merge};
pub use cache::{CacheFormat, CacheLayer};
pub use embed::embed;
pub use gate_up::{gate_up, gate_up_fits};
pub use gate_up_int8::{gate_up_int8, gate_up_int8_fits};
pub use geglu::{first_up, gate_up_cols, geglu};
pub use logits::logits;
pub use matmul::matmul;
pub use matmul_coop::matmul_coop;
pub use matmul_int8::matmul_int8;
pub use matmul_small::{FEW_TOKENS, matmul_small};
pub use matvec::{Rows, matvec, matvec_geglu};
pub use matvec_int8::{Sharing, Width, matvec_int8, matvec_int8_geglu};
pub use quantize::{Factor, Int8Tensor, quantize};
pub use rms_norm::rms_norm;
pub use rope::{Rope, cos_sin_table, rope};
pub use sample::sample;
pub use shortlist::{LISTS, Shortlist, shortlist};

use self::rms_norm::norm_width;
use crate::gpu::Tensor;

/// Bytes that every device has for a workgroup's memory.
const WORKGROUP_BYTES: usize = 16 << 10;

/// Whether a kernel that reads `[T, cols]` may read this tensor.
fn assert_cols(name: &str, tensor: &Tensor, cols: usize) {
    assert!(tensor.cols() == cols, "{name} has {} columns, not {cols}", tensor.cols());
}

/// Sizes are checked when a model's configuration is read; none comes near the limit.
fn u32_of(n: usize) -> u32 {
    assert!(n <= u32::MAX as usize, "{n} is no size that kernels can count");
    n as u32
}
