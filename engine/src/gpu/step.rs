//! The inputs that change from one step to the next: a ring of small uniforms.

use std::collections::VecDeque;

pub use lapidary_shaders::kernels::Step;

use super::context::Gpu;
use crate::error::Result;

/// Distance between uniforms that can be bound at an offset; WebGPU's default limit.
pub(super) const UNIFORM_ALIGN: u64 = 256;

/// A ring of [`Step`]s.
pub struct StepRing {
    buffer: wgpu::Buffer,
    /// The slot of the next step.
    next: usize,
    /// The predicted steps that the slots from `next` on hold.
    ahead: VecDeque<Step>,
}

impl StepRing {
    const SLOTS: usize = 64;
    /// Steps per write. wgpu creates a staging buffer per write, so one write per token would be slow.
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

    /// Writes a uniform for the next submit. Returns the slot's offset.
    pub(super) fn write(&mut self, gpu: &Gpu, step: &Step) -> u32 {
        self.ahead.clear();
        self.write_slots(gpu, step);
        self.take_slot()
    }

    /// As [`StepRing::write`], unless the slot holds this step because an earlier call predicted it. Writes the
    /// predicted steps after it too: `later(i)` is the `i`-th.
    pub(super) fn write_ahead(&mut self, gpu: &Gpu, step: &Step, later: impl Fn(u32) -> Step) -> u32 {
        if self.ahead.pop_front() != Some(*step) {
            let steps = Self::AHEAD.min(Self::SLOTS - self.next);
            self.ahead.clear();
            self.ahead.extend((1..steps as u32).map(later));
            self.write_slots(gpu, step);
        }
        self.take_slot()
    }

    /// Writes a step and the predicted steps after it. Steps in flight are not affected, because the queue orders
    /// writes and submits.
    fn write_slots(&self, gpu: &Gpu, step: &Step) {
        let mut bytes = [0; Self::AHEAD * UNIFORM_ALIGN as usize];
        let steps = std::iter::once(step).chain(&self.ahead);
        for (slot, step) in bytes.chunks_exact_mut(UNIFORM_ALIGN as usize).zip(steps) {
            slot[..Step::BYTES].copy_from_slice(bytemuck::bytes_of(step));
        }
        let offset = self.next as u64 * UNIFORM_ALIGN;
        gpu.write_steps(&self.buffer, offset, &bytes[..(1 + self.ahead.len()) * UNIFORM_ALIGN as usize]);
    }

    fn take_slot(&mut self) -> u32 {
        let slot = self.next;
        self.next = (slot + 1) % Self::SLOTS;
        // Less than 64 slots of 256 bytes.
        slot as u32 * UNIFORM_ALIGN as u32
    }
}
