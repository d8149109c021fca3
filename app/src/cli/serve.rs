//! `lapidary serve`: the model for other programs.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use lapidary_app::data_folder::data_folder;
use lapidary_app::server::{Options, ServeError, Server, Stop};
use lapidary_app::{guide, models};
use lapidary_engine::ModelFiles;

use super::args;
use super::failure::{Failure, print_error};
use super::interrupt::{Busy, exit_at_once, on_interrupt};
use super::load::{engine, load_options, open, require_tokenizer};

/// The variable with the key.
const KEY_VARIABLE: &str = "LAPIDARY_API_KEY";

pub(crate) fn serve(arguments: &args::Serve) -> Result<(), Failure> {
    let api_key = api_key(arguments.api_key.clone(), std::env::var_os(KEY_VARIABLE))?;
    let named = arguments.model.model.as_deref();
    let files = open(named)?;
    require_tokenizer(&files)?;
    let options = Options {
        host: arguments.host.clone(),
        port: arguments.port,
        model: model_id(named, &files),
        path: (!guide::is_guide(files.path())).then(|| files.path().to_owned()),
        load: load_options(&arguments.model),
        tuning_folder: data_folder(),
        models: arguments.models,
        api_key,
        allowed_origins: arguments.allow_origin.clone(),
        allowed_hosts: arguments.allow_host.clone(),
        parallel: arguments.concurrency.parallel,
        cache_tokens: arguments.concurrency.cache_tokens,
        queue: arguments.queue,
        log: None,
    };
    let (model, has_key) = (options.model.clone(), options.api_key.is_some());
    let busy = Busy::new();
    let engine = engine(files, &arguments.model, None, &busy)?;
    let server = Server::bind(&engine, options)?;
    // The server can unload the model.
    drop(engine);
    let stop = Stop::default();
    let stopped = stop.clone();
    on_interrupt(move || stopped.stop());
    #[cfg(unix)]
    on_termination(stop.clone());
    let address = server.address();
    if !address.ip().is_loopback() && !has_key {
        print_error("other machines can use this server without a key; --api-key sets one");
    }
    let mut out = io::stdout();
    writeln!(out, "{model} is served at http://{address}/v1")?;
    out.flush()?;
    server.run(stop)?;
    // A server that was stopped at once leaves a thread that computes.
    exit_at_once(0)
}

/// Stops the server at each SIGTERM. Only this command does so: the handler stays until the program ends, and the window's server may
/// stop before that.
#[cfg(unix)]
fn on_termination(stop: Stop) {
    use std::thread;
    use tokio::signal::unix::{SignalKind, signal};
    let listen = || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut terminations = {
            let _context = runtime.enter();
            signal(SignalKind::terminate())?
        };
        let wait = async move {
            while terminations.recv().await.is_some() {
                stop.stop();
            }
        };
        // It ends with the program.
        thread::Builder::new().name("lapidary-signals".into()).spawn(move || runtime.block_on(wait)).map(drop)
    };
    if let Err(error) = listen() {
        log::warn!("SIGTERM will end the server at once: {error}");
    }
}

/// The key that clients must have. A key that clients cannot send is refused: a server must not start without the one that it was
/// given.
fn api_key(given: Option<String>, variable: Option<OsString>) -> Result<Option<String>, Failure> {
    let wrong = || {
        let message = "must be a text in one line, without white space around it";
        Failure::Usage(format!("the key of --api-key or {KEY_VARIABLE} {message}"))
    };
    let variable = || variable.map(OsString::into_string).transpose().map_err(|_| wrong());
    let key = given.map_or_else(variable, |key| Ok(Some(key)))?;
    match key {
        Some(key) if key.is_empty() || key.trim() != key || key.chars().any(char::is_control) => Err(wrong()),
        key => Ok(key),
    }
}

/// The name by which clients ask for a model: the name that the user called it by, or that of its file.
pub(super) fn model_id(named: Option<&Path>, files: &ModelFiles) -> String {
    match named {
        // A name that was pulled, such as google/gemma-2-2b-it, is no path of a file.
        Some(name) if !guide::is_guide(files.path()) && !name.exists() => name.display().to_string(),
        _ => models::id_of((!guide::is_guide(files.path())).then(|| files.path())),
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Engine(error) => error.into(),
            error @ ServeError::Listen { .. } => {
                Self::Failed(format!("{error}; choose another address with --host and --port"))
            }
            error => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_client_can_send_is_refused() {
        let key = |given: Option<&str>, variable: Option<OsString>| api_key(given.map(str::to_owned), variable);
        assert!(matches!(key(None, None), Ok(None)));
        assert!(matches!(key(None, Some("a key".into())), Ok(Some(key)) if key == "a key"));
        assert!(matches!(key(Some("given"), Some("other".into())), Ok(Some(key)) if key == "given"));
        for wrong in ["", " ", "key\n", " key", "a\nb"] {
            assert!(matches!(key(Some(wrong), None), Err(Failure::Usage(_))), "{wrong:?}");
            assert!(matches!(key(None, Some(wrong.into())), Err(Failure::Usage(_))), "{wrong:?}");
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            assert!(matches!(key(None, Some(OsString::from_vec(vec![b'k', 0xff]))), Err(Failure::Usage(_))));
        }
    }
}
