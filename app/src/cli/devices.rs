//! `lapidary devices`: the adapters, their capabilities and the kernels they would use.

use std::io::{self, Write};

use lapidary_engine::gpu::{AdapterChoice, Capabilities, adapters_blocking};
use lapidary_engine::wgpu::AdapterInfo;
use lapidary_engine::{DeviceOptions, Gpu, Tuning, TuningChoice, WeightFormat};
use serde_json::{Value, json};

use lapidary_app::data_folder::data_folder;

use super::args;
use super::failure::{Failure, sanitized};
use super::interrupt::Busy;
use super::terminal::ProgressBar;

/// An adapter as Lapidary would use it.
struct Device {
    info: AdapterInfo,
    /// The capabilities, or why the adapter cannot be opened.
    capabilities: Result<Capabilities, String>,
    /// Whether it is used unless another is asked for.
    default: bool,
}

pub(crate) fn devices(arguments: &args::Devices) -> Result<(), Failure> {
    let busy = Busy::new();
    let options = DeviceOptions::from_env();
    let default = busy.wait(Gpu::open(&options));
    let mut devices = Vec::new();
    for (index, adapter) in adapters_blocking().iter().enumerate() {
        let info = adapter.get_info();
        let mut options = options.clone();
        options.adapter = AdapterChoice::Index(index);
        // The capabilities are certain only after the device is opened.
        let capabilities = match busy.wait(Gpu::open(&options)) {
            Ok(gpu) => Ok(gpu.capabilities().clone()),
            Err(Failure::Failed(reason)) => Err(reason),
            Err(failure) => return Err(failure),
        };
        let default = default.as_ref().is_ok_and(|gpu| *gpu.info() == info);
        devices.push(Device { info, capabilities, default });
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        let list: Vec<Value> = devices.iter().enumerate().map(|(index, device)| device.json(index)).collect();
        writeln!(out, "{}", json!({ "adapters": list }))?;
    } else if !devices.is_empty() {
        for (index, device) in devices.iter().enumerate() {
            device.print(&mut out, index)?;
        }
        writeln!(out, "\nChoose another with --device or LAPIDARY_ADAPTER, by its number or a part of its name.")?;
    }
    // Fails if there is no adapter or the environment selects a missing one, which the list alone does not show.
    let gpu = default?;
    if arguments.tune {
        tune(&gpu, &busy, arguments.json, &mut out)?;
    }
    Ok(())
}

/// Measures the kernels for the most common weight formats.
fn tune(gpu: &Gpu, busy: &Busy, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    const FORMATS: [WeightFormat; 3] = [WeightFormat::Q4_0, WeightFormat::Q4K, WeightFormat::Q8_0];
    let mut bar = ProgressBar::new("Measuring kernels");
    for (done, format) in FORMATS.into_iter().enumerate() {
        bar.set(done as u64, FORMATS.len() as u64);
        let tuning = busy.wait(Tuning::run(gpu, format, None, data_folder().as_deref()))?;
        bar.erase();
        if !json {
            writeln!(out, "\n{format} on {}", sanitized(&gpu.info().name))?;
        }
        for (choice, kernel, ms) in &tuning.measured {
            let what = match choice {
                TuningChoice::Decode => "decode",
                TuningChoice::Norms => "norms",
                TuningChoice::SmallBatch => "small batch",
                TuningChoice::Prefill => "prefill",
            };
            let chosen = *kernel == choice.of(tuning.kernels);
            if json {
                let line = json!({"format": format.name(), "step": what, "kernel": kernel, "ms": ms, "chosen": chosen, "wrong": ms.is_infinite()});
                writeln!(out, "{line}")?;
            } else {
                let mark = if chosen { "  chosen" } else { "" };
                writeln!(out, "   {what:<12} {kernel:<20} {ms:9.3} ms{mark}")?;
            }
        }
    }
    Ok(())
}

impl Device {
    fn print(&self, out: &mut impl Write, index: usize) -> io::Result<()> {
        let info = &self.info;
        let default = if self.default { ", the default" } else { "" };
        writeln!(out, "{index}  {} ({}, {}{default})", sanitized(&info.name), self.kind(), info.backend.to_str())?;
        writeln!(out, "   driver     {}", sanitized(&driver(info)))?;
        let has = match &self.capabilities {
            Ok(has) => has,
            Err(reason) => return writeln!(out, "   not usable {}", sanitized(reason)),
        };
        let (binding, buffer) = (has.max_binding_bytes >> 20, has.max_buffer_bytes >> 20);
        writeln!(out, "   memory     bindings of {binding} MiB, buffers of {buffer} MiB at most")?;
        let sizes = match (info.subgroup_min_size, info.subgroup_max_size) {
            (smallest, largest) if smallest == largest => smallest.to_string(),
            (smallest, largest) => format!("{smallest} to {largest}"),
        };
        let sums = if has.subgroups { format!("in subgroups of {sizes}") } else { "portable".into() };
        let matrices = has.cooperative_size.map_or("no cooperative matrices".into(), |n| format!("{n}×{n} matrices"));
        writeln!(out, "   kernels    sums {sums}, {matrices}")
    }

    fn json(&self, index: usize) -> Value {
        let info = &self.info;
        let mut object = json!({
            "index": index,
            "name": info.name,
            "type": self.kind(),
            "backend": info.backend.to_str(),
            "driver": driver(info),
            "subgroup_min_size": info.subgroup_min_size,
            "subgroup_max_size": info.subgroup_max_size,
            "default": self.default,
        });
        match &self.capabilities {
            Ok(has) => {
                object["max_binding_mib"] = (has.max_binding_bytes >> 20).into();
                object["max_buffer_mib"] = (has.max_buffer_bytes >> 20).into();
                object["subgroups"] = has.subgroups.into();
                object["kernels"] = has.shader_features().into();
            }
            Err(reason) => object["error"] = reason.as_str().into(),
        }
        object
    }

    fn kind(&self) -> String {
        format!("{:?}", self.info.device_type)
    }
}

/// The driver's name and version.
pub(crate) fn driver(info: &AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info).trim().to_owned()
}
