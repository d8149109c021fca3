//! The laboratory: what an unknown GPU can do, and how much of it the kernels reach.
//!
//!     laboratory [--seconds N] [--small] [--json FILE]
//!
//! It needs a Vulkan, Metal or Direct3D 12 driver and nothing else: weights are noise. It first measures the device's ceilings
//! with kernels of its own, then whole models, then single products in every way to multiply. Every measurement is one row of
//! text, and one line of JSON in FILE, written at once. A measurement that fails is a row with its error. `--seconds` (default
//! 540) limits the whole run: each phase has a share of it and leaves out what it has no time for. `--small` is for software
//! adapters and continuous integration.

mod ceilings;
mod models;
mod predictions;
mod products;
mod report;

use std::process::ExitCode;

use lapidary_engine::gpu::DeviceOptions;
use lapidary_engine::{Error, Gpu};
use pollster::block_on;

use report::Report;

const USAGE: &str = "usage: laboratory [--seconds N] [--small] [--json FILE]";

/// What to measure.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    Full,
    Small,
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        // The rows say what failed.
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("laboratory: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything. Gives the number of rows that failed.
fn run() -> Result<usize, String> {
    let (mut seconds, mut size, mut json) = (540.0, Size::Full, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value; {USAGE}"));
        match argument.as_str() {
            "--seconds" => seconds = value()?.parse().map_err(|_| format!("--seconds needs a number; {USAGE}"))?,
            "--json" => json = Some(value()?),
            "--small" => size = Size::Small,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let mut report =
        Report::new(seconds, json.as_deref()).map_err(|error| format!("{}: {error}", json.unwrap_or_default()))?;
    let gpu = block_on(Gpu::open(&DeviceOptions::from_env())).map_err(|error| error.to_string())?;
    header(&gpu, &mut report);
    ceilings::measure(&gpu, size, &mut report);
    drop(gpu);
    models::measure(size, &mut report);
    products::measure(size, &mut report);
    // The first rows again: they differ where the device's clock has changed.
    report.begin("drift", 1.0);
    if let Ok(gpu) = block_on(Gpu::open(&DeviceOptions::from_env())) {
        ceilings::reference(&gpu, size, &mut report);
    }
    Ok(report.end())
}

/// The device and its driver.
fn header(gpu: &Gpu, report: &mut Report) {
    report.begin("device", 1.0);
    let info = gpu.info();
    report.fact("adapter", &info.name);
    report.fact("driver", &format!("{} {} ({})", info.driver, info.driver_info, info.backend.to_str()));
    report.fact("subgroups", &format!("{} to {}", info.subgroup_min_size, info.subgroup_max_size));
    report.fact("capabilities", &format!("{:?}", gpu.capabilities()));
    report.fact("features", &format!("{:?}", ceilings::wgpu_device(gpu).features()));
    report.fact("memory", &format!("{:?} bytes", gpu.memory_bytes()));
    if info.device_type == lapidary_engine::wgpu::DeviceType::Cpu {
        report.fact("note", "a software adapter: its ceilings are those of the processor");
    }
}

/// An error as a row shows it.
fn text(error: &Error) -> String {
    error.to_string()
}
