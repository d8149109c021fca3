//! The engine's check of the kernels on the browser's GPU.

use lapidary_engine::check::{Extent, Report, check_device};
use lapidary_engine::{DeviceOptions, Error, Gpu, Result};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::failure;
use crate::post::post;
use crate::request::parse;

/// What to check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    formats: Option<Vec<String>>,
    repeats: Option<usize>,
    /// Whether to leave out what differs little.
    #[serde(default)]
    quick: bool,
    /// Whether a software adapter gets the kernels for GPUs.
    #[serde(default)]
    hardware_kernels: bool,
}

/// Compares the kernels with their reference implementations, as `lapidary check` does. Posts its progress. Gives the report as
/// JSON.
///
/// # Errors
/// The JSON of an error, if an option is wrong or the device cannot be used. A wrong kernel is no error but in the report.
#[wasm_bindgen]
pub async fn check(options: String) -> Result<String, JsValue> {
    run(&options).await.map_err(|error| failure::to_js(&error))
}

async fn run(options: &str) -> Result<String> {
    let options: Options = parse("an option", options)?;
    let mut extent = Extent { quick: options.quick, ..Extent::default() };
    if let Some(names) = options.formats {
        extent.formats = names.iter().map(|name| name.parse()).collect::<Result<_>>()?;
    }
    extent.repeats = options.repeats.unwrap_or(extent.repeats);
    let wrong = |field, expected| Err(Error::Setting { field, value: "nothing".into(), expected });
    // A check of nothing would find everything right.
    if extent.formats.is_empty() {
        return wrong("formats", "one format at least");
    }
    if extent.repeats == 0 {
        return wrong("repeats", "at least 1");
    }
    let mut device = DeviceOptions::default();
    device.hardware_kernels = options.hardware_kernels;
    let gpu = Gpu::open(&device).await?;
    let mut progress = |done, total| {
        post(&json!({ "progress": { "done": done, "total": total } }));
        true
    };
    let report = check_device(&gpu, &extent, &mut progress).await?;
    let Report { dispatches, variants, fault, .. } = report;
    let json = json!({ "ok": fault.is_none(), "dispatches": dispatches, "variants": variants, "fault": fault });
    Ok(json.to_string())
}
