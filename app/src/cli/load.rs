//! Finding, opening and loading a model.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use lapidary_engine::{DeviceOptions, Engine, Progress};

use super::args::Model;
use super::failure::Failure;
use super::interrupt::{self, Busy};
use super::last_model;

const HOW_TO_GET_ONE: &str = "\
no model was used yet. Get a Gemma 2 or Gemma 3 text model as a .gguf file, or as a folder from Hugging Face, then:
    lapidary chat -m gemma-2-2b-it-Q4_K_M.gguf";

/// The path of the model that is meant.
pub(crate) fn model_path(named: Option<&Path>) -> Result<PathBuf, Failure> {
    match named {
        Some(path) if path.exists() => Ok(path.to_owned()),
        Some(path) => Err(Failure::Failed(format!(
            "{}: there is no such file or folder; a model is a .gguf file or a Hugging Face folder",
            path.display()
        ))),
        None => match last_model::last_model() {
            Some(path) if path.exists() => Ok(path),
            Some(path) => {
                Err(Failure::Failed(format!("the last model used is gone: {}; name another with -m", path.display())))
            }
            None => Err(Failure::Failed(HOW_TO_GET_ONE.into())),
        },
    }
}

/// Loads a model, showing how far it is if somebody watches; Ctrl-C stops it. Remembers it as the last one used.
pub(crate) fn engine(model: &Model) -> Result<Engine, Failure> {
    let path = model_path(model.model.as_deref())?;
    let mut options = DeviceOptions::from_env();
    if let Some(device) = &model.device {
        // Any text is a choice of adapter; whether it exists is found out on opening.
        options.adapter = device.parse().unwrap_or_default();
    }
    let mut builder = Engine::builder(&path).device(options);
    if let Some(format) = model.weights.chosen() {
        builder = builder.weights(format);
    }
    if let Some(format) = model.kv.chosen() {
        builder = builder.cache(format);
    }
    if let Some(tokens) = model.context {
        builder = builder.context(tokens);
    }
    let busy = Busy::new();
    let watched = io::stderr().is_terminal();
    let result = builder.on_progress(move |progress| show(progress, watched)).build_blocking();
    if watched {
        eprint!("\r\x1b[K");
    }
    drop(busy);
    let engine = result?;
    last_model::remember(&path);
    Ok(engine)
}

fn show(Progress { done, total }: Progress, watched: bool) -> bool {
    if watched {
        eprint!("\rloading … {} %", done * 100 / total.max(1));
        // A terminal that cannot be written to is no reason to stop.
        let _ = io::stderr().flush();
    }
    !interrupt::interrupted()
}

/// A text argument, where `-` means standard input.
pub(crate) fn text_or_stdin(text: &str) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::new();
    io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    String::from_utf8(bytes).map_err(|_| Failure::Failed("standard input is not UTF-8 text".into()))
}
