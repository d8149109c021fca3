//! The way from the engine to the window.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::Event;

/// Sends an event and wakes the window.
#[derive(Clone)]
pub(super) struct EventSender {
    pub(super) outbox: Sender<Event>,
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

impl EventSender {
    pub(super) fn send(&self, event: Event) {
        // Nobody listens once the window is closed.
        let _ = self.outbox.send(event);
        (self.wake)();
    }
}
