//! One function per computation, over typed arguments.
//!
//! Every function records one or more dispatches into a [`Recording`](crate::gpu::Recording). Shapes are given as
//! `[rows, cols]`, where `T` is the number of tokens of a step. The functions assert the columns. The caller that runs
//! the plan checks that there are enough rows and positions ([`Gpu::run_plan`](crate::gpu::Gpu::run_plan)).

mod add_rms_norm;
mod argmax;
mod argmax_merge;
mod attention;
mod attention_merge;
mod cache;
mod embed;
mod geglu;
mod logits;
mod norm_matvec;
mod operand;
mod product;
mod quantize;
mod rms_norm;
mod rope;
mod sample;
mod shortlist;
mod to_f16;
mod token_sink;
mod ways;

pub use add_rms_norm::{ResidualNorm, add_rms_norm};
pub use argmax::{argmax, argmax_candidates};
pub use argmax_merge::argmax_merge;
pub use attention::{Attention, KeySplits, Partials, attention, attention_split};
pub use attention_merge::{attention_merge, attention_splits};
pub use cache::{CacheFormat, CacheLayer, PAGE, PageTables};
pub use embed::{TokenIds, embed};
pub use geglu::{first_up, gate_up_cols, geglu};
pub use logits::logits;
pub use norm_matvec::{norm_matvec, norm_matvec_geglu};
pub use operand::Operand;
pub use product::{product, product_geglu};
pub use quantize::{Int8Tensor, quantize};
pub use rms_norm::rms_norm;
pub use rope::{Rope, cos_sin, rope, rope_table};
pub use sample::sample;
pub use shortlist::{Shortlist, shortlist};
pub use to_f16::{F16_SCALE, F16Tensor, to_f16};
pub use token_sink::{NO_TOKEN, TokenSink, token_ids};
pub use ways::{MAX_SMALL_BATCH, Mode, Rounding, WAYS, Way};

use lapidary_shaders::kernels;

use self::rms_norm::norm_width;
use crate::gpu::Tensor;

/// The number of stretches that [`argmax()`] and [`shortlist()`] split the logits into, one per workgroup.
pub const STRETCHES: usize = kernels::argmax::STRETCHES as usize;

/// Bytes of workgroup memory; WebGPU's default limit.
const WORKGROUP_BYTES: usize = 16 << 10;

/// Asserts that a tensor has `cols` columns.
fn assert_cols(name: &str, tensor: &Tensor, cols: usize) {
    assert!(tensor.cols() == cols, "{name} has {} columns, not {cols}", tensor.cols());
}

/// A size as u32. The reader of a model's configuration checks sizes, so all are far below the limit.
fn u32_of(n: usize) -> u32 {
    assert!(n <= u32::MAX as usize, "{n} is no size that kernels can count");
    n as u32
}
