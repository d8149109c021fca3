//! A plan that a device can run: recorded once, encoded once per step.
//!
//! wgpu cannot replay command buffers, so a plan stores what encoding one needs: pipelines, bind groups and grids. The
//! inputs that change from step to step are in one small uniform at a dynamic offset (`step.rs`). Grids scale with the
//! number of tokens.

use std::ops::Range;

use super::context::Gpu;
use super::grid::Grid;
use super::recording::{Dispatch, Recording};
use super::step::{Step, StepRing, UNIFORM_ALIGN};
use crate::error::Result;

/// A dispatch on the device.
struct Command {
    kernel: &'static str,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: Grid,
}

/// A [`Recording`] on a device, ready to encode.
pub struct Plan {
    segments: Vec<Vec<Command>>,
}

impl Recording {
    /// Creates the plan on a device: memory for the buffers that have none yet, pipelines, and bind groups. The
    /// uniforms of its steps are in `ring`.
    ///
    /// # Errors
    /// The errors of buffers and pipelines, which name the buffer or the kernel.
    pub async fn finish(self, gpu: &Gpu, ring: &StepRing) -> Result<Plan> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let count = self.dispatches().count();
        let params = gpu.buffer("parameters", UNIFORM_ALIGN * count as u64, usage).await?;
        let mut words = vec![0u8; UNIFORM_ALIGN as usize * count];
        for (slot, dispatch) in words.chunks_exact_mut(UNIFORM_ALIGN as usize).zip(self.dispatches()) {
            let bytes: &[u8] = bytemuck::cast_slice(&dispatch.params);
            slot[..bytes.len()].copy_from_slice(bytes);
        }
        gpu.queue().write_buffer(&params, 0, &words);
        let mut offset = 0;
        let mut segments = Vec::with_capacity(self.segments().len());
        for dispatches in self.segments() {
            let mut segment = Vec::with_capacity(dispatches.len());
            for dispatch in dispatches {
                segment.push(command(dispatch, gpu, ring, &params, offset).await?);
                offset += UNIFORM_ALIGN;
            }
            segments.push(segment);
        }
        Ok(Plan { segments })
    }
}

impl Plan {
    /// The number of segments.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.segments.iter().map(Vec::len).sum()
    }

    /// The kernels in order, one entry per dispatch.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.segments.iter().flatten().map(|command| command.kernel)
    }

    /// Encodes a range of segments for a step whose uniform is in `slot`.
    pub(super) fn encode(&self, segments: Range<usize>, pass: &mut wgpu::ComputePass<'_>, n_tokens: u32, slot: u32) {
        self.encode_each(segments, pass, n_tokens, slot, |_| {});
    }

    /// The same, with `after` called after every dispatch.
    pub(super) fn encode_each<'p>(
        &self,
        segments: Range<usize>,
        pass: &mut wgpu::ComputePass<'p>,
        n_tokens: u32,
        slot: u32,
        mut after: impl FnMut(&mut wgpu::ComputePass<'p>),
    ) {
        for command in self.segments[segments].iter().flatten() {
            let [x, y] = command.grid.of(n_tokens);
            pass.set_pipeline(&command.pipeline);
            pass.set_bind_group(0, &command.bind_group, &[slot]);
            pass.dispatch_workgroups(x, y, 1);
            after(pass);
        }
    }
}

/// Creates a dispatch's pipeline and bind group. Its parameters are at `offset` in `params`.
async fn command(
    dispatch: &Dispatch,
    gpu: &Gpu,
    ring: &StepRing,
    params: &wgpu::Buffer,
    offset: u64,
) -> Result<Command> {
    let kernel = dispatch.kernel;
    let pipeline = gpu.pipeline(kernel, &dispatch.features, &dispatch.constants).await?;
    let uniform = |buffer, offset, bytes| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(bytes) })
    };
    let params = uniform(params, offset, 4 * dispatch.params.len() as u64);
    let mut entries = vec![
        wgpu::BindGroupEntry { binding: 0, resource: uniform(ring.buffer(), 0, Step::BYTES as u64) },
        wgpu::BindGroupEntry { binding: 1, resource: params },
    ];
    for (_, slice) in &dispatch.bindings {
        gpu.allocate(&slice.buffer).await?;
    }
    for (slot, slice) in &dispatch.bindings {
        entries.push(wgpu::BindGroupEntry { binding: *slot, resource: slice.binding(gpu, kernel.name)? });
    }
    let bind_group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(kernel.name),
        layout: &pipeline.layout,
        entries: &entries,
    });
    Ok(Command { kernel: kernel.name, pipeline: pipeline.pipeline, bind_group, grid: dispatch.grid })
}
