//! The size of a device's memory, where its API reports it.

use super::context::Gpu;

impl Gpu {
    /// Bytes of the device's own memory, free or not; `None` if the API does not report it, as WebGPU. For a software
    /// adapter, the free memory of the computer, because the heap size is wrong there: Mesa 22 reports 2 GiB and allows
    /// more.
    pub fn memory_bytes(&self) -> Option<u64> {
        if self.info().device_type == wgpu::DeviceType::Cpu { available_memory() } else { self.vulkan_memory() }
    }

    /// The sum of the heaps that are the device's own.
    #[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
    fn vulkan_memory(&self) -> Option<u64> {
        /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`
        const DEVICE_LOCAL: u32 = 1;
        // SAFETY: the handle is only read. It is neither destroyed nor stored beyond this function, which the device
        // outlives.
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

/// Bytes that programs can still allocate without swapping; `None` on systems other than Linux.
fn available_memory() -> Option<u64> {
    let report = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = report.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? << 10)
}
