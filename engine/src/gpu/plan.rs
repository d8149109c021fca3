//! A plan: dispatches recorded once and walked many times.
//!
//! wgpu cannot replay command buffers, so we keep what it takes to encode one quickly: pipelines, bind groups and grids.
//! What differs from walk to walk (how many tokens, at which position, how to sample) is in one small uniform at a dynamic
//! offset, [`StepUniform`]; grids scale with the number of tokens.

use std::collections::VecDeque;

use lapidary_shaders::Kernel;

use super::context::Gpu;
use super::pipelines::Constants;
use crate::error::Result;

/// Bytes of [`StepUniform`] on the device.
pub(crate) const STEP_BYTES: u64 = 48;
/// Distance between uniforms that can be bound at an offset; WebGPU's default limit.
const UNIFORM_ALIGN: u64 = 256;
/// Workgroups in one dimension of a grid; WebGPU's default limit.
const MAX_WORKGROUPS: u32 = 65_535;

/// What changes from one walk to the next: `Step` of `shaders/wgsl/lib/step.wesl`, in the same order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepUniform {
    /// Tokens in this step.
    pub n_tokens: u32,
    /// Position of the first.
    pub position: u32,
    /// Number of the draw.
    pub draw: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Softmax temperature, above 0.
    pub temperature: f32,
    /// Tokens to keep; 0 for all.
    pub top_k: u32,
    /// Share of the weight to keep, up to 1.
    pub top_p: f32,
    /// Least weight relative to the likeliest token's.
    pub min_p: f32,
    /// 1 for none.
    pub repetition_penalty: f32,
}

impl Default for StepUniform {
    /// One token at position 0, no sampling.
    fn default() -> Self {
        Self {
            n_tokens: 1,
            position: 0,
            draw: 0,
            seed: 0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
        }
    }
}

impl StepUniform {
    fn words(&self) -> [u32; STEP_BYTES as usize / 4] {
        [
            self.n_tokens,
            self.position,
            self.draw,
            self.seed as u32,
            (self.seed >> 32) as u32,
            self.temperature.to_bits(),
            self.top_k,
            self.top_p.to_bits(),
            self.min_p.to_bits(),
            self.repetition_penalty.to_bits(),
            0,
            0,
        ]
    }
}

/// A number of workgroups that may grow with the tokens of a step.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// Always this many.
    Fixed(u32),
    /// `per_token` items a token, `per_group` of them a workgroup, rounded up.
    Tokens {
        /// Items a token.
        per_token: u32,
        /// Items a workgroup.
        per_group: u32,
    },
}

impl Count {
    /// One workgroup a token.
    pub const EACH_TOKEN: Self = Self::Tokens { per_token: 1, per_group: 1 };

    fn of(self, n_tokens: u32) -> u32 {
        match self {
            Self::Fixed(count) => count,
            Self::Tokens { per_token, per_group } => (n_tokens * per_token).div_ceil(per_group),
        }
    }
}

/// The workgroups of a dispatch.
#[derive(Clone, Copy, Debug)]
pub enum Grid {
    /// A row of workgroups, folded into x and y where it is longer than a dimension allows; the kernel unfolds it with
    /// `lib/grid.wesl`.
    Flat(Count),
    /// x and y.
    Xy(Count, Count),
}

impl Grid {
    fn of(self, n_tokens: u32) -> [u32; 2] {
        match self {
            Self::Flat(count) => {
                let count = count.of(n_tokens);
                let x = count.min(MAX_WORKGROUPS);
                [x, count.div_ceil(x.max(1))]
            }
            Self::Xy(x, y) => [x.of(n_tokens), y.of(n_tokens)],
        }
    }
}

/// A recorded dispatch.
pub(crate) struct Step {
    pub(crate) kernel: &'static str,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: Grid,
}

/// Recorded dispatches, in order, in parts that may be submitted apart (a layer is one).
#[derive(Default)]
pub struct Plan {
    parts: Vec<Vec<Step>>,
}

impl Plan {
    /// How many parts.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// How many dispatches in all.
    pub fn dispatches(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// The kernels in order, one entry a dispatch.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.parts.iter().flatten().map(|step| step.kernel)
    }

    /// Encodes a range of parts for a step whose uniform is in `slot`.
    pub(crate) fn encode(
        &self,
        parts: std::ops::Range<usize>,
        pass: &mut wgpu::ComputePass<'_>,
        n_tokens: u32,
        slot: u32,
    ) {
        self.encode_each(parts, pass, n_tokens, slot, |_| {});
    }

    /// The same, with `after` called behind every dispatch.
    pub(crate) fn encode_each<'p>(
        &self,
        parts: std::ops::Range<usize>,
        pass: &mut wgpu::ComputePass<'p>,
        n_tokens: u32,
        slot: u32,
        mut after: impl FnMut(&mut wgpu::ComputePass<'p>),
    ) {
        for step in self.parts[parts].iter().flatten() {
            let [x, y] = step.grid.of(n_tokens);
            pass.set_pipeline(&step.pipeline);
            pass.set_bind_group(0, &step.bind_group, &[slot]);
            pass.dispatch_workgroups(x, y, 1);
            after(pass);
        }
    }
}

/// A ring of [`StepUniform`]s.
pub struct StepRing {
    buffer: wgpu::Buffer,
    /// The slot of the next step.
    next: usize,
    /// What the slots from `next` on hold already.
    ahead: VecDeque<StepUniform>,
}

impl StepRing {
    const SLOTS: usize = 64;
    /// Steps that are written at once: wgpu makes a staging buffer for every write, and a token should not need one.
    const AHEAD: usize = 32;

    /// An empty ring.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer("steps", Self::SLOTS as u64 * UNIFORM_ALIGN, usage).await?;
        Ok(Self { buffer, next: 0, ahead: VecDeque::with_capacity(Self::AHEAD) })
    }

    /// Writes a uniform for the next submit; the slot's offset goes to [`Plan::encode`].
    pub(crate) fn write(&mut self, gpu: &Gpu, step: &StepUniform) -> u32 {
        self.ahead.clear();
        self.write_slots(gpu, step, 1);
        self.take_slot()
    }

    /// The same for a step of a reply, if it is not the one that was foreseen: those that follow are written with it.
    pub(crate) fn write_reply(&mut self, gpu: &Gpu, step: &StepUniform) -> u32 {
        if self.ahead.pop_front() != Some(*step) {
            let steps = Self::AHEAD.min(Self::SLOTS - self.next);
            self.ahead.clear();
            self.ahead.extend((1..steps as u32).map(|i| after(step, i)));
            self.write_slots(gpu, step, steps);
        }
        self.take_slot()
    }

    /// Writes a step and those after it. Steps in flight keep what they have: writes take their turn among submits.
    fn write_slots(&self, gpu: &Gpu, step: &StepUniform, steps: usize) {
        let mut bytes = [0; Self::AHEAD * UNIFORM_ALIGN as usize];
        for (i, slot) in bytes.chunks_exact_mut(UNIFORM_ALIGN as usize).take(steps).enumerate() {
            slot[..STEP_BYTES as usize].copy_from_slice(bytemuck::cast_slice(&after(step, i as u32).words()));
        }
        let offset = self.next as u64 * UNIFORM_ALIGN;
        gpu.write_steps(&self.buffer, offset, &bytes[..steps * UNIFORM_ALIGN as usize]);
    }

    fn take_slot(&mut self) -> u32 {
        let slot = self.next;
        self.next = (slot + 1) % Self::SLOTS;
        // Less than 64 slots of 256 bytes.
        slot as u32 * UNIFORM_ALIGN as u32
    }
}

/// The step `i` tokens later in a reply.
fn after(step: &StepUniform, i: u32) -> StepUniform {
    StepUniform { position: step.position.wrapping_add(i), draw: step.draw.wrapping_add(i), ..*step }
}

/// A range of a buffer, to bind.
#[derive(Clone, Copy)]
pub struct Slice<'a> {
    pub(crate) buffer: &'a wgpu::Buffer,
    pub(crate) offset: u64,
    /// Up to the end where `None`.
    pub(crate) bytes: Option<wgpu::BufferSize>,
}

impl<'a> Slice<'a> {
    /// All of a buffer.
    pub fn all(buffer: &'a wgpu::Buffer) -> Self {
        Self { buffer, offset: 0, bytes: None }
    }
}

/// Records a [`Plan`].
pub struct Recorder<'g> {
    pub(crate) gpu: &'g Gpu,
    steps: wgpu::Buffer,
    plan: Plan,
    /// Where the next parameters go.
    arena: Option<(wgpu::Buffer, u64)>,
}

impl<'g> Recorder<'g> {
    const ARENA_BYTES: u64 = 64 * 1024;

    /// An empty plan for steps whose uniforms are in `steps`.
    pub fn new(gpu: &'g Gpu, steps: &StepRing) -> Self {
        Self { gpu, steps: steps.buffer.clone(), plan: Plan::default(), arena: None }
    }

    /// Begins a part that may be submitted apart from what came before.
    pub fn begin_part(&mut self) {
        self.plan.parts.push(Vec::new());
    }

    /// The plan.
    pub fn finish(self) -> Plan {
        self.plan
    }

    /// Records a dispatch of the variant of `kernel` that fits `features` and the device.
    pub(crate) async fn dispatch(
        &mut self,
        kernel: &'static Kernel,
        features: &[&str],
        params: Vec<u32>,
        bindings: Vec<(u32, Slice<'_>)>,
        grid: Grid,
    ) -> Result<()> {
        self.dispatch_with(kernel, features, &[], params, bindings, grid).await
    }

    /// The same, with values for the kernel's overrides.
    pub(crate) async fn dispatch_with(
        &mut self,
        kernel: &'static Kernel,
        features: &[&str],
        constants: Constants<'_>,
        params: Vec<u32>,
        bindings: Vec<(u32, Slice<'_>)>,
        grid: Grid,
    ) -> Result<()> {
        let pipeline = self.gpu.pipeline(kernel, features, constants)?;
        let (params_buffer, offset) = self.store_params(&params).await?;
        let uniform = |buffer, offset, size| wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) };
        let mut entries = vec![
            wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(uniform(&self.steps, 0, STEP_BYTES)),
            },
            wgpu::BindGroupEntry {
                binding: 1,
                resource: wgpu::BindingResource::Buffer(uniform(&params_buffer, offset, 4 * params.len() as u64)),
            },
        ];
        entries.extend(bindings.iter().map(|(slot, slice)| wgpu::BindGroupEntry {
            binding: *slot,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: slice.buffer,
                offset: slice.offset,
                size: slice.bytes,
            }),
        }));
        let bind_group = self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        if self.plan.parts.is_empty() {
            self.begin_part();
        }
        let step = Step { kernel: kernel.name, pipeline: pipeline.pipeline, bind_group, grid };
        if let Some(part) = self.plan.parts.last_mut() {
            part.push(step);
        }
        Ok(())
    }

    async fn store_params(&mut self, words: &[u32]) -> Result<(wgpu::Buffer, u64)> {
        let full = self.arena.as_ref().is_none_or(|(_, used)| used + UNIFORM_ALIGN > Self::ARENA_BYTES);
        if full {
            let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
            self.arena = Some((self.gpu.buffer("parameters", Self::ARENA_BYTES, usage).await?, 0));
        }
        let Some((buffer, used)) = &mut self.arena else { unreachable!("the arena was just made") };
        let offset = *used;
        *used += UNIFORM_ALIGN;
        self.gpu.queue().write_buffer(buffer, offset, bytemuck::cast_slice(words));
        Ok((buffer.clone(), offset))
    }
}
