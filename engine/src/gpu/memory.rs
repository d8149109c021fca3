//! How much memory a device has, where its API tells.

use super::context::Gpu;

impl Gpu {
    /// Bytes of the device's own memory, free or not; `None` where the API does not tell (WebGPU has no such question).
    /// A software adapter has what the computer has left, whatever it says of heaps (Mesa 22 says 2 GiB and gives more).
    pub fn memory_bytes(&self) -> Option<u64> {
        if self.info().device_type == wgpu::DeviceType::Cpu { available_memory() } else { self.vulkan_memory() }
    }

    /// The sum of the heaps that are the device's own.
    #[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
    fn vulkan_memory(&self) -> Option<u64> {
        /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`
        const DEVICE_LOCAL: u32 = 1;
        // SAFETY: the handle is only read, and neither destroyed nor kept: it ends with this function, before the device.
        let device = unsafe { self.device().as_hal::<wgpu::hal::api::Vulkan>() }?;
        let instance = device.shared_instance().raw_instance();
        // SAFETY: the physical device is this instance's, and both outlive the call.
        let properties = unsafe { instance.get_physical_device_memory_properties(device.raw_physical_device()) };
        let heaps = properties.memory_heaps.iter().take(properties.memory_heap_count as usize);
        Some(heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).sum())
    }

    #[cfg(any(target_arch = "wasm32", target_vendor = "apple"))]
    fn vulkan_memory(&self) -> Option<u64> {
        None
    }
}

/// Bytes that programs may still take without swapping; `None` where we do not know how to ask.
fn available_memory() -> Option<u64> {
    let report = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = report.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? << 10)
}
