//! `lapidary serve`: a model for other programs, with OpenAI's HTTP API.
//!
//! Per model, one thread owns the engine's scheduler and generates many replies at once; further requests wait in a bounded queue.
//! Connections are on an async runtime of one thread.

mod answer;
pub mod batch;
mod bias;
mod body;
mod bounds;
mod connections;
mod engine_thread;
mod error;
mod fields;
mod grammar;
mod guard;
mod library;
mod logprobs;
mod messages;
mod metrics;
mod models;
mod queue;
mod reply;
mod reply_loop;
mod request;
mod request_reader;
mod routes;
mod stall;
mod stream;
mod supported;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use lapidary_engine::{Engine, Error, LoadOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use bounds::MAX_LOGPROBS;
use connections::Connections;
use guard::Guard;
use library::{Entry, Library};
use models::{Limits, Models};
use routes::{App, router};

/// Bodies that are read into tokens at the same time.
const READERS: usize = 2;

/// How to serve a model.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address or the name to listen at, such as `127.0.0.1`.
    pub host: String,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// The name by which clients ask for the model.
    pub model: String,
    /// The model's file or folder; `None` for the guide.
    pub path: Option<PathBuf>,
    /// How it was loaded, and further ones are.
    pub load: LoadOptions,
    /// Where it is remembered which kernels are fastest.
    pub tuning_folder: Option<PathBuf>,
    /// The most models that are loaded at once, at least 1. With more, requests load those of this machine by their names.
    pub models: usize,
    /// The key that each request must have; `None` for no key.
    pub api_key: Option<String>,
    /// Origins of web pages that may use the server, such as `https://app.example`.
    pub allowed_origins: Vec<String>,
    /// Names of this machine that requests may address, besides `localhost` and `host`.
    pub allowed_hosts: Vec<String>,
    /// The most replies that are generated at once, from 1 to 64.
    pub parallel: usize,
    /// Tokens of all replies at once, with their prompts; `None` for as many as the model's context holds.
    pub cache_tokens: Option<usize>,
    /// The most requests that wait for a model.
    pub queue: usize,
    /// Gets a line for each answer: the method, the path and the status.
    pub log: Option<Sender<String>>,
}

/// Why a server does not start, or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened at. Whoever shows this adds where another is chosen.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused a thread or what waits for connections.
    #[error("cannot start the server: {0}; close other programs and start it again")]
    System(#[from] io::Error),
    /// The engine cannot serve, or failed.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// A server that listens. Clients that connect before [`Server::run`] wait.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    ended: UnboundedReceiver<lapidary_engine::Result<()>>,
}

/// Stops a server from any thread. Its permits count the calls that the server has not seen yet.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Semaphore>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Stop {
    /// Lets the server answer the requests that it has, refuse new ones, and end. The second time, it ends at once.
    pub fn stop(&self) {
        self.0.add_permits(1);
    }

    /// Whether a server that does not run yet is to stop.
    pub(crate) fn is_called(&self) -> bool {
        self.0.available_permits() > 0
    }
}

impl Server {
    /// Prepares a server for a model.
    ///
    /// # Errors
    /// [`ServeError::Listen`] if the address is not free or not of this machine, and [`ServeError::Engine`] if the model has no
    /// tokenizer or there is no memory for a session.
    pub fn bind(engine: &Engine, options: Options) -> Result<Self, ServeError> {
        let listen = |source| {
            let host = if options.host.contains(':') { format!("[{}]", options.host) } else { options.host.clone() };
            let address = format!("{host}:{}", options.port);
            ServeError::Listen { address, source }
        };
        let listener = TcpListener::bind((options.host.as_str(), options.port)).map_err(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        engine.tokenizer()?;
        let loopback = address.ip().is_loopback();
        let mut hosts = options.allowed_hosts;
        hosts.push(options.host);
        let library = Library::new(engine.gpu().clone(), options.load, options.tuning_folder);
        let limits = Limits {
            parallel: options.parallel,
            cache_tokens: options.cache_tokens,
            queue: options.queue,
            models: options.models,
        };
        let (models, ended) = Models::new(library, limits, Entry::new(options.model, options.path));
        models.start_first(engine)?;
        let app = App {
            models: Arc::new(models),
            guard: Guard::new(loopback, hosts, options.allowed_origins, options.api_key.as_deref()),
            readers: Arc::new(Semaphore::new(READERS)),
            log: options.log,
        };
        Ok(Self { listener, address, app: Arc::new(app), ended })
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until [`Stop::stop`], and then those that it has. The second call ends these too.
    ///
    /// # Errors
    /// [`ServeError::Engine`] if the device fails, and [`ServeError::System`].
    pub fn run(self, stop: Stop) -> Result<(), ServeError> {
        let Self { listener, app, ended, .. } = self;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // One thread loads models.
        let runtime = runtime.enable_io().enable_time().max_blocking_threads(READERS + 1).build()?;
        runtime.block_on(accept_until_done(listener, app, stop, ended))
    }
}

/// Accepts connections until the engine's threads end, which they do after their last reply once the server is stopped.
async fn accept_until_done(
    listener: TcpListener,
    app: Arc<App>,
    stop: Stop,
    mut ended: UnboundedReceiver<lapidary_engine::Result<()>>,
) -> Result<(), ServeError> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let models = app.models.clone();
    let mut connections = Connections::new(router(app));
    let stopped = async {
        let next = async || stop.0.acquire().await.into_iter().for_each(SemaphorePermit::forget);
        next().await;
        models.close();
        next().await;
        models.abandon();
    };
    let done = async {
        // A thread that fails takes the device with it, and so the others.
        while let Some(end) = ended.recv().await {
            if models.thread_ended() || end.is_err() {
                return end;
            }
        }
        Ok(())
    };
    let result = tokio::select! {
        () = connections.accept(&listener) => Ok(()),
        () = stopped => return Ok(()),
        end = done => end,
    };
    drop(listener);
    models.abandon();
    connections.end().await;
    Ok(result?)
}
