//! `lapidary devices`: adapters, and what each can do.

use std::io::{self, Write};

use lapidary_engine::DeviceOptions;
use lapidary_engine::gpu::{self, AdapterChoice};
use lapidary_engine::wgpu::{Adapter, Features};
use serde_json::{Value, json};

use super::args;
use super::failure::Failure;

pub(crate) fn devices(arguments: &args::Devices) -> Result<(), Failure> {
    let adapters = gpu::adapters_blocking();
    let mut out = io::stdout().lock();
    if arguments.json {
        let list: Vec<Value> = adapters.iter().map(describe).collect();
        writeln!(out, "{}", json!({ "adapters": list }))?;
        return Ok(());
    }
    if adapters.is_empty() {
        return Err(Failure::Failed("there is no graphics adapter; install a driver for Vulkan".into()));
    }
    for (index, adapter) in adapters.iter().enumerate() {
        let d = describe(adapter);
        let text = |key: &str| d[key].as_str().unwrap_or_default().to_owned();
        writeln!(out, "{index}  {} ({}, {})", text("name"), text("type"), text("backend"))?;
        writeln!(out, "   driver       {}", text("driver"))?;
        writeln!(out, "   bindings     up to {} MiB, buffers up to {} MiB", d["max_binding_mib"], d["max_buffer_mib"])?;
        let (smallest, largest) = (&d["subgroup_min_size"], &d["subgroup_max_size"]);
        let sizes = if smallest == largest { smallest.to_string() } else { format!("{smallest} to {largest}") };
        let subgroups = if d["subgroups"] == true { format!("with subgroups of {sizes}") } else { "portable".into() };
        writeln!(out, "   sums         {subgroups}")?;
        let f16 = if d["f16"] == true { "native" } else { "packed by hand" };
        writeln!(out, "   f16 cache    {f16}")?;
    }
    if DeviceOptions::from_env().adapter == AdapterChoice::Fastest {
        writeln!(out, "\n0 is used unless --device or LAPIDARY_ADAPTER names another, by number or by name.")?;
    }
    Ok(())
}

fn describe(adapter: &Adapter) -> Value {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    json!({
        "name": info.name,
        "type": format!("{:?}", info.device_type),
        "backend": info.backend.to_str(),
        "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        "max_binding_mib": limits.max_storage_buffer_binding_size >> 20,
        "max_buffer_mib": limits.max_buffer_size >> 20,
        "subgroups": features.contains(Features::SUBGROUP),
        "subgroup_min_size": info.subgroup_min_size,
        "subgroup_max_size": info.subgroup_max_size,
        "f16": features.contains(Features::SHADER_F16),
    })
}
