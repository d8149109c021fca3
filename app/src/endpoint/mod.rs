//! Chats with servers that speak OpenAI's HTTP API, such as llama-server, vLLM and another Lapidary.
//!
//! Nothing here opens a connection before a person names a server, and then only to that server: redirects are not followed.

mod address;
mod alternatives;
mod author;
mod client;
mod error;
mod keys;
mod request;
mod server_model;
mod sse;
mod stream;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::hub::Stop;

pub use address::Address;
pub use alternatives::TokenLists;
pub use author::is_of_server;
pub use client::{Client, STALL};
pub use error::{EndpointError, Result, enumerated};
pub use keys::{KEY_VARIABLE, Keys};
pub use request::ChatRequest;
pub use server_model::ServerModel;
pub use stream::ReplyStream;

/// How often work that waits for a server looks whether it was stopped.
const STOP_INTERVAL: Duration = Duration::from_millis(20);

/// Runs work that waits for a server. Once `stopped` says so, the stop that the work got closes its connections, which ends its
/// waits.
pub fn stop_when<T>(stopped: impl Fn() -> bool + Sync, work: impl FnOnce(&Stop) -> T) -> T {
    /// Ends the watching thread also if the work panics, because the scope waits for that thread.
    struct Done<'a>(&'a AtomicBool, Option<thread::Thread>);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
            if let Some(watcher) = &self.1 {
                watcher.unpark();
            }
        }
    }
    let (stop, done) = (Stop::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = || {
            while !done.load(Ordering::SeqCst) {
                if stopped() {
                    stop.stop();
                    return;
                }
                thread::park_timeout(STOP_INTERVAL);
            }
        };
        let watcher = thread::Builder::new().name("lapidary-stop".into()).spawn_scoped(scope, watch);
        if let Err(error) = &watcher {
            log::error!("cannot start a thread, so the work cannot be stopped: {error}");
        }
        let _done = Done(&done, watcher.ok().map(|watcher| watcher.thread().clone()));
        work(&stop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_with_its_watcher_and_can_be_stopped() {
        assert_eq!(stop_when(|| false, |_| 7), 7);
        let stopped = stop_when(|| true, |stop| stop.sleep(Duration::from_secs(20)).is_err());
        assert!(stopped);
        let panicked = std::panic::catch_unwind(|| stop_when(|| false, |_| panic!("as a test")));
        assert!(panicked.is_err());
    }
}
