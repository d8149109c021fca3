//! In place of `hub`: the page downloads nothing from the hub and has no secrets.

/// A secret. There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {}
