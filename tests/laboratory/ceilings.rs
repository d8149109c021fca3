//! What the device reaches with the simplest kernels: the ceilings of all others.

use std::time::Instant;

use lapidary_engine::Gpu;
use lapidary_engine::wgpu::{self, Features};
use pollster::block_on;

use crate::Size;
use crate::report::Report;

/// Measurements per row.
const RUNS: usize = 5;

/// A kernel with its buffers bound.
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
}

/// A device, without the engine's layers.
struct Device<'a> {
    gpu: &'a Gpu,
    /// A measurement takes at least this long.
    seconds: f64,
    /// Seconds of a submit that does almost nothing, until the host knows that it is done.
    latency: f64,
}

/// The wgpu device.
pub(crate) fn wgpu_device(gpu: &Gpu) -> &wgpu::Device {
    // SAFETY: the only shaders that are made on it are those of `Device::kernel`, which keep within their buffers.
    unsafe { gpu.wgpu_device() }
}

impl Device<'_> {
    fn buffer(&self, bytes: u64) -> wgpu::Buffer {
        wgpu_device(self.gpu).create_buffer(&wgpu::BufferDescriptor {
            label: Some("laboratory"),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// A kernel without bounds checks, as the engine's are, with `constants` for its overrides.
    fn kernel(&self, wgsl: &str, constants: &[(&str, f64)], buffers: &[&wgpu::Buffer]) -> Result<Kernel, String> {
        let device = wgpu_device(self.gpu);
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some("laboratory"), source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
        // SAFETY: the kernels of this file index below the lengths that their overrides give, and their loops are counted.
        let module = unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("laboratory"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        if let Some(error) = block_on(scope.pop()) {
            return Err(error.to_string());
        }
        let entries: Vec<_> = buffers
            .iter()
            .enumerate()
            .map(|(i, buffer)| wgpu::BindGroupEntry { binding: i as u32, resource: buffer.as_entire_binding() })
            .collect();
        let layout = pipeline.get_bind_group_layout(0);
        let bindings =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        Ok(Kernel { pipeline, bindings })
    }

    /// Submits commands and waits for them. Gives the seconds of encoding, and of submitting and waiting.
    fn submit(&self, encode: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<(f64, f64), String> {
        let started = Instant::now();
        let mut encoder = wgpu_device(self.gpu).create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encode(&mut encoder);
        let commands = encoder.finish();
        let encoded = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let submission = self.gpu.queue().submit([commands]);
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        wgpu_device(self.gpu).poll(wait).map_err(|error| error.to_string())?;
        self.gpu.check().map_err(|error| crate::text(&error))?;
        Ok((encoded, started.elapsed().as_secs_f64()))
    }

    /// Seconds of encoding and of running `dispatches` dispatches, which take turns with the kernels.
    fn dispatch(&self, kernels: &[Kernel], workgroups: u32, dispatches: usize) -> Result<(f64, f64), String> {
        self.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for kernel in kernels.iter().cycle().take(dispatches) {
                pass.set_pipeline(&kernel.pipeline);
                pass.set_bind_group(0, &kernel.bindings, &[]);
                pass.dispatch_workgroups(workgroups, 1, 1);
            }
        })
    }

    /// Dispatches per second of a kernel, in several runs.
    fn speed(&self, kernel: Kernel, workgroups: u32) -> Result<Vec<f64>, String> {
        let kernels = [kernel];
        let mut dispatches = 1;
        // The first run also compiles the kernel. The number of dispatches then doubles until the time is long enough.
        self.dispatch(&kernels, workgroups, 1)?;
        loop {
            let (_, seconds) = self.dispatch(&kernels, workgroups, dispatches)?;
            if seconds >= self.seconds || dispatches >= 1 << 14 {
                break;
            }
            dispatches *= if seconds < self.seconds / 8.0 { 4 } else { 2 };
        }
        let run =
            |_| Ok(dispatches as f64 / (self.dispatch(&kernels, workgroups, dispatches)?.1 - self.latency).max(1e-9));
        (0..RUNS).map(run).collect()
    }
}

/// Writes a row: `amount` per dispatch, as `unit`.
fn row(report: &mut Report, what: &str, unit: &str, amount: f64, speeds: Result<Vec<f64>, String>) -> f64 {
    match speeds {
        Ok(speeds) => report.value(what, unit, speeds.into_iter().map(|speed| speed * amount).collect(), None),
        Err(error) => {
            report.failure(what, &error);
            0.0
        }
    }
}

fn device(gpu: &Gpu, size: Size) -> Device<'_> {
    Device { gpu, seconds: if size == Size::Full { 0.02 } else { 0.005 }, latency: 0.0 }
}

pub(crate) fn measure(gpu: &Gpu, size: Size, report: &mut Report) {
    report.begin("ceilings", 0.2);
    let mut device = device(gpu, size);
    gaps(&mut device, report);
    read_speeds(&device, size, report);
    arithmetic(&device, report);
}

/// The rows that are measured twice.
pub(crate) fn reference(gpu: &Gpu, size: Size, report: &mut Report) {
    let device = device(gpu, size);
    stream(&device, size, 4, 4096, report);
    row(
        report,
        "f32 multiply-add",
        "TFLOP/s",
        4096.0 * 256.0 * MADS * 4e-12,
        device.kernel(&mad("f32", "vec2f"), &[], &[&device.buffer(256)]).and_then(|kernel| device.speed(kernel, 4096)),
    );
}

/// Adds one to a number, so that every dispatch needs the result of the one before.
const CHAIN: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { x[i] += 1u; }";

/// The costs of submits and dispatches.
fn gaps(device: &mut Device<'_>, report: &mut Report) {
    const DISPATCHES: usize = 1000;
    let buffer = device.buffer(4096);
    let runs = |device: &Device<'_>, kinds: usize, dispatches: usize| -> Result<Vec<(f64, f64)>, String> {
        let kernels = (0..kinds).map(|_| device.kernel(CHAIN, &[], &[&buffer])).collect::<Result<Vec<_>, _>>()?;
        device.dispatch(&kernels, 1, dispatches)?;
        (0..RUNS).map(|_| device.dispatch(&kernels, 1, dispatches)).collect()
    };
    match runs(device, 1, 1) {
        Ok(runs) => {
            let latency = runs.iter().map(|(_, seconds)| 1e6 * seconds).collect();
            device.latency = 1e-6 * report.value("submit of one small dispatch, until it is done", "µs", latency, None);
        }
        Err(error) => report.failure("submit", &error),
    }
    for (kinds, what) in [(1, "gap between dependent dispatches"), (2, "gap, pipeline and bindings changing")] {
        match runs(device, kinds, DISPATCHES) {
            Ok(runs) => {
                let per = |seconds: f64| 1e6 * seconds / DISPATCHES as f64;
                report.value(what, "µs", runs.iter().map(|(_, run)| per(run - device.latency)).collect(), None);
                let encode = format!("host time to encode it: {what}");
                report.value(&encode, "µs", runs.iter().map(|(encode, _)| per(*encode)).collect(), None);
            }
            Err(error) => report.failure(what, &error),
        }
    }
}

/// A kernel that reads `count` vec4 `rounds` times, `loads` at a time per invocation.
fn reader(loads: u32) -> String {
    let lines = |line: &dyn Fn(u32) -> String| (0..loads).map(line).collect::<String>();
    format!(
        "@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
        @group(0) @binding(1) var<storage, read_write> out: array<u32>;
        override count: u32;
        override rounds: u32;
        @compute @workgroup_size(256)
        fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
            let stride = groups.x * 256u;
            var sum = vec4<u32>();
            for (var round = 0u; round < rounds; round++) {{
                for (var i = id.x; i < count; i += stride * {loads}u) {{
                    {}
                    {}
                }}
            }}
            if all(sum == vec4<u32>(1u, 2u, 3u, 4u)) {{ out[0] = 1u; }}
        }}",
        lines(&|i| format!("let a{i} = data[i + stride * {i}u];\n")),
        lines(&|i| format!("sum = sum * 3u + a{i};\n")),
    )
}

/// Bytes per second of reading a buffer.
fn read(device: &Device<'_>, bytes: u64, rounds: u32, loads: u32, workgroups: u32) -> (f64, Result<Vec<f64>, String>) {
    let per_round = u64::from(loads * workgroups) * 256;
    // Whole rounds of all invocations, so that no index needs a check.
    let count = (bytes / 16 / per_round).max(1) * per_round;
    let data = device.buffer((16 * count).min(device.gpu.capabilities().max_binding_bytes / 16 * 16));
    let count = if 16 * count > data.size() { data.size() / 16 / per_round * per_round } else { count };
    let constants = [("count", count as f64), ("rounds", f64::from(rounds))];
    let speeds = device
        .kernel(&reader(loads), &constants, &[&data, &device.buffer(256)])
        .and_then(|kernel| device.speed(kernel, workgroups));
    (16.0 * count as f64 * f64::from(rounds), speeds)
}

fn stream(device: &Device<'_>, size: Size, loads: u32, workgroups: u32, report: &mut Report) -> f64 {
    let limit = device.gpu.capabilities().max_binding_bytes;
    let bytes = if size == Size::Full { 1 << 30 } else { 64 << 20 }.min(limit);
    let (amount, speeds) = read(device, bytes, 1, loads, workgroups);
    let what = format!("read, {loads} loads in flight, {workgroups} workgroups");
    1e9 * row(report, &what, "GB/s", 1e-9 * amount, speeds)
}

fn read_speeds(device: &Device<'_>, size: Size, report: &mut Report) {
    let all: &[(u32, u32)] = match size {
        Size::Full => &[
            (1, 4096),
            (2, 4096),
            (4, 4096),
            (8, 4096),
            (4, 128),
            (4, 256),
            (4, 512),
            (4, 1024),
            (4, 2048),
            (4, 16384),
            (8, 1024),
            (1, 16384),
        ],
        Size::Small => &[(1, 64), (4, 64)],
    };
    for (loads, workgroups) in all {
        let found = stream(device, size, *loads, *workgroups, report);
        report.stream = report.stream.max(found);
    }
    for mib in if size == Size::Full { &[8, 24, 48][..] } else { &[1] } {
        let (amount, speeds) = read(device, mib << 20, 16, 4, if size == Size::Full { 1024 } else { 16 });
        row(report, &format!("read of {mib} MiB again and again"), "GB/s", 1e-9 * amount, speeds);
    }
    match block_on(device.gpu.copy_bandwidth()) {
        Ok(speed) => _ = report.value("copy, reads and writes", "GB/s", vec![1e-9 * speed], None),
        Err(error) => report.failure("copy", &crate::text(&error)),
    }
}

/// Multiply-adds of an invocation.
const MADS: f64 = 256.0 * 32.0;

/// A kernel of independent multiply-adds of scalars or vectors of `scalar`.
fn mad(scalar: &str, kind: &str) -> String {
    let chains: String = (0..8).map(|i| format!("var a{i} = {kind}({scalar}(id.x + {i}u));\n")).collect();
    let steps: String = (0..4).flat_map(|_| (0..8).map(|i| format!("a{i} = fma(a{i}, b, c);\n"))).collect();
    format!(
        "{}
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
            let b = {kind}({scalar}(id.y) + 0.5);
            let c = {kind}({scalar}(id.z) + 0.25);
            {chains}
            for (var i = 0u; i < 256u; i++) {{ {steps} }}
            if all({kind}(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7) == {kind}(-1.0)) {{ out[0] = 1u; }}
        }}",
        if scalar == "f16" { "enable f16;" } else { "" },
    )
}

/// A kernel of independent integer expressions `a = f(a)`.
fn integers(expression: &dyn Fn(&str) -> String) -> String {
    let chains: String = (0..8).map(|i| format!("var a{i} = id.x + {i}u;\n")).collect();
    let steps: String =
        (0..4).flat_map(|_| (0..8).map(|i| format!("a{i} = {};\n", expression(&format!("a{i}"))))).collect();
    format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
            let b = id.y + 0x01020304u;
            {chains}
            for (var i = 0u; i < 256u; i++) {{ {steps} }}
            if (a0 ^ a1 ^ a2 ^ a3 ^ a4 ^ a5 ^ a6 ^ a7) == 0x1234567u {{ out[0] = 1u; }}
        }}"
    )
}

/// Cooperative products of matrices in registers, four sums per subgroup.
fn matrices(size: u32) -> String {
    let lines = |line: &dyn Fn(u32) -> String| (0..4).map(line).collect::<String>();
    format!(
        "enable f16;
        enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        var<workgroup> tile: array<f16, {0}>;
        var<workgroup> sums: array<f32, {0}>;
        @compute @workgroup_size(64)
        fn main(@builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32) {{
            for (var i = local; i < {0}u; i += 64u) {{ tile[i] = f16(0.01); }}
            workgroupBarrier();
            let a = coopLoadT<coop_mat{size}x{size}<f16, A>>(&tile[0], {size}u);
            let b = coopLoad<coop_mat{size}x{size}<f16, B>>(&tile[0], {size}u);
            {1}
            for (var i = 0u; i < 256u; i++) {{ {2} }}
            // One subgroup stores; the others' products are the same.
            if subgroup == 0u {{ {3} }}
            workgroupBarrier();
            if sums[local] == -1.0 {{ out[0] = 1.0; }}
        }}",
        size * size,
        lines(&|i| format!("var c{i} = coop_mat{size}x{size}<f32, C>();\n")),
        lines(&|i| format!("c{i} = coopMultiplyAdd(a, b, c{i});\n")),
        lines(&|i| format!("coopStoreT(c{i}, &sums[0], {size}u);\n")),
    )
}

/// Reads of workgroup memory.
const WORKGROUP: &str = "
    @group(0) @binding(0) var<storage, read_write> out: array<f32>;
    var<workgroup> tile: array<vec4<f32>, 1024>;
    @compute @workgroup_size(256) fn main(@builtin(local_invocation_index) local: u32) {
        for (var i = local; i < 1024u; i += 256u) { tile[i] = vec4<f32>(f32(i)); }
        workgroupBarrier();
        var sum = vec4<f32>();
        for (var i = 0u; i < 1024u; i += 4u) {
            sum += tile[(local + i) & 1023u];
            sum += tile[(local + i + 257u) & 1023u];
            sum += tile[(local + i + 514u) & 1023u];
            sum += tile[(local + i + 771u) & 1023u];
        }
        if sum.x == -1.0 { out[0] = sum.y; }
    }";

fn arithmetic(device: &Device<'_>, report: &mut Report) {
    let software = device.gpu.capabilities().software;
    let workgroups = if software { 16 } else { 4096 };
    let invocations = 256.0 * f64::from(workgroups);
    let out = device.buffer(4096);
    let speeds = |wgsl: &str| device.kernel(wgsl, &[], &[&out]).and_then(|kernel| device.speed(kernel, workgroups));
    report.arithmetic =
        1e12 * row(report, "f32 multiply-add", "TFLOP/s", invocations * MADS * 4e-12, speeds(&mad("f32", "vec2f")));
    let features = wgpu_device(device.gpu).features();
    if features.contains(Features::SHADER_F16) {
        let half = mad("f16", "vec2h");
        row(report, "f16 multiply-add", "TFLOP/s", invocations * MADS * 4e-12, speeds(&half));
    }
    let dot = integers(&|a| format!("bitcast<u32>(dot4I8Packed({a}, b) + bitcast<i32>({a}))"));
    row(report, "8-bit dot products of four", "TOP/s", invocations * MADS * 8e-12, speeds(&dot));
    let convert = integers(&|a| format!("bitcast<u32>(f32({a} & 0xffffu)) >> 3u"));
    row(report, "integer to f32, with a mask and a shift", "T/s", invocations * MADS * 1e-12, speeds(&convert));
    let bytes = invocations * 1024.0 * 16.0;
    row(report, "reads of workgroup memory", "GB/s", 1e-9 * bytes, speeds(WORKGROUP));
    if let Some(size) = device.gpu.capabilities().cooperative_size {
        let subgroups = 64.0 / f64::from(device.gpu.info().subgroup_min_size.max(1));
        let flops = f64::from(workgroups) * subgroups * 256.0 * 4.0 * 2.0 * f64::from(size).powi(3);
        let what = format!("cooperative matrices of {size}, f16 to f32");
        let found = row(report, &what, "TFLOP/s", 1e-12 * flops, speeds(&matrices(size)));
        report.arithmetic = report.arithmetic.max(1e12 * found);
    }
}
