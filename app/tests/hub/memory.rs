//! The memory that is predicted is the memory that is allocated.

use std::path::PathBuf;

use lapidary_app::guide;
use lapidary_app::hub::{Fit, Verdict};
use lapidary_engine::config::Config;
use lapidary_engine::model::Kernels;
use lapidary_engine::{DeviceOptions, Engine, Error, Gpu, LoadOptions, ModelFiles, Sampling, WeightFormat};
use pollster::block_on;

fn gpu() -> Gpu {
    block_on(Gpu::open(&DeviceOptions::from_env())).unwrap()
}

/// Bytes that the device has allocated.
fn allocated(gpu: &Gpu) -> u64 {
    // SAFETY: it runs no shader.
    let device = unsafe { gpu.wgpu_device() };
    device.generate_allocator_report().map_or(0, |report| report.total_allocated_bytes)
}

/// Asserts that loading a model and generating with it allocates what was predicted, within a tenth.
fn predicts(files: &dyn Fn() -> ModelFiles, options: LoadOptions) {
    let gpu = gpu();
    let predicted = files().memory(&options, gpu.capabilities()).unwrap().total();
    let before = allocated(&gpu);
    // These kernels need no tuning, and memory does not depend on kernels.
    let builder = Engine::from_files(files()).gpu(gpu.clone()).options(options).kernels(Kernels::FLOAT);
    let engine = builder.build_blocking().unwrap();
    let mut session = engine.session_blocking().unwrap();
    let sampling = Sampling { max_tokens: Some(2), stop_at_end: false, ..Sampling::greedy() };
    let mut generation = session.generate(&[0, 1], &sampling).unwrap();
    while generation.next_blocking().unwrap().is_some() {}
    let after = allocated(&gpu);
    if after == 0 {
        eprintln!("SKIPPED: this backend does not report what is allocated");
        return;
    }
    let actual = after - before;
    let (mib, miss) = (|bytes: u64| bytes >> 20, predicted.abs_diff(actual) as f64 / actual as f64);
    println!("{options:?}: predicted {} MiB, allocated {} MiB, {:.1} % off", mib(predicted), mib(actual), 100.0 * miss);
    assert!(miss < 0.1, "{options:?}: predicted {predicted}, allocated {actual}");
}

/// Two formats at two contexts each.
fn predicts_all(files: &dyn Fn() -> ModelFiles, formats: [Option<WeightFormat>; 2], contexts: [usize; 2]) {
    for weights in formats {
        for context in contexts {
            predicts(files, LoadOptions { weights, context: Some(context), ..LoadOptions::default() });
        }
    }
}

#[test]
fn of_the_guide() {
    predicts_all(&|| guide::files().unwrap(), [None, Some(WeightFormat::Q8_0)], [512, 1024]);
}

#[test]
fn of_the_270m() {
    let Some(path) = std::env::var_os("LAPIDARY_270M").map(PathBuf::from) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "LAPIDARY_270M is not set, and CI must test it");
        eprintln!("SKIPPED: LAPIDARY_270M is not set");
        return;
    };
    predicts_all(&|| ModelFiles::open(&path).unwrap(), [None, Some(WeightFormat::Q4_0)], [1024, 8192]);
}

/// A fifth of the layers of the 2B: all of them would take minutes on a software adapter.
#[test]
fn of_a_part_of_the_2b() {
    let files = || {
        let all = Config::of_shape("gemma-2-2b").unwrap();
        let part = Config { num_layers: 5, layers: all.layers[..5].to_vec(), ..all };
        ModelFiles::synthetic(part, WeightFormat::Q8_0, "2B")
    };
    predicts_all(&files, [None, Some(WeightFormat::Q4_0)], [1024, 4096]);
}

#[test]
#[ignore = "takes 10 GB and ten minutes"]
fn of_the_shapes_of_2b_and_9b() {
    for name in ["gemma-2-2b", "gemma-2-9b"] {
        let files = || ModelFiles::synthetic(Config::of_shape(name).unwrap(), WeightFormat::Q4_0, name);
        predicts_all(&files, [None, Some(WeightFormat::Q4_1)], [2048, 8192]);
    }
}

#[test]
fn a_recommendation_fits_and_loses_least() {
    let files = guide::files().unwrap();
    let gpu = gpu();
    let fit = Fit::new(&files, &gpu).unwrap();
    let row = fit.rows[fit.recommended.expect("the guide fits everywhere")];
    assert_eq!((row.weights, row.context), (None, 1024));
    assert_eq!(row.verdict, Verdict::Fits);
    for pair in fit.rows.windows(2).filter(|pair| pair[0].weights != pair[1].weights) {
        assert!(pair[0].memory.weights > pair[1].memory.weights, "formats become smaller");
    }
    // What is refused is refused before anything is allocated, and offers what fits.
    let before = allocated(&gpu);
    let limit = fit.rows.last().unwrap().memory.total();
    let refused = Engine::from_files(files).gpu(gpu.clone()).memory_limit(limit).build_blocking().err().unwrap();
    assert!(matches!(refused, Error::OutOfMemory { .. }));
    assert!(refused.to_string().contains("it fits with weights in q4_k"), "{refused}");
    assert_eq!(allocated(&gpu), before);
}
