//! Pipelines, made once per kernel variant and shared.

use std::borrow::Cow;

use lapidary_shaders::{Kernel, Variant};

use super::context::Gpu;
use super::pipeline_cache::Pipeline;
use super::recording::Constants;
use super::step::Step;
use crate::error::{Error, Result};

impl Gpu {
    /// Whether shaders keep their bounds checks.
    pub fn checks_shaders(&self) -> bool {
        self.inner.pipelines.safe_shaders
    }

    /// Creates the pipeline of a kernel's variant, unless it exists.
    ///
    /// # Errors
    /// [`Error::Internal`] if the kernel has no such variant, and [`Error::Gpu`] if the driver refuses it.
    pub async fn prepare(&self, kernel: &'static Kernel, features: &[&str]) -> Result<()> {
        self.pipeline(kernel, features, &[]).await.map(|_| ())
    }

    /// The pipeline of a kernel's variant for `features` (weight format, cache type, what the device can do, …).
    ///
    /// # Errors
    /// [`Error::Internal`] if the kernel has no such variant, and [`Error::Gpu`] if the driver refuses it.
    pub(crate) async fn pipeline(
        &self,
        kernel: &'static Kernel,
        features: &[&str],
        constants: Constants<'_>,
    ) -> Result<Pipeline> {
        let variant = kernel.variant(features).ok_or_else(|| Error::Internal {
            reason: format!("the kernel {} has no variant for {features:?}", kernel.name),
        })?;
        let key = (variant.file, constants.to_vec());
        if let Some(pipeline) = self.inner.pipelines.made().get(&key) {
            return Ok(pipeline.clone());
        }
        // Validation errors are bugs of Lapidary; internal errors are the driver's.
        let invalid = self.inner.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.inner.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let pipeline = self.make_pipeline(kernel, variant, constants);
        let (internal, invalid) = (internal.pop(), invalid.pop());
        if let Some(error) = internal.await.or(invalid.await) {
            return Err(Error::Gpu { reason: format!("the kernel {} is refused: {error}", variant.name()) });
        }
        Ok(self.inner.pipelines.made().entry(key).or_insert(pipeline).clone())
    }

    fn make_pipeline(&self, kernel: &Kernel, variant: &'static Variant, constants: Constants<'_>) -> Pipeline {
        let device = &self.inner.device;
        let name = variant.name();
        let buffer = |slot, ty, dynamic, size| wgpu::BindGroupLayoutEntry {
            binding: slot,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: dynamic, min_binding_size: size },
            count: None,
        };
        let uniform = wgpu::BufferBindingType::Uniform;
        let mut entries = vec![
            buffer(0, uniform, true, wgpu::BufferSize::new(Step::BYTES as u64)),
            buffer(1, uniform, false, wgpu::BufferSize::new(u64::from(kernel.params_size))),
        ];
        for storage in kernel.storage {
            let ty = wgpu::BufferBindingType::Storage { read_only: !storage.writes };
            entries.push(buffer(storage.slot, ty, false, None));
        }
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let source = wgpu::ShaderSource::Wgsl(source(variant));
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(name), source };
        let safe = self.inner.pipelines.safe_shaders;
        let module = if safe {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: every index of every kernel is in bounds for the sizes that `ops` requires: tests compare each
            // kernel with its reference over odd shapes, with checks on and off. `Sequence::reserve` checks positions, and gives
            // them pages of the cache. Token ids are those of prompts, which `Engine::check_prompt` checks, those that were
            // drawn, which `Engine::token_of` checks, and those of a model that guesses, whose vocabulary `Speculation::check`
            // compares. Callers of the unsafe `Gpu::run_plan` must check their own. Every loop counts towards a bound.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect::<Vec<_>>(),
                // Kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: safe,
            },
            // Drivers have their own disk caches of compiled shaders. wgpu's pipeline cache, which exists only on
            // Vulkan, would store the same again, and it is unsafe to load from a file that something else may have
            // changed.
            cache: None,
        });
        Pipeline { pipeline, layout }
    }
}

/// The WGSL of a variant. Browsers require that it says which features it uses, and naga does not accept that yet
/// (gfx-rs/wgpu#5555).
fn source(variant: &'static Variant) -> Cow<'static, str> {
    match cfg!(target_arch = "wasm32") && variant.uses_subgroups() {
        true => format!("enable subgroups;\n{}", variant.wgsl).into(),
        false => variant.wgsl.into(),
    }
}
