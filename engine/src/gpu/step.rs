//! What differs from one step to the next: a small uniform, in a ring of them.

use std::collections::VecDeque;

use super::context::Gpu;
use crate::error::Result;

/// Bytes of [`StepUniform`] on the device.
pub(crate) const STEP_BYTES: u64 = 48;
/// Distance between uniforms that can be bound at an offset; WebGPU's default limit.
pub(super) const UNIFORM_ALIGN: u64 = 256;

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

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Writes a uniform for the next submit; gives the slot's offset.
    pub(super) fn write(&mut self, gpu: &Gpu, step: &StepUniform) -> u32 {
        self.ahead.clear();
        self.write_slots(gpu, step, 1);
        self.take_slot()
    }

    /// The same for a step that others like it follow, if it is not the one that was foreseen: they are written with it.
    pub(super) fn write_ahead(&mut self, gpu: &Gpu, step: &StepUniform) -> u32 {
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
