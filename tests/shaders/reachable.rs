//! Every linked variant is one that an operation requests on some device.

use std::collections::BTreeSet;

use lapidary_engine::gpu::{Capabilities, Gpu};
use lapidary_engine::wgpu;
use lapidary_shaders::{Kernel, kernels};

/// The flags that operations pass, each alone.
const FLAGS: [&str; 6] = ["kv_f16", "qk_norm", "int8_out", "geglu", "int8", "row_per_lane"];

/// The flags that attention passes: for prompts, and for one token with this many heads per KV head.
const ATTENTION: [&[&str]; 5] =
    [&["rows_8"], &["split", "rows_1"], &["split", "rows_2"], &["split", "rows_4"], &["split", "rows_8"]];

#[test]
fn every_variant_is_asked_for() {
    for kernel in kernels::ALL {
        let mut asked = BTreeSet::new();
        for device in devices() {
            for request in requests(kernel) {
                let wanted = [device.shader_features(), request].concat();
                asked.extend(kernel.variant(&wanted).map(|variant| variant.name()));
            }
        }
        let unasked: Vec<_> = kernel.variants.iter().filter(|v| !asked.contains(v.name())).map(|v| v.name()).collect();
        assert!(unasked.is_empty(), "{unasked:?}");
    }
}

/// The capabilities of every kind of device that has different shaders.
fn devices() -> Vec<Capabilities> {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let plain = Gpu::from_device(device, queue, false).capabilities().clone();
    let mut devices = Vec::new();
    for kind in 0..8 {
        for cooperative_size in [None, Some(8), Some(16)] {
            let mut device = plain.clone();
            (device.subgroups, device.narrow_subgroups, device.software) = (kind & 1 > 0, kind & 2 > 0, kind & 4 > 0);
            device.cooperative_size = cooperative_size;
            devices.push(device);
        }
    }
    devices
}

/// The features that operations request of a kernel.
fn requests(kernel: &Kernel) -> Vec<Vec<&'static str>> {
    let mut requests: Vec<Vec<&'static str>> = kernels::WEIGHT_FORMATS.iter().map(|format| vec![*format]).collect();
    for flag in FLAGS.into_iter().filter(|flag| kernel.flags.contains(flag)) {
        let with: Vec<_> = requests.iter().map(|request| [&request[..], &[flag]].concat()).collect();
        requests.extend(with);
    }
    if kernel.name == "attention" {
        requests = requests.iter().flat_map(|request| ATTENTION.map(|flags| [&request[..], flags].concat())).collect();
    }
    requests
}
