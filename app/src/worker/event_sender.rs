//! Sends events from the engine to the window.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::Event;

/// Queues events and wakes the window.
#[derive(Clone)]
pub(super) struct EventSender {
    pub(super) outbox: Sender<Event>,
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl EventSender {
    /// Queues an event and wakes the window.
    pub(super) fn send(&self, event: Event) {
        // Sending fails after the window is closed, when events no longer matter.
        let _ = self.outbox.send(event);
        (self.wake)();
    }
}
