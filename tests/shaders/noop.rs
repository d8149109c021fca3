//! Validates every pipeline and a whole model's plan without a GPU. wgpu's noop backend validates everything and
//! computes nothing.

use lapidary_engine::config::Config;
use lapidary_engine::gpu::Gpu;
use lapidary_engine::model::Kernels;
use lapidary_engine::ops::{Mode, Way};
use lapidary_engine::{Engine, ModelFiles, Sampling, WeightFormat, wgpu};
use lapidary_shaders::kernels;

fn noop(features: wgpu::Features) -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor {
        required_features: features,
        ..wgpu::DeviceDescriptor::default()
    });
    Gpu::from_device(device, queue, false)
}

#[test]
fn every_pipeline_of_every_kernel_is_valid() {
    for features in [wgpu::Features::empty(), wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16] {
        let gpu = noop(features);
        let mut count = 0;
        for kernel in kernels::ALL {
            for variant in kernel.variants {
                // wgpu requires consent to cooperative matrices. Drivers that have them test them.
                let cooperative = variant.features.iter().any(|f| f.starts_with("coop_"));
                if features.is_empty() && variant.uses_subgroups() || cooperative {
                    continue;
                }
                let implied = kernels::IMPLIES.iter().filter(|(flag, _)| variant.features.contains(flag));
                let request = [variant.features, &implied.map(|(_, other)| *other).collect::<Vec<_>>()].concat();
                pollster::block_on(gpu.prepare(kernel, &request)).unwrap_or_else(|e| panic!("{}: {e}", variant.name()));
                count += 1;
            }
        }
        gpu.check().unwrap();
        assert!(count > 40, "only {count} variants");
    }
}

#[test]
fn a_model_records_and_runs() {
    for features in [wgpu::Features::empty(), wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/tiny-random-gemma3");
        let engine = Engine::builder(path).gpu(noop(features)).build_blocking().unwrap();
        let mut session = engine.session_blocking().unwrap();
        let sampling = Sampling { max_tokens: Some(3), ..Sampling::default() };
        lapidary_tests::reply(&mut session, &[2, 3, 4], &sampling);
        engine.gpu().check().unwrap();
    }
}

/// Encodes tokens of a model with the 2B's layers, but narrow ones: the host's work depends on the dispatches, not on
/// the widths.
#[test]
fn encoding_a_token_takes_little_of_the_host() {
    let mut config = Config::of_shape("gemma-2-2b").unwrap();
    let layers = config.num_layers;
    (config.hidden_size, config.intermediate_size, config.vocab_size) = (256, 256, 4096);
    let files = ModelFiles::synthetic(config, WeightFormat::Q4_0, "narrow");
    let gpu = noop(wgpu::Features::SUBGROUP);
    let kernels =
        Kernels { decode: Way::named(Mode::Decode, "int8, split by 64").unwrap(), fuses_norms: true, ..Kernels::FLOAT };
    let engine = Engine::from_files(files).kernels(kernels).gpu(gpu).build_blocking().unwrap();
    let mut session = engine.session_blocking().unwrap();
    let mut each = pollster::block_on(session.host_us(400)).unwrap();
    each.sort_by(f64::total_cmp);
    let each = each[each.len() / 2];
    println!("{each:.0} µs per token of {layers} layers");
    // About 90 on a machine with two cores. The limit only catches unexpected work.
    assert!(each < 1000.0, "{each:.0} µs per token");
}
