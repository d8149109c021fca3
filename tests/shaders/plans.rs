//! Compares the plans of published models, for a GPU and for a software adapter, with snapshots. No device is needed.
//!
//! The snapshots are in `tests/plans`. They list the dispatches of a token, and a change of the layer graph shows as a
//! diff. `LAPIDARY_UPDATE_PLANS=1` writes them again.

use std::fmt::Write as _;
use std::path::Path;

use lapidary_engine::config::Config;
use lapidary_engine::gpu::{Capabilities, Recording};
use lapidary_engine::model::{
    Activations, Body, Capacity, Head, Kernels, Model, RopeTables, SequenceBuffers, Weights, record_body, record_head,
    record_logits,
};
use lapidary_engine::ops::{MAX_SMALL_BATCH, Mode, Way};
use lapidary_engine::{CacheFormat, ModelFiles, WeightFormat};

/// The capacity of the cache, in tokens.
const CONTEXT: usize = 4096;
/// Tokens of a chunk of a prompt.
const CHUNK: usize = 256;

/// A typical GPU, with the kernels that tuning would probably choose.
fn hardware() -> (Capabilities, Kernels) {
    let mut capabilities = Capabilities::webgpu();
    (capabilities.subgroups, capabilities.wide_subgroups) = (true, true);
    capabilities.cooperative_size = Some(16);
    capabilities.max_workgroup_bytes = 48 << 10;
    capabilities.max_binding_bytes = 2 << 30;
    capabilities.max_buffer_bytes = 4 << 30;
    let way = |mode, name| Way::named(mode, name).unwrap();
    let kernels = Kernels {
        decode: way(Mode::Decode, "int8, split by 64"),
        small_batch: Some(way(Mode::SmallBatch, "int8, split by 64")),
        prefill: way(Mode::Prefill, "cooperative"),
        fuses_norms: true,
    };
    (capabilities, kernels)
}

/// Mesa's software adapter on two cores.
fn software() -> (Capabilities, Kernels) {
    let mut capabilities = Capabilities::webgpu();
    (capabilities.software, capabilities.subgroups, capabilities.narrow_subgroups) = (true, true, true);
    capabilities.cores = 2;
    let way = |mode, name| Way::named(mode, name).unwrap();
    let kernels = Kernels {
        decode: way(Mode::Decode, "int8, a row per lane"),
        prefill: way(Mode::Prefill, "int8, 16 lanes"),
        ..Kernels::FLOAT
    };
    (capabilities, kernels)
}

fn guide() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../app/guide/model");
    ModelFiles::open(&path).unwrap().config().clone()
}

#[test]
fn plans_are_as_written() {
    let update = std::env::var("LAPIDARY_UPDATE_PLANS").is_ok_and(|value| value == "1");
    for shape in ["gemma-2-2b", "gemma-2-9b", "gemma-2-27b", "gemma-3-270m", "guide"] {
        let config = if shape == "guide" { guide() } else { Config::of_shape(shape).unwrap() };
        for (device, (capabilities, kernels)) in [("hardware", hardware()), ("software", software())] {
            let text = text(&config, &capabilities, kernels);
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plans/{shape}.{device}.txt"));
            if update {
                std::fs::write(&path, &text).unwrap();
            }
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            let line = text.lines().zip(written.lines()).position(|(now, then)| now != then);
            assert!(
                text == written,
                "{}: differs from line {} on; LAPIDARY_UPDATE_PLANS=1 writes it anew",
                path.display(),
                line.unwrap_or(0) + 1
            );
        }
    }
}

/// All plans of a model, in q4_0.
fn text(config: &Config, capabilities: &Capabilities, kernels: Kernels) -> String {
    let files = ModelFiles::synthetic(config.clone(), WeightFormat::Q4_0, "noise");
    let weights = Weights::new(&files, None, capabilities).unwrap();
    let buffers = SequenceBuffers::new(config, CacheFormat::F16, Capacity::for_one(CONTEXT));
    let tables = RopeTables::new(config, CONTEXT);
    let activations = Activations::new(config, capabilities, CHUNK, MAX_SMALL_BATCH);
    let model = Model { config, weights: &weights, tables: &tables, kernels, usable_vocab: config.vocab_size };
    let body = |body| {
        let mut r = Recording::new(capabilities);
        record_body(&mut r, body, model, &buffers, &activations);
        r
    };
    let head = |head| {
        let mut r = Recording::new(capabilities);
        record_head(&mut r, head, model, &buffers, &activations);
        r
    };
    let (decode, greedy) = (body(Body::Newest(Mode::Decode)), head(Head::Greedy));
    let batch_logits = {
        let mut r = Recording::new(capabilities);
        record_logits(&mut r, Mode::SmallBatch, model, &activations);
        r
    };
    let mut text = String::new();
    let dispatches = decode.dispatches().count() + greedy.dispatches().count();
    writeln!(text, "a greedy token: {dispatches} dispatches; T: tokens of a step\n").unwrap();
    let plans = [
        ("decode", decode),
        ("small batch", body(Body::Prompt(Mode::SmallBatch))),
        ("prefill", body(Body::Prompt(Mode::Prefill))),
        ("decode of a small batch of sequences", body(Body::Newest(Mode::SmallBatch))),
        ("logits of a small batch of sequences", batch_logits),
        ("greedy head", greedy),
        ("sampling head", head(Head::Sample)),
    ];
    for (name, recording) in plans {
        writeln!(text, "{name}: {} dispatches\n\n{recording}", recording.dispatches().count()).unwrap();
    }
    text
}
