//! Accepts connections, limits them, and ends them when the server stops.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::bounds::{CLOSE_TIME, HEAD_TIME, MAX_CONNECTIONS, MAX_HEAD, MAX_REFUSALS};
use super::error::ApiError;
use super::stall::StallLimit;

/// How long to wait after the system had no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client that is refused may take to read that.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// The open connections.
pub(super) struct Connections {
    router: Router,
    /// Becomes true when connections are to end after their present answer.
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
    refusals: JoinSet<()>,
}

impl Connections {
    pub(super) fn new(router: Router) -> Self {
        let (ending, _) = watch::channel(false);
        Self { router, ending, tasks: JoinSet::new(), refusals: JoinSet::new() }
    }

    /// Accepts connections until this future is dropped.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.add(stream),
                // A client that is gone already, or no file descriptor is free.
                Err(error) => {
                    log::debug!("cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn add(&mut self, stream: TcpStream) {
        while self.tasks.try_join_next().is_some() {}
        while self.refusals.try_join_next().is_some() {}
        if self.tasks.len() < MAX_CONNECTIONS {
            // Pieces of a stream are small, and each should go out at once.
            let _ = stream.set_nodelay(true);
            let (router, ending) = (self.router.clone(), self.ending.subscribe());
            self.tasks.spawn(serve(stream, router, ending));
        } else if self.refusals.len() < MAX_REFUSALS {
            self.refusals.spawn(async move {
                let _ = timeout(REFUSAL_TIME, refuse(&stream)).await;
            });
        }
    }

    /// Lets each connection finish its present answer, and closes those that take longer than [`CLOSE_TIME`].
    pub(super) async fn end(mut self) {
        let _ = self.ending.send(true);
        let _ = timeout(CLOSE_TIME, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, router: Router, mut ending: watch::Receiver<bool>) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MAX_HEAD);
    let io = TokioIo::new(StallLimit::new(stream));
    let mut connection = std::pin::pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    let ended = async { ending.wait_for(|ending| *ending).await.is_ok() };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = ended => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        log::debug!("a connection ended: {error}");
    }
}

/// Tells a client that there are too many connections.
async fn refuse(stream: &TcpStream) -> io::Result<()> {
    let error = ApiError::new(
        axum::http::StatusCode::TOO_MANY_REQUESTS,
        "too_many_connections",
        format!("the server has {MAX_CONNECTIONS} connections already; try again later"),
    );
    let body = error.to_json().to_string();
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The request is read first: closing a connection with unread bytes would discard the answer.
    let mut request = [0; 4096];
    stream.readable().await?;
    let _ = stream.try_read(&mut request);
    stream.writable().await?;
    stream.try_write(answer.as_bytes())?;
    Ok(())
}
