//! Every linked variant is one that the layer graph records for some model on some device.

use std::collections::BTreeSet;

use lapidary_engine::gpu::Capabilities;
use lapidary_shaders::kernels;
use lapidary_tests::recorded_pipelines;

#[test]
fn every_variant_is_recorded() {
    let mut recorded = BTreeSet::new();
    for device in devices() {
        // Matrices of one shard and of several.
        let pipelines = recorded_pipelines(&device, 64, &[u64::MAX, 2048]);
        recorded.extend(pipelines.into_keys().map(|(variant, _)| variant));
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
            (device.wide_subgroups, device.max_workgroup_bytes) = (!device.narrow_subgroups, 32 << 10);
            // On a software adapter, the cores decide whether keys are split.
            device.cores = if cooperative_size.is_none() { 1 } else { 16 };
            devices.push(device);
        }
    }
    devices
}
