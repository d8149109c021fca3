//! Stopping work that waits for the network.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::Agent;

use super::error::{HubError, Result};

/// Stops downloads and requests from another thread, also while they wait. Clones stop the same work.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    agents: Vec<Agent>,
}

impl Stop {
    /// Stops the work: open connections are closed, and waits end.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        for agent in state.agents.drain(..) {
            agent.shutdown();
        }
        self.shared.changed.notify_all();
    }

    /// Whether [`Stop::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Fails once the work is stopped.
    ///
    /// # Errors
    /// [`HubError::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(HubError::Cancelled) } else { Ok(()) }
    }

    /// Waits, or fails as soon as the work is stopped.
    ///
    /// # Errors
    /// [`HubError::Cancelled`].
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let waited = self.shared.changed.wait_timeout_while(self.state(), duration, |state| !state.stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped { Err(HubError::Cancelled) } else { Ok(()) }
    }

    /// Lets [`Stop::stop`] close the connections of an agent.
    pub(crate) fn attach(&self, agent: &Agent) {
        let mut state = self.state();
        if state.stopped {
            agent.clone().shutdown();
        } else {
            state.agents.push(agent.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
