//! `lapidary serve`: the model for other programs.

use std::io::{self, Write};
use std::path::Path;

use lapidary_app::guide;
use lapidary_app::server::{Options, ServeError, Server};
use lapidary_engine::ModelFiles;

use super::args::{self, SamplingFlags};
use super::failure::{Failure, print_error};
use super::interrupt::{Busy, on_interrupt};
use super::load::{engine, open, require_tokenizer};

/// The variable with the key.
const KEY_VARIABLE: &str = "LAPIDARY_API_KEY";

pub(crate) fn serve(arguments: &args::Serve) -> Result<(), Failure> {
    let api_key = arguments.api_key.clone().or_else(|| std::env::var(KEY_VARIABLE).ok());
    if api_key.as_ref().is_some_and(|key| key.is_empty() || key.chars().any(char::is_control)) {
        return Err(Failure::Usage(format!("the key of --api-key or {KEY_VARIABLE} must be a text in one line")));
    }
    let named = arguments.model.model.as_deref();
    let files = open(named)?;
    require_tokenizer(&files)?;
    let options = Options {
        host: arguments.host.clone(),
        port: arguments.port,
        model: model_id(named, &files),
        sampling: SamplingFlags::default().to_engine(&files),
        api_key,
        allowed_origins: arguments.allow_origin.clone(),
        allowed_hosts: arguments.allow_host.clone(),
        parallel: arguments.parallel,
        cache_tokens: arguments.cache_tokens,
        queue: arguments.queue,
    };
    let (model, has_key) = (options.model.clone(), options.api_key.is_some());
    let busy = Busy::new();
    let engine = engine(files, &arguments.model, None, &busy)?;
    let server = Server::bind(&engine, options)?;
    let stop = server.stop_handle();
    on_interrupt(move || stop.stop());
    let address = server.address();
    if !address.ip().is_loopback() && !has_key {
        print_error("other machines can use this server without a key; --api-key sets one");
    }
    let mut out = io::stdout();
    writeln!(out, "{model} is served at http://{address}/v1")?;
    out.flush()?;
    Ok(server.run()?)
}

/// The name by which clients ask for a model: what the user called it, without folders and the ending of a file.
pub(super) fn model_id(named: Option<&Path>, files: &ModelFiles) -> String {
    if guide::is_guide(files.path()) {
        return guide::NAME.to_owned();
    }
    match named {
        // A name that was pulled, such as google/gemma-2-2b-it, is no path of a file.
        Some(name) if !name.exists() => name.display().to_string(),
        _ => {
            let name = files.path().file_name().unwrap_or(files.path().as_os_str()).to_string_lossy();
            name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Engine(error) => error.into(),
            error => Self::Failed(error.to_string()),
        }
    }
}
