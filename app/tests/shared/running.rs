//! A server of this program, in the process of the test.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use lapidary_app::guide;
use lapidary_app::server::{Options, ServeError, Server, Stop};
use lapidary_engine::{Engine, LoadOptions};

/// The options of a server on a free port that serves the guide alone.
pub(crate) fn options() -> Options {
    Options {
        host: "127.0.0.1".into(),
        port: 0,
        model: guide::NAME.into(),
        path: None,
        load: LoadOptions::default(),
        tuning_folder: None,
        models: 1,
        api_key: None,
        allowed_origins: Vec::new(),
        allowed_hosts: Vec::new(),
        parallel: 4,
        cache_tokens: None,
        queue: 8,
        log: None,
    }
}

/// A server on a thread of its own, which ends when this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Stop,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Running {
    pub(crate) fn start(engine: &Engine, options: Options) -> Self {
        let server = Server::bind(engine, options).unwrap();
        let (address, stop) = (server.address(), Stop::default());
        let stopped = stop.clone();
        Self { address, stop, thread: Some(std::thread::spawn(move || server.run(stopped))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap().unwrap();
        }
    }
}
