//! Opens Vulkan devices without robust buffer access.
//!
//! wgpu turns robust buffer access on for every Vulkan device, so that no shader reads or writes outside its buffers. Drivers pay
//! for that with checks at each load: Mesa's for NVIDIA splits a load of 16 bytes into four checked ones. The engine's kernels
//! need no checks (see `Gpu::make_pipeline`), and llama.cpp's Vulkan backend turns them off as well. `LAPIDARY_SAFE_SHADERS=1`
//! keeps them on.

use ash::vk;
use wgpu::hal::api::Vulkan;

/// The family that wgpu takes its queue from.
const QUEUE_FAMILY: u32 = 0;

/// A device without robust buffer access. `None` if the adapter is not a Vulkan one or cannot be opened like this;
/// `request_device` then opens it, or says what is missing.
pub(super) fn open(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
) -> Option<(wgpu::Device, wgpu::Queue)> {
    // wgpu checks neither of a device that it did not open itself.
    let can = adapter.features().contains(descriptor.required_features)
        && descriptor.required_limits.check_limits(&adapter.limits());
    if !can {
        return None;
    }
    // SAFETY: the handle is used to open a device, as wgpu does, and not destroyed.
    let hal = unsafe { adapter.as_hal::<Vulkan>() }?;
    let opened = open_hal(&hal, descriptor);
    drop(hal);
    let device = opened.and_then(|device| {
        // SAFETY: the device was opened from this adapter, with the features of the descriptor.
        unsafe { adapter.create_device_from_hal(device, descriptor) }.map_err(Into::into)
    });
    device.inspect_err(|error| log::warn!("opening the device with robust buffer access: {error}")).ok()
}

/// What `wgpu::hal::vulkan::Adapter::open` does, with two features turned off.
fn open_hal(
    adapter: &wgpu::hal::vulkan::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
) -> Result<wgpu::hal::OpenDevice<Vulkan>, Box<dyn std::error::Error>> {
    let features = descriptor.required_features;
    let extensions = adapter.required_device_extensions(features);
    let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(QUEUE_FAMILY).queue_priorities(&[1.0])];
    let mut wanted = adapter.physical_device_features(&extensions, features);
    let mut core = wanted.get_core();
    core.robust_buffer_access = vk::FALSE;
    let info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&names);
    let info = wanted.add_to_device_create(info).enabled_features(&core);
    let mut next = info.p_next.cast_mut().cast::<vk::BaseOutStructure<'_>>();
    while !next.is_null() {
        // SAFETY: a chain that `add_to_device_create` made of structures that `wanted` owns. Each begins with its type and a
        // pointer to the next, and nothing else refers to them now.
        unsafe {
            if (*next).s_type == vk::StructureType::PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT {
                // It requires the feature that is off.
                (*next.cast::<vk::PhysicalDeviceRobustness2FeaturesEXT<'_>>()).robust_buffer_access2 = vk::FALSE;
            }
            next = (*next).p_next;
        }
    }
    let instance = adapter.shared_instance().raw_instance();
    // SAFETY: the physical device is the instance's, and everything that `info` points to is alive.
    let device = unsafe { instance.create_device(adapter.raw_physical_device(), &info, None) }?;
    // SAFETY: the device was opened from this adapter with these extensions and this queue. The two features are only used
    // where a shader has no bounds checks.
    let opened = unsafe {
        adapter.device_from_raw(
            device,
            None,
            &extensions,
            features,
            &descriptor.required_limits,
            &descriptor.memory_hints,
            QUEUE_FAMILY,
            0,
        )
    };
    Ok(opened?)
}
