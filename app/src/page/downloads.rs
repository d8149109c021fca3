//! In place of `state::downloads`: the page downloads no models.

use super::State;

/// What the window knows about models on the hub.
#[derive(Default)]
pub struct Hub {
    /// The model whose terms are shown: there is none.
    pub asks_terms: Option<std::convert::Infallible>,
}

impl State {
    pub(super) fn tick_downloads(&mut self) {}
}
