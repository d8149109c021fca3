//! The pipelines that the layer graph records for some model on a device.

use std::collections::BTreeMap;

use lapidary_engine::config::Config;
use lapidary_engine::gpu::{Capabilities, Dispatch, Recording};
use lapidary_engine::model::{
    Activations, Body, Capacity, Head, Kernels, Model, RopeTables, SequenceBuffers, Weights, record_body, record_head,
};
use lapidary_engine::ops::{Mode, Way};
use lapidary_engine::{CacheFormat, ModelFiles, WeightFormat};

use crate::with_shards;

/// A variant's name and the values of its overrides.
pub type PipelineKey = (&'static str, Vec<(&'static str, u32)>);

/// One dispatch for each pipeline that a device could be asked for: every way to multiply that it supports in every weight
/// format, and every kind of attention. The models have `hidden` columns, a multiple of 64, and matrices whose shards have at
/// most as many bytes as each of `shard_bytes`.
///
/// # Panics
/// If a dispatch is recorded for which its kernel has no variant.
pub fn recorded_pipelines(
    device: &Capabilities,
    hidden: usize,
    shard_bytes: &[u64],
) -> BTreeMap<PipelineKey, Dispatch> {
    let mut recorded = BTreeMap::new();
    let files = files("gemma-2-2b", hidden, 2, 32);
    for format in WeightFormat::ALL {
        for kernels in kernels(format, device) {
            for bytes in shard_bytes {
                let weights = weights(&files, format, *bytes, device);
                record(device, &files, &weights, kernels, CacheFormat::F16, &mut recorded);
            }
        }
    }
    // Both families, each number of rows that share keys, heads of whole groups and others.
    for (shape, group, head_dim) in [("gemma-2-2b", 1), ("gemma-2-2b", 2), ("gemma-3-270m", 3), ("gemma-3-270m", 8)]
        .into_iter()
        .flat_map(|(shape, group)| [(shape, group, 32), (shape, group, 40)])
    {
        let files = self::files(shape, hidden, group, head_dim);
        let weights = weights(&files, WeightFormat::Q8_0, u64::MAX, device);
        for kernels in kernels(WeightFormat::Q8_0, device) {
            for cache in [CacheFormat::F32, CacheFormat::F16] {
                record(device, &files, &weights, kernels, cache, &mut recorded);
            }
        }
    }
    recorded
}

/// A model of two layers of the family of a published one, with `group` query heads per KV head.
fn files(shape: &str, hidden: usize, group: usize, head_dim: usize) -> ModelFiles {
    let mut config = Config::of_shape(shape).expect("a published shape");
    config.num_layers = 2;
    config.layers.truncate(2);
    (config.hidden_size, config.intermediate_size, config.vocab_size) = (hidden, 64, 128);
    (config.num_heads, config.num_kv_heads, config.head_dim) = (group, 1, head_dim);
    ModelFiles::synthetic(config, WeightFormat::F32, "noise")
}

fn weights(files: &ModelFiles, format: WeightFormat, shard_bytes: u64, device: &Capabilities) -> Weights {
    Weights::new(files, Some(format), &with_shards(device, shard_bytes)).expect("weights that fit together")
}

/// Choices of kernels that together have every way to multiply in a format, with and without fused norms.
fn kernels(format: WeightFormat, device: &Capabilities) -> Vec<Kernels> {
    let [decode, small, prefill] = [Mode::Decode, Mode::SmallBatch, Mode::Prefill]
        .map(|mode| Way::all(mode).filter(|way| way.supports(format, device)).collect::<Vec<_>>());
    let choice = |i: usize, fuses_norms| Kernels {
        decode: decode[i % decode.len()],
        small_batch: Some(small[i % small.len()]),
        prefill: prefill[i % prefill.len()],
        fuses_norms,
    };
    let most = decode.len().max(small.len()).max(prefill.len());
    (0..most).flat_map(|i| [choice(i, false), choice(i, true)]).collect()
}

/// Adds the dispatches of a model's plans.
fn record(
    device: &Capabilities,
    files: &ModelFiles,
    weights: &Weights,
    kernels: Kernels,
    cache: CacheFormat,
    recorded: &mut BTreeMap<PipelineKey, Dispatch>,
) {
    let config = files.config();
    let buffers = SequenceBuffers::new(config, cache, Capacity::for_one(64));
    let tables = RopeTables::new(config, 64);
    let activations = Activations::new(config, device, 32, 32);
    let model = Model { config, weights, tables: &tables, kernels, usable_vocab: config.vocab_size };
    let mut r = Recording::new(device);
    for mode in [Mode::SmallBatch, Mode::Prefill] {
        record_body(&mut r, Body::Prompt(mode), model, &buffers, &activations);
    }
    for mode in [Mode::Decode, Mode::SmallBatch, Mode::Prefill] {
        record_body(&mut r, Body::Newest(mode), model, &buffers, &activations);
    }
    for head in [Head::Greedy, Head::Sample, Head::AllLogits] {
        record_head(&mut r, head, model, &buffers, &activations);
    }
    for dispatch in r.dispatches() {
        let variant = dispatch.variant().unwrap_or_else(|| panic!("{dispatch}"));
        recorded.entry((variant.name(), dispatch.constants.clone())).or_insert_with(|| dispatch.clone());
    }
}
