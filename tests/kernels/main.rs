//! Each kernel and variant against its reference, on every kind of device. One file per kernel, of the same name.

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
mod product;
mod quantize;
mod rms_norm;
mod rope;
mod sample;
mod shortlist;
mod to_f16;

use proptest::test_runner::Config;

/// A small number of cases, because each runs on every kind of device. The strategies choose odd shapes, so more cases
/// are not needed.
fn cases(n: u32) -> Config {
    Config { cases: n, failure_persistence: None, ..Config::default() }
}
