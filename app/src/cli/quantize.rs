//! `lapidary quantize`: writes a model to a GGUF file in other formats.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use lapidary_app::hub::size;
use lapidary_engine::{ActivationFormat, GgufOptions, Importance, Progress, Recipe};
use serde_json::json;

use super::args::{Auto, Model};
use super::failure::{Failure, print_error, sanitized};
use super::interrupt::{self, Busy};
use super::load::{engine as load, open, require_tokenizer};
use super::terminal::ProgressBar;

/// Tokens of a text that are read together to find the columns that matter.
const CONTEXT: usize = 512;
/// A text with fewer tokens says little.
const FEW_TOKENS: usize = 4096;

#[derive(Args)]
pub(crate) struct Quantize {
    /// A .gguf file, a Hugging Face folder, a name that lapidary pull downloaded, or guide for the built-in model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Formats of the matrices: q4_k_m and q5_k_m mix formats as llama.cpp does; f32, f16, bf16, q8_0, q4_k, … is one for all
    #[arg(long, value_name = "FORMAT", default_value = "q4_k_m")]
    weights: String,
    /// Lose less in the columns that matter: a text that the model reads to find them, such as 100 kB of what it is for, or a file
    /// of llama.cpp's llama-imatrix
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
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
    let busy = Busy::new();
    let importance = arguments.imatrix.as_ref().map(|path| importance(&arguments.model, path, &busy)).transpose()?;
    let options = GgufOptions { recipe, overwrite: arguments.force, importance };
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

/// The most bytes of a text by which columns are measured.
const MAX_TEXT: u64 = 16 << 20;

/// Which columns of a model matter: from a file of llama.cpp, or measured while the model reads a text.
fn importance(model: &Path, path: &Path, busy: &Busy) -> Result<Importance, Failure> {
    let files = open(Some(model))?;
    let failed = |error: io::Error| Failure::Failed(format!("cannot read {}: {error}", path.display()));
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(8).read_to_end(&mut start)).map_err(failed)?;
    if Importance::is_file(&start) {
        return Ok(Importance::read(path, files.config())?);
    }
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_TEXT + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_TEXT {
        let most = MAX_TEXT >> 20;
        return Err(Failure::Failed(format!("{} has more than {most} MiB; a part of it is enough", path.display())));
    }
    let text = String::from_utf8(text).map_err(|_| {
        Failure::Failed(format!("{} is neither UTF-8 text nor a file of llama-imatrix; choose another", path.display()))
    })?;
    require_tokenizer(&files)?;
    let model = Model { activations: Auto::Chosen(ActivationFormat::Float), ..Model::default() };
    let context = files.config().context_length.min(CONTEXT);
    let engine = load(files, &model, Some(context), busy)?;
    // Control tokens count, so that a text can hold chats.
    let tokens = engine.tokenizer()?.encode(&text)?;
    if tokens.len() < FEW_TOKENS {
        let count = tokens.len();
        print_error(&format!("{} has only {count} tokens; take a longer text, such as 100 kB", path.display()));
    }
    let mut bar = ProgressBar::new("Measuring which columns matter");
    let mut report = |Progress { done, total }: Progress| {
        bar.set(done, total);
        !interrupt::interrupted()
    };
    busy.wait(Importance::measure(&engine, &tokens, &mut report))
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
