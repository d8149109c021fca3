//! `lapidary check`: whether the device computes what it should.

use std::io::{self, Write};

use lapidary_engine::Gpu;
use lapidary_engine::check::{Extent, Report, check_device};
use serde_json::json;

use super::args;
use super::devices::driver;
use super::failure::{Failure, sanitized};
use super::interrupt::{self, Busy};
use super::load::{device_options, engine, open};
use super::terminal::ProgressBar;

pub(crate) fn check(arguments: &args::Check) -> Result<(), Failure> {
    let busy = Busy::new();
    let model = &arguments.model;
    let mut bar = ProgressBar::new("Checking");
    let mut progress = |done: usize, all: usize| {
        bar.set(done as u64, all as u64);
        !interrupt::interrupted()
    };
    let (gpu, report) = match &model.model {
        Some(path) => {
            let engine = engine(open(Some(path))?, model, None, &busy)?;
            print_device(engine.gpu(), arguments.json)?;
            let report = busy.wait(engine.check_kernels(&open(Some(path))?, &mut progress));
            (engine.gpu().clone(), report)
        }
        None => {
            let gpu = busy.wait(Gpu::open(&device_options(model.device.as_deref())))?;
            print_device(&gpu, arguments.json)?;
            let report = busy.wait(check_device(&gpu, &Extent::default(), &mut progress));
            (gpu, report)
        }
    };
    drop(bar);
    let report = report?;
    if arguments.json {
        writeln!(io::stdout(), "{}", json(&gpu, &report))?;
    } else {
        let (dispatches, variants) = (report.dispatches, report.variants.len());
        writeln!(io::stdout(), "{dispatches} dispatches of {variants} kernel variants compared with the reference")?;
    }
    let Some(fault) = &report.fault else {
        return if arguments.json { Ok(()) } else { Ok(writeln!(io::stdout(), "all are right")?) };
    };
    if !arguments.json {
        writeln!(io::stdout(), "\n{}\n", sanitized(&fault.to_string()))?;
    }
    Err(Failure::Failed(format!(
        "the kernel {} is wrong on this device; please report it with the output of this command",
        fault.kernel
    )))
}

/// What a bug report needs to know of the device.
fn print_device(gpu: &Gpu, json: bool) -> io::Result<()> {
    if json {
        return Ok(());
    }
    let info = gpu.info();
    let (name, driver) = (sanitized(&info.name), driver(info));
    writeln!(io::stdout(), "{name} ({}, {})", info.backend.to_str(), sanitized(&driver))?;
    writeln!(io::stdout(), "{:?}", gpu.capabilities())
}

fn json(gpu: &Gpu, report: &Report) -> serde_json::Value {
    json!({
        "adapter": gpu.info().name,
        "backend": gpu.info().backend.to_str(),
        "driver": driver(gpu.info()),
        "dispatches": report.dispatches,
        "variants": report.variants,
        "fault": report.fault,
    })
}
