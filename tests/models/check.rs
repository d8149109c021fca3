//! `lapidary check`: the kernels of this device against their references, dispatch by dispatch.

use std::collections::BTreeSet;

use lapidary_engine::check::{Extent, check_device};
use lapidary_engine::ops::{Attention, CacheFormat};
use lapidary_engine::{Gpu, ModelFiles, WeightFormat};
use lapidary_shaders::kernels;
use lapidary_tests::block_on;

use crate::golden::{builder, device};
use crate::{TINY, golden_path};

#[test]
fn every_dispatch_of_a_model_is_right() {
    for model in TINY {
        for hardware_kernels in [false, true] {
            let options = device(|options| options.hardware_kernels = hardware_kernels);
            let engine = builder(model).device(options).build_blocking().unwrap();
            let files = ModelFiles::open(&golden_path(model)).unwrap();
            let mut last = (0, 1);
            let report = block_on(engine.check_kernels(&files, &mut |done, all| {
                last = (done, all);
                true
            }))
            .unwrap();
            assert!(report.fault.is_none(), "{model}: {}", report.fault.unwrap());
            assert_eq!((report.dispatches, report.dispatches), last, "{model}: not all were compared");
        }
    }
}

/// Every kernel, and every weight format, at the shapes of [`check_device`].
#[test]
fn every_kernel_of_the_device_is_right() {
    let gpu = block_on(Gpu::open(&device(|_| {}))).unwrap();
    let report = block_on(check_device(&gpu, &Extent { repeats: 3, ..Extent::default() }, &mut |_, _| true)).unwrap();
    assert!(report.fault.is_none(), "{}", report.fault.unwrap());
    let checked = |prefix: &str| report.variants.iter().any(|variant| variant.starts_with(prefix));
    let missing: BTreeSet<&str> = kernels::ALL.iter().map(|kernel| kernel.name).filter(|name| !checked(name)).collect();
    let device = gpu.capabilities();
    let mut expected = Vec::new();
    let shape = Attention { heads: 2, kv_heads: 1, head_dim: 32, window: None, soft_cap: None };
    if !shape.fits_matrices(CacheFormat::F16, device) {
        expected.push("attention_coop");
    }
    if device.broadcasts() {
        expected.push("attention_decode");
    }
    if device.cooperative_size.is_none() {
        expected.extend(["matmul_coop", "to_f16"]);
    }
    assert_eq!(missing.into_iter().collect::<Vec<_>>(), expected);
    for format in WeightFormat::ALL {
        assert!(checked(&format!("matvec.{format}")) && checked(&format!("embed.{format}")), "{format}");
    }
}

/// What the device computes with other weights than the files', as after a bad upload, is wrong from the first kernel on.
#[test]
fn a_wrong_kernel_is_named() {
    let engine = builder("tiny-random-gemma2").build_blocking().unwrap();
    let files = ModelFiles::synthetic(engine.config().clone(), WeightFormat::F32, "other weights");
    let report = block_on(engine.check_kernels(&files, &mut |_, _| true)).unwrap();
    let fault = report.fault.expect("weights differ");
    assert_eq!((fault.kernel, report.dispatches), ("embed", 1));
    assert!(fault.to_string().contains("a chunk of a prompt of tiny-random-gemma2"), "{fault}");
    assert!(fault.reason.contains("out[") && fault.reason.contains("the reference says"), "{fault}");
    // As the page's package and `lapidary check --json` give it.
    let json = serde_json::to_value(&fault).unwrap();
    assert_eq!(json["kernel"], fault.kernel);
    assert_eq!(json["error"], fault.reason);
}

#[test]
fn files_of_another_model_are_refused() {
    let engine = builder("tiny-random-gemma2").build_blocking().unwrap();
    let files = ModelFiles::open(&golden_path("tiny-random-gemma3")).unwrap();
    let result = block_on(engine.check_kernels(&files, &mut |_, _| true));
    assert!(matches!(result, Err(lapidary_engine::Error::Setting { .. })), "{result:?}");
}

#[test]
fn a_check_can_be_cancelled() {
    let engine = builder("tiny-random-gemma2").build_blocking().unwrap();
    let files = ModelFiles::open(&golden_path("tiny-random-gemma2")).unwrap();
    let result = block_on(engine.check_kernels(&files, &mut |done, _| done < 3));
    assert!(matches!(result, Err(lapidary_engine::Error::Cancelled)));
}
