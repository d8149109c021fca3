//! Ctrl-C stops work, or ends the program if there is none, with exit code 130 as shells expect.

use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lapidary_app::hub::Stop;
use lapidary_app::wait::wait_unless;
use lapidary_engine::Error;

use super::failure::Failure;

/// How often work that waits for the network looks whether Ctrl-C was pressed.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// Whether there is work to stop, such as a load or a reply. Without work, Ctrl-C ends the program at once.
static BUSY: AtomicBool = AtomicBool::new(false);
/// Whether Ctrl-C was pressed since the latest work started.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

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
                    exit_at_once(130);
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
        wait_unless(interrupted, future).map_or(Err(Failure::Interrupted), |result| Ok(result?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::SeqCst);
    }
}

/// Stops work that waits for the network once Ctrl-C is pressed.
pub(crate) fn stop_on_interrupt(stop: Stop) {
    on_interrupt(move || stop.stop());
}

/// Calls this once Ctrl-C is pressed.
pub(crate) fn on_interrupt(stop: impl FnOnce() + Send + 'static) {
    // It ends with the program.
    thread::spawn(move || {
        while !interrupted() {
            thread::sleep(INTERRUPT_INTERVAL);
        }
        stop();
    });
}

/// Ends the program while other threads compute. A driver's library destroys its state when a program ends, under the feet of the
/// threads that still use it, so on Unix no library is asked.
pub(crate) fn exit_at_once(code: i32) -> ! {
    #[cfg(unix)]
    // SAFETY: nothing of this process runs after it.
    unsafe {
        libc::_exit(code)
    }
    #[cfg(not(unix))]
    std::process::exit(code)
}

/// Whether Ctrl-C was pressed since the latest work started.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
