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
    /// Enough for a decode step of all sequences, each of which draws with its own uniform.
    const SLOTS: usize = 128;
    /// Bytes from one step to the next.
    const STRIDE: usize = Step::BYTES.next_multiple_of(UNIFORM_ALIGN as usize);
    /// Steps per write. wgpu creates a staging buffer per write, so one write per token would be slow.
    const AHEAD: usize = 32;

    /// An empty ring.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu) -> Result<Self> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer("steps", (Self::SLOTS * Self::STRIDE) as u64, usage).await?;
        Ok(Self { buffer, next: 0, ahead: VecDeque::with_capacity(Self::AHEAD) })
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Writes a uniform for the next submit. Returns the slot's offset.
    pub(super) fn write(&mut self, gpu: &Gpu, step: &Step) -> u32 {
        self.write_all(gpu, &[*step])[0]
    }

    /// Writes the uniforms of one submit. Returns their offsets.
    pub(super) fn write_all(&mut self, gpu: &Gpu, steps: &[Step]) -> Vec<u32> {
        assert!(steps.len() <= Self::SLOTS, "{} steps in one submit", steps.len());
        self.ahead.clear();
        let (before_end, rest) = steps.split_at(steps.len().min(Self::SLOTS - self.next));
        let mut offsets = Vec::with_capacity(steps.len());
        for steps in [before_end, rest] {
            self.write_slots(gpu, steps);
            offsets.extend(steps.iter().map(|_| self.take_slot()));
        }
        offsets
    }

    /// As [`StepRing::write`], unless the slot holds this step because an earlier call predicted it. Writes the
    /// steps after it too, as [`Step::later`] predicts them.
    pub(super) fn write_ahead(&mut self, gpu: &Gpu, step: &Step) -> u32 {
        if self.ahead.pop_front() != Some(*step) {
            let steps = Self::AHEAD.min(Self::SLOTS - self.next);
            self.ahead.clear();
            self.ahead.extend((1..steps as u32).map(|i| step.later(i)));
            let steps: Vec<Step> = std::iter::once(*step).chain(self.ahead.iter().copied()).collect();
            self.write_slots(gpu, &steps);
        }
        self.take_slot()
    }

    /// Writes steps to the slots from `next` on. Steps in flight are not affected, because the queue orders writes and submits.
    fn write_slots(&self, gpu: &Gpu, steps: &[Step]) {
        if steps.is_empty() {
            return;
        }
        let mut bytes = vec![0; steps.len() * Self::STRIDE];
        for (slot, step) in bytes.chunks_exact_mut(Self::STRIDE).zip(steps) {
            slot[..Step::BYTES].copy_from_slice(bytemuck::bytes_of(step));
        }
        gpu.write_steps(&self.buffer, (self.next * Self::STRIDE) as u64, &bytes);
    }

    fn take_slot(&mut self) -> u32 {
        let slot = self.next;
        self.next = (slot + 1) % Self::SLOTS;
        // Less than 128 slots of 768 bytes.
        (slot * Self::STRIDE) as u32
    }
}
