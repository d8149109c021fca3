//! Every linked variant is one that the layer graph records for some model on some device.

use std::collections::BTreeSet;

use lapidary_engine::config::Config;
use lapidary_engine::gpu::{Capabilities, Recording};
use lapidary_engine::model::{
    Activations, Head, Kernels, Model, RopeTables, SequenceState, Weights, record_body, record_head,
};
use lapidary_engine::ops::{Mode, Way};
use lapidary_engine::{CacheFormat, ModelFiles, WeightFormat};
use lapidary_shaders::kernels;

#[test]
fn every_variant_is_recorded() {
    let mut recorded = BTreeSet::new();
    for device in devices() {
        // Every way to multiply in every format, with matrices of one shard and of several.
        let files = files("gemma-2-2b", 2, 32);
        for format in WeightFormat::ALL {
            for kernels in kernels(format, &device) {
                for shard_bytes in [u64::MAX, 2048] {
                    let weights = Weights::new(&files, Some(format), shard_bytes, &device).unwrap();
                    record(&device, &files, &weights, kernels, CacheFormat::F16, &mut recorded);
                }
            }
        }
        // Every kind of attention: both families, each number of rows that share keys, heads of whole groups and others.
        for (shape, group, head_dim) in [("gemma-2-2b", 1), ("gemma-2-2b", 2), ("gemma-3-270m", 3), ("gemma-3-270m", 8)]
            .into_iter()
            .flat_map(|(shape, group)| [(shape, group, 32), (shape, group, 40)])
        {
            let files = self::files(shape, group, head_dim);
            let weights = Weights::new(&files, Some(WeightFormat::Q8_0), u64::MAX, &device).unwrap();
            for kernels in kernels(WeightFormat::Q8_0, &device) {
                for cache in [CacheFormat::F32, CacheFormat::F16] {
                    record(&device, &files, &weights, kernels, cache, &mut recorded);
                }
            }
        }
    }
    let all = kernels::ALL.iter().flat_map(|kernel| kernel.variants).map(|variant| variant.name());
    let unused: Vec<_> = all.filter(|name| !recorded.contains(name)).collect();
    assert!(unused.is_empty(), "{} variants are linked for nothing: {unused:?}", unused.len());
}

/// The capabilities of every kind of device that has different shaders or plans.
fn devices() -> Vec<Capabilities> {
    let mut devices = Vec::new();
    for kind in 0..8 {
        for cooperative_size in [None, Some(8), Some(16)] {
            let mut device = Capabilities::webgpu();
            (device.subgroups, device.narrow_subgroups, device.software) = (kind & 1 > 0, kind & 2 > 0, kind & 4 > 0);
            device.cooperative_size = cooperative_size;
            // On a software adapter, the cores decide whether keys are split.
            device.cores = if cooperative_size.is_none() { 1 } else { 16 };
            devices.push(device);
        }
    }
    devices
}

/// A small model of the family of a published one, with `group` query heads per KV head.
fn files(shape: &str, group: usize, head_dim: usize) -> ModelFiles {
    let mut config = Config::of_shape(shape).unwrap();
    config.num_layers = 1;
    config.layers.truncate(1);
    (config.hidden_size, config.intermediate_size, config.vocab_size) = (64, 64, 128);
    (config.num_heads, config.num_kv_heads, config.head_dim) = (group, 1, head_dim);
    ModelFiles::synthetic(config, WeightFormat::F32, "noise")
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

/// Adds the variants that the plans of a model use.
fn record(
    device: &Capabilities,
    files: &ModelFiles,
    weights: &Weights,
    kernels: Kernels,
    cache: CacheFormat,
    recorded: &mut BTreeSet<&'static str>,
) {
    let config = files.config();
    let sequence = SequenceState::new(config, cache, 64);
    let tables = RopeTables::new(config, 64);
    let activations = Activations::new(config, device, 32, 32);
    let model = Model { config, weights, tables: &tables, kernels };
    let mut r = Recording::new(device);
    for mode in [Mode::Decode, Mode::SmallBatch, Mode::Prefill] {
        record_body(&mut r, mode, model, &sequence, &activations);
    }
    for head in [Head::Greedy, Head::Sample, Head::AllLogits] {
        record_head(&mut r, head, model, &sequence, &activations, config.vocab_size);
    }
    for dispatch in r.dispatches() {
        let variant = dispatch.variant().unwrap_or_else(|| panic!("{dispatch}"));
        recorded.insert(variant.name());
    }
}
