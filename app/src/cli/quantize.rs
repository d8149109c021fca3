//! `lapidary quantize`: writes a model to a GGUF file in other formats.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use lapidary_app::hub::size;
use lapidary_engine::{GgufOptions, Progress, Recipe};
use serde_json::json;

use super::failure::{Failure, sanitized};
use super::interrupt::{self, Busy};
use super::load::open;
use super::terminal::ProgressBar;

#[derive(Args)]
pub(crate) struct Quantize {
    /// A .gguf file, a Hugging Face folder, a name that lapidary pull downloaded, or guide for the built-in model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Formats of the matrices: q4_k_m and q5_k_m mix formats as llama.cpp does; f32, f16, bf16, q8_0, q4_k, … is one for all
    #[arg(long, value_name = "FORMAT", default_value = "q4_k_m")]
    weights: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn quantize(arguments: &Quantize) -> Result<(), Failure> {
    let recipe: Recipe = arguments.weights.parse()?;
    let out = &arguments.out;
    if out.exists() && !arguments.force {
        return Err(Failure::Failed(format!("{} is there already; --force replaces it", out.display())));
    }
    let files = open(Some(&arguments.model))?;
    let needed = recipe.bytes(files.config());
    check_disk(out, needed)?;
    let options = GgufOptions { recipe, overwrite: arguments.force };
    let busy = Busy::new();
    let started = Instant::now();
    let mut bar = ProgressBar::new(format!("Writing {}", sanitized(&out.display().to_string())));
    let mut report = |Progress { done, total }: Progress| {
        bar.set(done, total);
        !interrupt::interrupted()
    };
    let written = busy.wait(files.write_gguf(out, &options, &mut report));
    drop(bar);
    written?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = out.metadata().map_or(needed, |metadata| metadata.len());
    let mut stdout = io::stdout().lock();
    if arguments.json {
        let object = json!({"out": out, "bytes": bytes, "weights": recipe.name(), "seconds": seconds});
        writeln!(stdout, "{object}")?;
    } else {
        let name = sanitized(&files.name()).into_owned();
        writeln!(stdout, "{}: {name} as {recipe}, {} in {seconds:.1} s", out.display(), size(bytes))?;
    }
    Ok(())
}

/// Fails where the disk has no room for so many bytes.
fn check_disk(out: &Path, needed: u64) -> Result<(), Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file system that does not say how much is free may have enough.
    match fs4::available_space(folder) {
        Ok(free) if free < needed => Err(Failure::Failed(format!(
            "{} has {} free, but the file needs {}; name a file on another disk with -o",
            folder.display(),
            size(free),
            size(needed)
        ))),
        _ => Ok(()),
    }
}
