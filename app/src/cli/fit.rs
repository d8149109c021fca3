//! `lapidary fit`: whether a model fits this device, and how fast it would be.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use lapidary_app::data_folder::data_folder;
use lapidary_app::hub::{
    Client, Entry, Fit, HubSettings, Plan, Stop, Verdict, measure_speed, plan_first, references, size,
};
use lapidary_app::{guide, models};
use lapidary_engine::{DeviceOptions, Gpu, ModelFiles, Recipe, WeightFormat};
use serde_json::{Value, json};

use super::failure::{Failure, sanitized};
use super::interrupt::{Busy, stop_on_interrupt};
use super::load::{device_options, open};

#[derive(Args)]
pub(crate) struct FitArguments {
    /// A file, a folder, guide, a name of the catalogue, or a repository, whose headers are then read from the hub
    #[arg(value_name = "MODEL")]
    model: String,
    /// The graphics adapter: a name, a number from `lapidary devices`, fastest, frugal or software
    #[arg(long, value_name = "ADAPTER")]
    device: Option<String>,
    /// Do not measure how fast it would be
    #[arg(long)]
    no_speed: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a model takes, and how fast it would be.
pub(crate) struct FitReport {
    fit: Fit,
    /// Tokens per second of the recommended way, if they were measured.
    speed: Option<f64>,
}

pub(crate) fn fit(arguments: &FitArguments) -> Result<(), Failure> {
    let busy = Busy::new();
    let files = files_of(&arguments.model)?;
    let gpu = busy.wait(Gpu::open(&device_options(arguments.device.as_deref())))?;
    let report = FitReport::new(&files, &gpu, !arguments.no_speed, &busy)?;
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", report.json())?;
    } else {
        report.print(&mut out)?;
    }
    Ok(())
}

/// Whether what a plan downloads fits the default device.
pub(super) fn of_plan(client: &Arc<Client>, plan: &Plan) -> Result<FitReport, Failure> {
    let busy = Busy::new();
    let files = plan.open_remote(client)?;
    let gpu = busy.wait(Gpu::open(&DeviceOptions::from_env()))?;
    FitReport::new(&files, &gpu, true, &busy)
}

/// A model's headers: from this machine, else those of the catalogue's shape, else from the hub.
fn files_of(name: &str) -> Result<ModelFiles, Failure> {
    let path = Path::new(name);
    if guide::is_guide(path) || path.exists() {
        return open(Some(path));
    }
    if let Some(found) = models::find_named(name) {
        return open(Some(&found));
    }
    let references = references(name)?;
    let (entry, format) = match name.split_once(':') {
        Some((entry, format)) => (Entry::of_name(entry), format.to_lowercase()),
        None => (Entry::of_name(name), String::new()),
    };
    if let Some(entry) = entry {
        // Without the network: the catalogue has the shape.
        let recipe = match format.as_str() {
            "" => entry.recipes().first().copied().unwrap_or(Recipe::Q4KM),
            "safetensors" => Recipe::Pure(WeightFormat::Bf16),
            format => format.parse()?,
        };
        return Ok(entry.files(recipe)?);
    }
    let stop = Stop::default();
    stop_on_interrupt(stop.clone());
    let client = Arc::new(Client::new(HubSettings::from_env()?, stop)?);
    Ok(plan_first(&client, &references)?.open_remote(&client)?)
}

impl FitReport {
    fn new(files: &ModelFiles, gpu: &Gpu, with_speed: bool, busy: &Busy) -> Result<Self, Failure> {
        let fit = Fit::new(files, gpu)?;
        let mut speed = None;
        if let (true, Some(row)) = (with_speed, fit.recommended.map(|row| fit.rows[row])) {
            let folder = data_folder();
            speed = Some(busy.wait(measure_speed(gpu, files, row.weights, folder.as_deref()))?);
        }
        Ok(Self { fit, speed })
    }

    pub(super) fn json(&self) -> Value {
        let Self { fit, speed } = self;
        let rows: Vec<Value> = fit
            .rows
            .iter()
            .map(|row| {
                json!({
                    "weights": fit.format(row).name(),
                    "as_in_file": row.weights.is_none(),
                    "context": row.context,
                    "bytes": row.memory.total(),
                    "bytes_weights": row.memory.weights,
                    "bytes_context": row.memory.sequence,
                    "bytes_activations": row.memory.activations,
                    "verdict": row.verdict.name(),
                })
            })
            .collect();
        json!({
            "model": fit.model,
            "device": fit.device,
            "device_bytes": fit.device_memory,
            "rows": rows,
            "recommended": fit.recommended,
            "tokens_per_s": speed,
        })
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { fit, speed } = self;
        let memory = fit.device_memory.map_or("an unknown amount of memory".to_owned(), size);
        writeln!(out, "{} on {}, which has {memory}", sanitized(&fit.model), sanitized(&fit.device))?;
        writeln!(out, "   weights            context     memory   of which weights, context, steps")?;
        for (i, row) in fit.rows.iter().enumerate() {
            let weights = match row.weights {
                None => format!("as they are ({})", fit.stored),
                Some(format) => format!("--weights {format}"),
            };
            let mark = if fit.recommended == Some(i) { "  <- recommended" } else { "" };
            let verdict = row.verdict.name();
            let [all, weights_size, context, steps] =
                [row.memory.total(), row.memory.weights, row.memory.sequence, row.memory.activations].map(size);
            writeln!(
                out,
                "   {weights:<18} {:>7}  {all:>9}   {weights_size:>8} {context:>8} {steps:>8}  {verdict}{mark}",
                row.context
            )?;
        }
        match (fit.recommended, speed) {
            (Some(_), Some(speed)) => {
                writeln!(out, "about {speed:.1} tokens per second, as recommended and with a short chat")
            }
            (Some(_), None) => Ok(()),
            (None, _) if fit.rows.iter().all(|row| row.verdict == Verdict::Unknown) => {
                writeln!(out, "the device does not say how much memory it has, so nothing is recommended")
            }
            (None, _) => writeln!(out, "it does not fit in any way; a smaller model does: see lapidary pull --list"),
        }
    }
}
