//! Ctrl-C.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use lapidary_engine::Error;

use super::failure::Failure;

/// Whether there is something to stop: a load or a reply. If not, Ctrl-C ends the program at once.
static BUSY: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How soon Ctrl-C is noticed.
const NOTICE: Duration = Duration::from_millis(50);

/// Work that Ctrl-C stops, as long as it lives.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn new() -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            let handler = || {
                // A second Ctrl-C does not wait for the work to notice.
                if !BUSY.load(Ordering::SeqCst) || INTERRUPTED.swap(true, Ordering::SeqCst) {
                    // Not on standard output, whose lock belongs to whoever is busy.
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

    /// Waits for the engine, but not after Ctrl-C, however long the prompt: a future that is dropped is cancelled.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        while !interrupted() {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return Ok(result?);
            }
            // The handler of Ctrl-C cannot wake this thread, so it looks by itself now and then.
            thread::park_timeout(NOTICE);
        }
        Err(Failure::Interrupted)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::SeqCst);
    }
}

/// Whether Ctrl-C was pressed since the latest work began.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
