//! Ctrl-C.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there is something to stop: a load or a reply. If not, Ctrl-C ends the program at once.
static BUSY: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Work that Ctrl-C stops, as long as it lives.
pub(crate) struct Busy(());

impl Busy {
    pub(crate) fn new() -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            let handler = || {
                // A second Ctrl-C does not wait for the work to notice.
                if !BUSY.load(Ordering::SeqCst) || INTERRUPTED.swap(true, Ordering::SeqCst) {
                    // Not println: whoever is busy holds the lock of standard output.
                    eprintln!();
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

    /// Whether Ctrl-C was pressed since the work began.
    pub(crate) fn interrupted(&self) -> bool {
        interrupted()
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
