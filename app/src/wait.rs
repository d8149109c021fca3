//! Waiting for the engine while somebody may stop the work.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often a wait checks whether it was stopped: nothing that stops work can wake the waiting thread.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Blocks on a future until it is done, or `None` once `stopped` says so. Dropping the future then cancels it.
pub fn wait_unless<T>(stopped: impl Fn() -> bool, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    block_on(poll_fn(|context| match stopped() {
        true => Poll::Ready(None),
        false => future.as_mut().poll(context).map(Some),
    }))
}

/// Blocks on a future, which is polled at least every 20 milliseconds, so that it can watch for a stop itself.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        thread::park_timeout(POLL_INTERVAL);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
