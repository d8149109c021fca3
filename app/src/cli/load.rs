//! Finding, opening and loading a model.

use std::io::{self, Read};
use std::path::Path;

use lapidary_engine::load::TokenizerSource;
use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{DeviceOptions, Engine, EngineBuilder, LoadOptions, MemoryEstimate, ModelFiles, Progress};

use super::args::Model;
use super::failure::{Failure, sanitized};
use super::interrupt::{self, Busy};
use super::terminal::ProgressBar;
use lapidary_app::data_folder::data_folder;
use lapidary_app::{guide, models, recent_models};

/// Opens a model without reading its weights: the named one, else the last one used, else the guide.
pub(crate) fn open(named: Option<&Path>) -> Result<ModelFiles, Failure> {
    // A path that exists but cannot be read is reported by the engine.
    let missing = |path: &Path| path.try_exists().is_ok_and(|exists| !exists);
    let path = match named {
        Some(path) if guide::is_guide(path) => return Ok(guide::files()?),
        Some(path) if missing(path) => {
            // The name that downloaded a model opens it.
            if let Some(found) = path.to_str().and_then(models::find_named) {
                return Ok(ModelFiles::open(&found)?);
            }
            return Err(Failure::Failed(format!(
                "{}: there is no such file or folder; a model is a .gguf file, a Hugging Face folder, a name that \
                 lapidary models lists or lapidary pull downloaded, or guide for the built-in one",
                path.display()
            )));
        }
        Some(path) => path.to_owned(),
        None => match recent_models::last() {
            Some(path) if missing(&path) => {
                return Err(Failure::Failed(format!(
                    "the last model used no longer exists: {}; name another with -m, or use the built-in one with -m guide",
                    path.display()
                )));
            }
            Some(path) => path,
            None => return Ok(guide::files()?),
        },
    };
    Ok(ModelFiles::open(&path)?)
}

/// Fails if the model has no tokenizer, before it is loaded.
pub(crate) fn require_tokenizer(files: &ModelFiles) -> Result<(), Failure> {
    if let TokenizerSource::Missing { .. } = files.tokenizer() {
        Tokenizer::load(files.tokenizer(), files.config().vocab_size)?;
    }
    Ok(())
}

/// The device that the arguments and the environment choose.
pub(crate) fn device_options(device: Option<&str>) -> DeviceOptions {
    let mut options = DeviceOptions::from_env();
    if let Some(device) = device {
        // Every text is a valid choice. Whether the adapter exists is checked when it is opened.
        options.adapter = device.parse().unwrap_or_default();
    }
    options
}

/// The options of loading that the arguments choose.
pub(crate) fn load_options(model: &Model) -> LoadOptions {
    LoadOptions {
        weights: model.weights.chosen(),
        kv_format: model.kv.chosen(),
        context: model.context,
        activations: model.activations.chosen(),
    }
}

/// Loads a model, showing the progress on a terminal, and remembers it as the last one used.
///
/// `tokens` is the context length that the command needs, if known. Unless the user chose a context, no more is
/// allocated.
pub(crate) fn engine(files: ModelFiles, model: &Model, tokens: Option<usize>, busy: &Busy) -> Result<Engine, Failure> {
    let path = files.path().to_owned();
    let tokens = tokens.map(|tokens| tokens.clamp(1, files.config().context_length));
    let options = LoadOptions { context: model.context.or(tokens), ..load_options(model) };
    let engine = load(files, options, |builder| builder.device(device_options(model.device.as_deref())), busy)?;
    recent_models::remember(Some(path.as_path()).filter(|path| !guide::is_guide(path)));
    Ok(engine)
}

/// Loads a second model on an engine's device, with its context and as many of the options as are not about a file's format. It has
/// to fit beside the first one and its session, which need not be there yet.
pub(crate) fn beside(engine: &Engine, files: ModelFiles, model: &Model, busy: &Busy) -> Result<Engine, Failure> {
    let options = LoadOptions {
        context: Some(engine.context().min(files.config().context_length)),
        activations: model.activations.chosen(),
        ..LoadOptions::default()
    };
    let (gpu, context) = (engine.gpu(), Some(engine.context()));
    let first_options = LoadOptions { context, ..load_options(model) };
    let first = open(model.model.as_deref())?.memory(&first_options, gpu.capabilities())?;
    let limit = gpu.memory_bytes().map(|memory| left_beside(&first, memory, gpu.capabilities().software));
    let device = |builder: EngineBuilder| {
        let builder = builder.gpu(gpu.clone());
        if let Some(limit) = limit { builder.memory_limit(limit) } else { builder }
    };
    load(files, options, device, busy)
}

/// The bytes that a model and its session leave for a second one. Of a computer's memory, what is free is known, and the weights
/// have been taken from that.
fn left_beside(first: &MemoryEstimate, memory: u64, is_software: bool) -> u64 {
    let session = first.sequence + first.activations;
    memory.saturating_sub(if is_software { session } else { first.weights + session })
}

fn load(
    files: ModelFiles,
    options: LoadOptions,
    device: impl FnOnce(EngineBuilder) -> EngineBuilder,
    busy: &Busy,
) -> Result<Engine, Failure> {
    let mut bar = ProgressBar::new(format!("Loading {}", sanitized(&files.name())));
    let mut builder = device(Engine::from_files(files)).options(options);
    if let Some(folder) = data_folder() {
        builder = builder.tuning_folder(folder);
    }
    let report = move |progress: Progress| {
        if progress.done < progress.total {
            bar.set(progress.done, progress.total);
        } else {
            // At the first start with a format this takes a while.
            bar.say("choosing the fastest kernels …");
        }
        !interrupt::interrupted()
    };
    busy.wait(builder.on_progress(report).build())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_model_gets_what_the_first_and_its_session_leave() {
        let first = MemoryEstimate { weights: 700, sequence: 150, activations: 50 };
        assert_eq!(left_beside(&first, 1000, false), 100);
        assert_eq!(left_beside(&first, 800, false), 0);
        // The weights are in memory already, and so not in what is free.
        assert_eq!(left_beside(&first, 300, true), 100);
    }
}
