//! The device, its queue and its health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::adapter::{self, AdapterChoice};
use super::capabilities::Capabilities;
use super::pipeline_cache::Pipelines;
use super::wait::Waiter;
use crate::error::{Error, Result};

/// How to open a device.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeviceOptions {
    /// Which adapter.
    pub adapter: AdapterChoice,
    /// Use only what every WebGPU device has: default limits, no optional feature.
    pub webgpu_limits: bool,
    /// Keep bounds checks and zero-initialized workgroup memory in shaders. Slower; use it to look for a faulty kernel.
    pub safe_shaders: bool,
    /// Use the kernels for GPUs on a software adapter too, to test them without a GPU.
    pub hardware_kernels: bool,
}

impl DeviceOptions {
    /// The options that the environment asks for: `LAPIDARY_ADAPTER` (a name, a number, `software`, …),
    /// `LAPIDARY_LIMITS=webgpu`, `LAPIDARY_SAFE_SHADERS=1` and `LAPIDARY_HARDWARE_KERNELS=1`.
    pub fn from_env() -> Self {
        let text = |name| std::env::var(name).unwrap_or_default();
        Self {
            adapter: text("LAPIDARY_ADAPTER").parse().unwrap_or_default(),
            webgpu_limits: text("LAPIDARY_LIMITS") == "webgpu",
            safe_shaders: text("LAPIDARY_SAFE_SHADERS") == "1",
            hardware_kernels: text("LAPIDARY_HARDWARE_KERNELS") == "1",
        }
    }
}

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
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if no adapter fits, [`Error::Adapter`] if the adapter cannot open a device.
    pub async fn open(options: &DeviceOptions) -> Result<Self> {
        let adapter = adapter::choose(&options.adapter).await?;
        let offered = adapter.limits();
        let mut limits = wgpu::Limits::default();
        let mut features = wgpu::Features::empty();
        if !options.webgpu_limits {
            limits.max_storage_buffer_binding_size = offered.max_storage_buffer_binding_size;
            limits.max_buffer_size = offered.max_buffer_size;
            limits.max_compute_workgroup_storage_size = offered.max_compute_workgroup_storage_size;
            features = Capabilities::wanted(adapter.features());
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lapidary"),
            required_features: features,
            required_limits: limits,
            experimental_features: experimental(features),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let opened = request_device(&adapter, &descriptor, options).await?;
        let cooperative = adapter.cooperative_matrix_properties();
        Ok(Self::with_device(opened, &cooperative, options.safe_shaders, options.hardware_kernels))
    }

    /// Uses the caller's device and queue. Replaces the device's handlers for uncaptured errors and for device loss, so
    /// that the engine's functions return those errors. `safe_shaders` as in [`DeviceOptions`].
    ///
    /// The engine uses the features that the device was created with. Ask for `SUBGROUP` and for the adapter's limits
    /// of buffer and binding sizes: kernels with subgroups are faster, and large matrices need fewer dispatches.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue, safe_shaders: bool) -> Self {
        // Only an adapter reports the sizes of cooperative matrices.
        Self::with_device(Opened::of(device, queue), &[], safe_shaders, false)
    }

    fn with_device(
        opened: Opened,
        cooperative: &[wgpu::CooperativeMatrixProperties],
        safe_shaders: bool,
        hardware_kernels: bool,
    ) -> Self {
        let Opened { device, queue, info, has_subgroups } = opened;
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
        let mut capabilities = Capabilities::of(&device, has_subgroups, cooperative);
        capabilities.software &= !hardware_kernels;
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
    /// [`DeviceOptions::safe_shaders`] is set. So a shader of the caller must never index past the end of a buffer.
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

    /// Submits commands. Every submit of the engine calls this, so that tests can count them.
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

/// An open device, and what is known of it.
struct Opened {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    has_subgroups: bool,
}

impl Opened {
    /// A device of which wgpu knows everything. Of subgroups in a browser it knows nothing.
    fn of(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let has_subgroups = device.features().contains(wgpu::Features::SUBGROUP) && !cfg!(target_arch = "wasm32");
        Self { info: device.adapter_info(), has_subgroups, device, queue }
    }
}

/// Opens a device; without bounds checks in the driver, unless the options ask for them.
#[cfg(not(target_arch = "wasm32"))]
async fn request_device(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
    options: &DeviceOptions,
) -> Result<Opened> {
    #[cfg(not(target_vendor = "apple"))]
    if !options.safe_shaders
        && let Some((device, queue)) = super::vulkan::open(adapter, descriptor)
    {
        return Ok(Opened::of(device, queue));
    }
    #[cfg(target_vendor = "apple")]
    let _ = options;
    match adapter.request_device(descriptor).await {
        Ok((device, queue)) => Ok(Opened::of(device, queue)),
        Err(error) => Err(Error::Adapter { adapter: adapter.get_info().name, reason: error.to_string() }),
    }
}

/// Opens a device of the browser.
#[cfg(target_arch = "wasm32")]
async fn request_device(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
    options: &DeviceOptions,
) -> Result<Opened> {
    let (device, queue, asked) = super::browser::request_device(adapter, descriptor, !options.webgpu_limits).await?;
    let info = wgpu::AdapterInfo { name: asked.name(), driver: asked.browser(), ..device.adapter_info() };
    Ok(Opened { device, queue, info, has_subgroups: asked.subgroups() })
}

/// wgpu requires explicit consent to experimental features, which may have undefined behaviour.
fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if features.intersects(wgpu::Features::all_experimental_mask()) {
        // SAFETY: the only experimental feature that the engine requests is cooperative matrices. Two kernels use them, in
        // control flow that is uniform within a subgroup, mostly on their workgroup memory with constant bounds.
        // `attention_coop` also loads matrices of keys and values from the cache, at places that it reads from page tables. A
        // page holds a whole tile of keys (`PAGE`), and `Attention::fits_matrices` allows only heads of whole matrices.
        // `matmul_coop` also stores matrices into `out`, but only where its tile lies within the product (`is_whole`). Tests
        // compare both with their references.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    } else {
        wgpu::ExperimentalFeatures::disabled()
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("adapter", &self.inner.info.name).finish_non_exhaustive()
    }
}
