//! The pipelines created so far, by variant and constants.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A pipeline and the layout of its bind group.
#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// A variant's file, and values for its overrides.
pub(super) type Key = (&'static str, Vec<(&'static str, u32)>);

/// The pipelines of a device.
pub(crate) struct Pipelines {
    /// Whether shaders keep their bounds checks.
    pub(super) safe_shaders: bool,
    made: Mutex<HashMap<Key, Pipeline>>,
}

impl Pipelines {
    pub(crate) fn new(safe_shaders: bool) -> Self {
        Self { safe_shaders, made: Mutex::default() }
    }

    /// The pipelines created so far.
    pub(super) fn made(&self) -> MutexGuard<'_, HashMap<Key, Pipeline>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
