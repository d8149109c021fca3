//! A decode step creates no wgpu object and is one submit. The snapshots of plans show its dispatches.

use std::path::Path;

use lapidary_engine::{ActivationFormat, Engine, Gpu, Sampling, Session, WeightFormat, wgpu};
use lapidary_tests::block_on;

const TOKENS: usize = 500;

/// The numbers of living wgpu objects: buffers, bind groups, layouts, shader modules, pipelines, query sets.
fn objects(instance: &wgpu::Instance) -> [usize; 7] {
    let report = instance.generate_report().expect("wgpu runs natively");
    let report = report.hub_report();
    [
        report.buffers.num_allocated,
        report.bind_groups.num_allocated,
        report.bind_group_layouts.num_allocated,
        report.pipeline_layouts.num_allocated,
        report.shader_modules.num_allocated,
        report.compute_pipelines.num_allocated,
        report.query_sets.num_allocated,
    ]
}

#[test]
fn a_token_creates_nothing_and_is_one_submit() {
    for (format, activations) in
        [(WeightFormat::Bf16, ActivationFormat::Float), (WeightFormat::Q8_0, ActivationFormat::Int8)]
    {
        let instance = wgpu::Instance::default();
        let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
        let wanted = adapter.features() & (wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16);
        let descriptor = wgpu::DeviceDescriptor { required_features: wanted, ..Default::default() };
        let (device, queue) = block_on(adapter.request_device(&descriptor)).unwrap();
        let gpu = Gpu::from_device(device, queue, false);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../app/guide/model");
        let builder = Engine::builder(path).weights(format).activations(activations).gpu(gpu.clone());
        let engine = builder.build_blocking().unwrap();
        let mut session = engine.session_blocking().unwrap();
        for sampling in [Sampling::greedy(), Sampling::default()] {
            let sampling = Sampling { max_tokens: Some(TOKENS), stop_at_end: false, ..sampling };
            check(&format!("{format}, temperature {}", sampling.temperature), &instance, &gpu, &mut session, &sampling);
        }
    }
}

fn check(what: &str, instance: &wgpu::Instance, gpu: &Gpu, session: &mut Session, sampling: &Sampling) {
    let before = objects(instance);
    session.rewind(0);
    let mut generation = session.generate(&[2, 5, 6, 7], sampling).unwrap();
    let (mut said, mut submits, mut writes, mut reserved) = (0, 0, 0, 0);
    while generation.next_blocking().unwrap().is_some() {
        said += 1;
        // Count while later steps are in flight, because objects that they created would still be alive.
        assert_eq!(objects(instance), before, "{what}: something was made for token {said}");
        // SAFETY: no shader is made.
        let report = unsafe { gpu.wgpu_device() }.generate_allocator_report();
        let memory = report.map_or(0, |report| report.total_reserved_bytes);
        // The first tokens fill the ring of steps in flight.
        match said {
            10 => (submits, writes, reserved) = (gpu.submits(), gpu.step_writes(), memory),
            _ if said > 10 => assert_eq!(memory, reserved, "{what}: the device's memory changed at token {said}"),
            _ => {}
        }
    }
    assert_eq!(said, TOKENS);
    // The last steps were in flight when token 10 came.
    let steps = (TOKENS - 10) as u64;
    let submitted = gpu.submits() - submits;
    assert!((steps - 2..=steps).contains(&submitted), "{what}: {submitted} submits for {steps} tokens");
    // One write holds many predicted steps.
    let written = gpu.step_writes() - writes;
    assert!(written <= steps / 30 + 1, "{what}: steps were written {written} times for {steps} tokens");
}
