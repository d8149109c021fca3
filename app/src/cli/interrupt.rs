//! Ctrl-C stops work, or ends the program if there is none.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use lapidary_engine::Error;

use super::failure::Failure;

/// Whether there is work to stop, such as a load or a reply. Without work, Ctrl-C ends the program at once.
static BUSY: AtomicBool = AtomicBool::new(false);
/// Whether Ctrl-C was pressed since the latest work started.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a wait checks for Ctrl-C.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Marks work that Ctrl-C stops, until it is dropped.
pub(crate) struct Busy(());

impl Busy {
    /// Starts work. The first call installs the Ctrl-C handler.
    pub(crate) fn new() -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            let handler = || {
                // A second Ctrl-C ends the program without waiting for the work to stop.
                if !BUSY.load(Ordering::SeqCst) || INTERRUPTED.swap(true, Ordering::SeqCst) {
                    // Not standard output, which the working thread has locked.
                    let _ = writeln!(io::stderr());
                    std::process::exit(if BUSY.load(Ordering::SeqCst) { 130 } else { 0 });
                }
            };
            if let Err(error) = ctrlc::set_handler(handler) {
                log::debug!("Ctrl-C will end the program at once: {error}");
            }
        });
        INTERRUPTED.store(false, Ordering::SeqCst);
        BUSY.store(true, Ordering::SeqCst);
        Self(())
    }

    /// Waits for a future of the engine until Ctrl-C. Dropping the future cancels it.
    ///
    /// # Errors
    /// Those of the future, and [`Failure::Interrupted`] after Ctrl-C.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        while !interrupted() {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return Ok(result?);
            }
            // The Ctrl-C handler cannot wake this thread, so it polls.
            thread::park_timeout(POLL_INTERVAL);
        }
        Err(Failure::Interrupted)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::SeqCst);
    }
}

/// Whether Ctrl-C was pressed since the latest work started.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
