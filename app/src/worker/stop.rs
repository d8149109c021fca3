//! Stops commands that are queued or running.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use lapidary_engine::{Error, Result};

/// Tells a command whether it is to be stopped. The queue carries it with the command.
#[derive(Default)]
pub(crate) struct StopSignal {
    stopped: AtomicBool,
    superseded: AtomicBool,
}

impl StopSignal {
    /// Stops the command, started or not.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Stops the command, whose result nobody waits for any more because a newer one takes its place.
    pub(super) fn supersede(&self) {
        self.superseded.store(true, Ordering::SeqCst);
        self.stop();
    }

    /// Whether the command is to be stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Whether a newer command takes its place.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::SeqCst)
    }

    /// Waits for a future of the engine until the command is stopped. Dropping the future cancels it. A stop wakes nobody, so
    /// it takes effect when the wait is polled next.
    ///
    /// # Errors
    /// Those of the future, and [`Error::Cancelled`] after a stop.
    pub(super) async fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let mut future = pin!(future);
        poll_fn(|context| match self.is_stopped() {
            true => Poll::Ready(Err(Error::Cancelled)),
            false => future.as_mut().poll(context),
        })
        .await
    }
}

/// The signals of the commands sent last.
#[derive(Default)]
pub(crate) struct StopSignals {
    /// That of all commands since the last stop, except loads.
    work: Arc<StopSignal>,
    /// That of the last load.
    load: Arc<StopSignal>,
}

impl StopSignals {
    /// The signal for a new command that is no load.
    pub(crate) fn for_work(&self) -> Arc<StopSignal> {
        self.work.clone()
    }

    /// The signal for a new load, which stops everything before it.
    pub(crate) fn for_load(&mut self) -> Arc<StopSignal> {
        self.stop_work();
        std::mem::take(&mut self.load).supersede();
        self.load.clone()
    }

    /// Stops all commands so far except loads.
    pub(crate) fn stop_work(&mut self) {
        std::mem::take(&mut self.work).stop();
    }

    /// Stops the last load.
    pub(crate) fn stop_load(&self) {
        self.load.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reaches_what_was_sent_before_and_nothing_after() {
        let mut signals = StopSignals::default();
        let (load, first) = (signals.for_load(), signals.for_work());
        let second = signals.for_work();
        signals.stop_work();
        assert!(first.is_stopped() && second.is_stopped() && !load.is_stopped());
        assert!(!signals.for_work().is_stopped());
    }

    #[test]
    fn a_load_stops_everything_before_it() {
        let mut signals = StopSignals::default();
        let (load, work) = (signals.for_load(), signals.for_work());
        // Cancelled by the user, who then chooses another model: the first load must report nothing.
        signals.stop_load();
        assert!(load.is_stopped() && !load.is_superseded() && !work.is_stopped());
        let next = signals.for_load();
        assert!(load.is_superseded() && work.is_stopped() && !next.is_stopped());
        assert!(!signals.for_work().is_stopped());
    }
}
