//! Sends events from the engine to the window.

use std::sync::Arc;

use super::Event;

/// Sends events to the window and wakes it, from any thread.
#[derive(Clone)]
pub(crate) struct EventSender(Arc<dyn Fn(Event) + Send + Sync>);

impl EventSender {
    /// Sends events with this function.
    pub(crate) fn new(send: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Sends an event and wakes the window.
    pub(crate) fn send(&self, event: Event) {
        (self.0)(event);
    }
}
