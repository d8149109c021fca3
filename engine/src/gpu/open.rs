//! Opening a device.

use super::adapter::{self, AdapterChoice};
use super::capabilities::Capabilities;
use super::context::Gpu;
#[cfg(not(target_arch = "wasm32"))]
use crate::error::Error;
use crate::error::Result;

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
        Ok(opened.into_gpu(&cooperative, options.safe_shaders, options.hardware_kernels))
    }

    /// Uses the caller's device and queue. Replaces the device's handlers for uncaptured errors and for device loss, so
    /// that the engine's functions return those errors. `safe_shaders` as in [`DeviceOptions`].
    ///
    /// The engine uses the features that the device was created with. Ask for `SUBGROUP` and for the adapter's limits
    /// of buffer and binding sizes: kernels with subgroups are faster, and large matrices need fewer dispatches.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue, safe_shaders: bool) -> Self {
        // Only an adapter reports the sizes of cooperative matrices.
        Opened::of(device, queue).into_gpu(&[], safe_shaders, false)
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

    fn into_gpu(
        self,
        cooperative: &[wgpu::CooperativeMatrixProperties],
        safe_shaders: bool,
        hardware_kernels: bool,
    ) -> Gpu {
        let Self { device, queue, info, has_subgroups } = self;
        let mut capabilities = Capabilities::of(&device, has_subgroups, cooperative);
        capabilities.software &= !hardware_kernels;
        Gpu::new(device, queue, info, capabilities, safe_shaders)
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
