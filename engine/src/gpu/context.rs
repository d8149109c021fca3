//! The device, its queue and its health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::capabilities::Capabilities;
use super::pipeline_cache::Pipelines;
use super::wait::Waiter;
use crate::error::{Error, Result};

/// An open device, its queue and its pipelines. Cheap to clone.
#[derive(Clone)]
pub struct Gpu {
    pub(crate) inner: Arc<Inner>,
    capabilities: Arc<Capabilities>,
}

pub(crate) struct Inner {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) info: wgpu::AdapterInfo,
    /// The capabilities that a test of the kernels has left, once there was one.
    pub(crate) tested: OnceLock<Capabilities>,
    pub(crate) pipelines: Pipelines,
    pub(crate) waiter: Waiter,
    submits: AtomicU64,
    step_writes: AtomicU64,
    health: Arc<Health>,
}

/// Errors that the device reported asynchronously.
#[derive(Default)]
struct Health {
    lost: OnceLock<String>,
    refused: Mutex<Option<Refusal>>,
}

/// The first error that the device reported. As text, because wgpu's error type is not `Send` in a browser.
enum Refusal {
    OutOfMemory,
    Other(String),
}

impl Gpu {
    /// An open device of which kernels use these capabilities. Replaces its handlers.
    pub(super) fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        info: wgpu::AdapterInfo,
        capabilities: Capabilities,
        safe_shaders: bool,
    ) -> Self {
        let health = Arc::new(Health::default());
        let seen = health.clone();
        device.set_device_lost_callback(move |_, reason| {
            let _ = seen.lost.set(reason);
        });
        let seen = health.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            log::error!("{error}");
            let refusal = match &error {
                wgpu::Error::OutOfMemory { .. } => Refusal::OutOfMemory,
                _ => Refusal::Other(error.to_string()),
            };
            // The first error is the cause; later ones are its consequences.
            if let Ok(mut refused) = seen.refused.lock() {
                refused.get_or_insert(refusal);
            }
        }));
        let inner = Inner {
            info,
            pipelines: Pipelines::new(safe_shaders),
            waiter: Waiter::new(&device),
            tested: OnceLock::new(),
            submits: AtomicU64::new(0),
            step_writes: AtomicU64::new(0),
            device,
            queue,
            health,
        };
        Self { inner: Arc::new(inner), capabilities: Arc::new(capabilities) }
    }

    /// The same device, of which kernels use only these capabilities. They must be among its own.
    pub(crate) fn with_capabilities(&self, capabilities: Capabilities) -> Self {
        Self { inner: self.inner.clone(), capabilities: Arc::new(capabilities) }
    }

    /// The adapter's name, driver and kind.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// The capabilities that kernels use.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The wgpu device, for the engine's own commands.
    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu device, to create buffers and pipelines on it, or to destroy it.
    ///
    /// # Safety
    /// wgpu takes the driver for checking the bounds of buffers, but [`Gpu::open`] turns that off unless
    /// [`safe_shaders`](super::DeviceOptions::safe_shaders) is set. So a shader of the caller must never index past the end of a
    /// buffer.
    pub unsafe fn wgpu_device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// Checks whether the device was lost, or has refused a command since the last check.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`].
    pub fn check(&self) -> Result<()> {
        if let Some(reason) = self.inner.health.lost.get() {
            return Err(Error::DeviceLost { reason: reason.clone() });
        }
        // Reported once, so that a refused command does not end other sessions of the device.
        let refused = self.inner.health.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        match refused {
            None => Ok(()),
            Some(Refusal::OutOfMemory) => {
                Err(Error::OutOfMemory { what: "a command was refused for lack of it".into() })
            }
            Some(Refusal::Other(reason)) => Err(Error::Gpu { reason }),
        }
    }

    /// Submits commands. Every submit of commands calls this, so that tests can count them. Empty submits for Firefox (`browser.rs`)
    /// do not.
    pub(crate) fn submit_commands(
        &self,
        commands: impl IntoIterator<Item = wgpu::CommandBuffer>,
    ) -> wgpu::SubmissionIndex {
        self.inner.submits.fetch_add(1, Ordering::Relaxed);
        self.inner.queue.submit(commands)
    }

    /// The number of submits to this device so far.
    pub fn submits(&self) -> u64 {
        self.inner.submits.load(Ordering::Relaxed)
    }

    pub(crate) fn write_steps(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.inner.step_writes.fetch_add(1, Ordering::Relaxed);
        self.inner.queue.write_buffer(buffer, offset, bytes);
    }

    /// The number of writes to step uniforms so far. wgpu creates a staging buffer per write.
    pub fn step_writes(&self) -> u64 {
        self.inner.step_writes.load(Ordering::Relaxed)
    }

    /// Waits until a submission and all earlier ones are done.
    pub(crate) async fn finish(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        self.inner.waiter.wait(&self.inner.queue, submission).await;
        self.check()
    }

    /// A zeroed wgpu buffer for uses other than storage. For storage, use [`Gpu::allocate`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::Adapter`] if it exceeds the adapter's limits.
    pub(crate) async fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let size = bytes.max(16).next_multiple_of(16);
        let limit = self.capabilities.max_buffer_bytes;
        if size > limit {
            let reason = format!("{label} needs a buffer of {size} bytes, but its largest is {limit}");
            return Err(Error::Adapter { adapter: self.inner.info.name.clone(), reason });
        }
        let scope = self.inner.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        });
        match scope.pop().await {
            None => Ok(buffer),
            Some(_) => Err(Error::OutOfMemory { what: format!("{label} needs {} MiB", size.div_ceil(1 << 20)) }),
        }
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("adapter", &self.inner.info.name).finish_non_exhaustive()
    }
}
