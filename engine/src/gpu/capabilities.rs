//! The capabilities of an adapter that the kernels use.

use lapidary_shaders::Kernel;

/// Features and limits that choose kernel variants and split weights.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Subgroup operations in compute shaders, in subgroups of at least eight.
    pub subgroups: bool,
    /// The side of cooperative matrices, f16 times f16 into f32: 8 or 16. `None` if the adapter has none.
    pub cooperative_size: Option<u32>,
    /// Whether the adapter runs on the CPU. There every load costs, and only lanes of a subgroup run in parallel.
    pub software: bool,
    /// Whether the adapter is a graphics card, fast and with its own memory.
    pub discrete: bool,
    /// Cores of the processor that a software adapter runs on.
    pub cores: usize,
    /// Subgroups have at most 16 lanes. Kernels that broadcast within a subgroup rely on it: `attention.wesl` gives 16 or 32
    /// consecutive invocations the same keys.
    pub narrow_subgroups: bool,
    /// Subgroups have at least 32 lanes. Kernels on matrices of 16 rely on it: they have workgroup memory for eight subgroups.
    pub wide_subgroups: bool,
    /// The device takes subnormal f16 numbers for zero when it converts them to f32. Kernels then decode weights' f16 numbers as
    /// integers.
    pub flushes_subnormals: bool,
    /// The most subgroups of a workgroup that multiply on cooperative matrices; `None` for all. Tests set it, because software
    /// adapters have no subgroups so wide that a workgroup has few.
    pub max_subgroups: Option<u32>,
    /// Bytes of workgroup memory that a kernel may have.
    pub max_workgroup_bytes: u32,
    /// Bytes that one storage binding may span; larger matrices are split by rows.
    pub max_binding_bytes: u64,
    /// Bytes of the largest buffer.
    pub max_buffer_bytes: u64,
}

/// The least subgroup size that kernels support. Smaller subgroups are not used.
const MIN_SUBGROUP: u32 = 8;

impl Capabilities {
    /// The capabilities of a device. `has_subgroups`: whether it was opened with them. `cooperative`: the adapter's cooperative
    /// matrices.
    pub(crate) fn of(
        device: &wgpu::Device,
        has_subgroups: bool,
        cooperative: &[wgpu::CooperativeMatrixProperties],
    ) -> Self {
        let features = device.features();
        let limits = device.limits();
        Self {
            subgroups: has_subgroups && has_wide_subgroups(device),
            cooperative_size: if features
                .contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16)
            {
                [16, 8].into_iter().find(|size| cooperative.iter().any(|matrices| multiplies(matrices, *size)))
            } else {
                None
            },
            narrow_subgroups: device.adapter_info().subgroup_max_size <= 16,
            wide_subgroups: device.adapter_info().subgroup_min_size >= 32,
            flushes_subnormals: false,
            max_subgroups: None,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            software: device.adapter_info().device_type == wgpu::DeviceType::Cpu,
            discrete: device.adapter_info().device_type == wgpu::DeviceType::DiscreteGpu,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
        }
    }

    /// What every WebGPU device has, and nothing more: a base from which tests describe other devices.
    pub fn webgpu() -> Self {
        let limits = wgpu::Limits::default();
        Self {
            subgroups: false,
            cooperative_size: None,
            software: false,
            discrete: false,
            cores: 1,
            narrow_subgroups: false,
            wide_subgroups: false,
            flushes_subnormals: false,
            max_subgroups: None,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
        }
    }

    /// Whether kernels broadcast within subgroups rather than load: a subgroup of a software adapter is a vector of the CPU.
    pub fn broadcasts(&self) -> bool {
        self.subgroups && self.narrow_subgroups && self.software
    }

    /// The constants of kernels on cooperative matrices.
    pub(crate) fn coop_constants(&self) -> Vec<(&'static str, u32)> {
        self.max_subgroups.map(|most| ("max_subgroups", most)).into_iter().collect()
    }

    /// The constants of a kernel with these features that every dispatch of it needs.
    pub(crate) fn constants_of(&self, kernel: &Kernel, features: &[&str]) -> Vec<(&'static str, u32)> {
        /// Of `lib/f16.wesl`.
        const FLUSHES: &str = "flushes_subnormals";
        let reads_f16 = || kernel.variant(features).is_some_and(|variant| variant.wgsl.contains(FLUSHES));
        (self.flushes_subnormals && reads_f16()).then_some((FLUSHES, 1)).into_iter().collect()
    }

    /// The `@if` flags of the shaders that these capabilities turn on.
    pub fn shader_features(&self) -> Vec<&'static str> {
        let mut features = Vec::new();
        if self.subgroups {
            features.push("subgroups");
        }
        match self.cooperative_size {
            Some(16) => features.push("coop_16"),
            Some(_) => features.push("coop_8"),
            None => {}
        }
        if self.broadcasts() {
            features.push("broadcast");
        }
        features
    }

    /// These without the feature that a variant of a kernel relies on; `None` if it relies on none that can be done without.
    pub(crate) fn without_feature_of(&self, variant: &str) -> Option<Self> {
        let relies_on = |feature: &str| variant.split('.').any(|part| part.starts_with(feature));
        self.without(relies_on("coop_"), relies_on("subgroups"))
    }

    /// These without the least proven feature; `None` if there is none.
    pub(crate) fn without_a_feature(&self) -> Option<Self> {
        self.without(true, true)
    }

    fn without(&self, matrices: bool, subgroups: bool) -> Option<Self> {
        if matrices && self.cooperative_size.is_some() {
            Some(Self { cooperative_size: None, ..self.clone() })
        } else if subgroups && self.subgroups {
            Some(Self { subgroups: false, ..self.clone() })
        } else {
            None
        }
    }

    /// The features to request from an adapter.
    pub(crate) fn wanted(adapter: wgpu::Features) -> wgpu::Features {
        // In browsers wgpu does not know subgroups; `browser.js` asks for them.
        let subgroups = if cfg!(target_arch = "wasm32") { wgpu::Features::empty() } else { wgpu::Features::SUBGROUP };
        let timestamps = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let matrices = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        adapter & (subgroups | wgpu::Features::SHADER_F16 | timestamps | matrices)
    }
}

/// Whether subgroups are wide enough for the kernels.
fn has_wide_subgroups(device: &wgpu::Device) -> bool {
    let info = device.adapter_info();
    // On Metal wgpu always reports 4 to 64. Apple's GPUs have 32 lanes, those of AMD and Intel 8 or more.
    info.backend == wgpu::Backend::Metal || info.subgroup_min_size >= MIN_SUBGROUP
}

/// Whether the properties describe square f16 matrices of this size that are multiplied into f32.
fn multiplies(matrices: &wgpu::CooperativeMatrixProperties, size: u32) -> bool {
    use wgpu::CooperativeScalarType::{F16, F32};
    [matrices.m_size, matrices.n_size, matrices.k_size] == [size; 3]
        && (matrices.ab_type, matrices.cr_type) == (F16, F32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kernels_that_read_f16_weights_are_told_that_a_device_flushes_it() {
        let kernel = &lapidary_shaders::kernels::embed::KERNEL;
        let plain = Capabilities::webgpu();
        let flushes = Capabilities { flushes_subnormals: true, ..plain.clone() };
        for format in ["f16", "q4_0", "q4_k", "q6_k"] {
            assert_eq!(flushes.constants_of(kernel, &[format]), [("flushes_subnormals", 1)], "{format}");
            assert_eq!(plain.constants_of(kernel, &[format]), [], "{format}");
        }
        assert_eq!(flushes.constants_of(kernel, &["bf16"]), []);
    }
}
