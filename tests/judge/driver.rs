//! A Vulkan driver as a compiler: what it makes of one shader, with the options that the engine's pipelines have.

use std::collections::BTreeMap;
use std::ffi::CStr;

use ash::khr::pipeline_executable_properties as executables;
use ash::vk;
use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// What a driver tells about the machine code of a pipeline.
pub(crate) struct Code {
    /// The values of its statistics, by name in lower case.
    pub(crate) statistics: BTreeMap<String, f64>,
    /// The assembly; empty if the driver shows none.
    pub(crate) assembly: String,
}

/// A Vulkan device that only compiles.
pub(crate) struct Driver {
    // Fields are dropped in order. The library must stay loaded until the device and the instance are destroyed.
    device: ash::Device,
    executables: executables::Device,
    instance: ash::Instance,
    _entry: ash::Entry,
}

impl Driver {
    /// Opens the first Vulkan device with all features that kernels may use, but without robust buffer access, as the engine
    /// opens it.
    pub(crate) fn open() -> Result<Self, String> {
        let failed = |what: &'static str| move |error: vk::Result| format!("{what}: {error}");
        // SAFETY: the library is a Vulkan loader, whose initialisers need nothing.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| format!("loading Vulkan: {error}"))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the instance is destroyed before the entry, in `drop`. On an error below it is leaked.
        let instance = unsafe { entry.create_instance(&info, None) }.map_err(failed("opening Vulkan"))?;
        // SAFETY: the instance is alive.
        let found = unsafe { instance.enumerate_physical_devices() }.map_err(failed("listing devices"))?;
        let physical = *found.first().ok_or("Vulkan found no device")?;
        // SAFETY: the physical device is the instance's.
        let offered = unsafe { instance.enumerate_device_extension_properties(physical) };
        let offered = offered.map_err(failed("listing extensions"))?;
        let has = |name: &CStr| offered.iter().any(|one| one.extension_name_as_c_str() == Ok(name));
        if !has(executables::NAME) {
            return Err("the driver tells nothing about machine code (VK_KHR_pipeline_executable_properties)".into());
        }
        let mut names = vec![executables::NAME.as_ptr()];
        let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
        let mut vulkan11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut vulkan12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut vulkan13 = vk::PhysicalDeviceVulkan13Features::default();
        let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let mut features = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut statistics)
            .push_next(&mut vulkan11)
            .push_next(&mut vulkan12)
            .push_next(&mut vulkan13);
        if has(ash::khr::cooperative_matrix::NAME) {
            names.push(ash::khr::cooperative_matrix::NAME.as_ptr());
            features = features.push_next(&mut matrices);
        }
        // SAFETY: the physical device is the instance's, and the structures in the chain are alive.
        unsafe { instance.get_physical_device_features2(physical, &mut features) };
        // The chain now holds all that the driver supports, and is what the device is asked for.
        features.features.robust_buffer_access = vk::FALSE;
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features);
        // SAFETY: everything that `info` points to is alive, and the driver offers all of it.
        let device = unsafe { instance.create_device(physical, &info, None) }.map_err(failed("opening the device"))?;
        let executables = executables::Device::new(&instance, &device);
        Ok(Self { device, executables, instance, _entry: entry })
    }

    /// Compiles the entry point `main` of a shader, as the engine does without bounds checks.
    pub(crate) fn compile(&self, wgsl: &str, constants: &[(&'static str, u32)]) -> Result<Code, String> {
        let (words, bindings) = spirv(wgsl, constants)?;
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: naga validated the module, and the device has all features that kernels may use.
        let module = unsafe { self.device.create_shader_module(&info, None) }.map_err(|e| e.to_string())?;
        let result = self.pipeline(module, &bindings);
        // SAFETY: no pipeline is being made from it any more.
        unsafe { self.device.destroy_shader_module(module, None) };
        result
    }

    fn pipeline(
        &self,
        module: vk::ShaderModule,
        bindings: &[vk::DescriptorSetLayoutBinding<'_>],
    ) -> Result<Code, String> {
        let device = &self.device;
        let sets = vk::DescriptorSetLayoutCreateInfo::default().bindings(bindings);
        // SAFETY: the device is alive; so are `bindings`.
        let set = unsafe { device.create_descriptor_set_layout(&sets, None) }.map_err(|e| e.to_string())?;
        let layouts = vk::PipelineLayoutCreateInfo::default().set_layouts(std::slice::from_ref(&set));
        // SAFETY: the set is the device's.
        let layout = unsafe { device.create_pipeline_layout(&layouts, None) };
        let result = layout.map_err(|e| e.to_string()).and_then(|layout| {
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main")
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE);
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
            );
            // SAFETY: the module has this entry point, and the layout has its bindings.
            let made = unsafe { device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None) };
            let result = match made.map_err(|(_, error)| error) {
                Ok(pipelines) => {
                    let code = pipelines.first().ok_or("no pipeline".to_owned()).and_then(|one| self.code(*one));
                    for pipeline in pipelines {
                        // SAFETY: nothing uses it.
                        unsafe { device.destroy_pipeline(pipeline, None) };
                    }
                    code
                }
                Err(error) => Err(format!("the driver refuses it: {error}")),
            };
            // SAFETY: its pipeline is destroyed.
            unsafe { device.destroy_pipeline_layout(layout, None) };
            result
        });
        // SAFETY: its layout is destroyed.
        unsafe { device.destroy_descriptor_set_layout(set, None) };
        result
    }

    fn code(&self, pipeline: vk::Pipeline) -> Result<Code, String> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the pipeline was made with CAPTURE_STATISTICS, and a compute pipeline has one executable.
        let told = unsafe { self.executables.get_pipeline_executable_statistics(&info) }.map_err(|e| e.to_string())?;
        let mut statistics = BTreeMap::new();
        for one in &told {
            let name = one.name_as_c_str().map_err(|e| e.to_string())?.to_string_lossy().to_lowercase();
            use vk::PipelineExecutableStatisticFormatKHR as Format;
            // SAFETY: the format says which field of the union the driver wrote.
            let value = unsafe {
                match one.format {
                    Format::UINT64 => one.value.u64 as f64,
                    Format::INT64 => one.value.i64 as f64,
                    Format::FLOAT64 => one.value.f64,
                    _ => f64::from(one.value.b32),
                }
            };
            statistics.insert(name, value);
        }
        Ok(Code { statistics, assembly: self.assembly(&info)? })
    }

    /// The text of the representation that is assembly. A driver first tells the sizes of the texts, then fills them in, so
    /// `ash`'s function, which passes no memory, does not suffice.
    fn assembly(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String, String> {
        // SAFETY: the pipeline was made with CAPTURE_INTERNAL_REPRESENTATIONS.
        let mut texts = unsafe { self.executables.get_pipeline_executable_internal_representations(info) }
            .map_err(|e| e.to_string())?;
        let mut memory: Vec<Vec<u8>> = texts.iter().map(|text| vec![0; text.data_size]).collect();
        for (text, memory) in texts.iter_mut().zip(&mut memory) {
            text.p_data = memory.as_mut_ptr().cast();
        }
        let mut count = u32::try_from(texts.len()).map_err(|e| e.to_string())?;
        let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: `texts` has `count` elements, and each points to as many bytes as it says.
        unsafe { get(self.device.handle(), info, &mut count, texts.as_mut_ptr()) }
            .result()
            .map_err(|e| e.to_string())?;
        for (text, memory) in texts.iter().zip(&memory) {
            let name = text.name_as_c_str().map_err(|e| e.to_string())?.to_string_lossy().to_lowercase();
            if name.contains("assembly") || name.contains("asm") {
                return Ok(String::from_utf8_lossy(memory).trim_end_matches('\0').to_owned());
            }
        }
        Ok(String::new())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: each call to `compile` destroyed what it made.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// A shader in SPIR-V, and its bindings: slot 0 is a uniform buffer at a dynamic offset, slot 1 another one, the rest storage.
fn spirv(
    wgsl: &str,
    constants: &[(&'static str, u32)],
) -> Result<(Vec<u32>, Vec<vk::DescriptorSetLayoutBinding<'static>>), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(wgsl))?;
    let values: PipelineConstants =
        constants.iter().map(|(name, value)| ((*name).to_owned(), f64::from(*value))).collect();
    let stage = naga::ShaderStage::Compute;
    let (module, info) =
        process_overrides(&module, &info, Some((stage, "main")), &values).map_err(|e| e.to_string())?;
    // What wgpu passes for `ShaderRuntimeChecks::unchecked` and `zero_initialize_workgroup_memory: false`.
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Unchecked,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        use_storage_input_output_16: false,
        ..spv::Options::default()
    };
    let entry = spv::PipelineOptions { shader_stage: stage, entry_point: "main".into() };
    let words = spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|e| e.to_string())?;
    let bindings = module.global_variables.iter().filter_map(|(_, global)| {
        let binding = global.binding.as_ref()?.binding;
        let kind = match global.space {
            naga::AddressSpace::Uniform if binding == 0 => vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC,
            naga::AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
            _ => vk::DescriptorType::STORAGE_BUFFER,
        };
        Some(
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(kind)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE),
        )
    });
    Ok((words, bindings.collect()))
}
