//! Walking a plan.

use std::ops::Range;

use web_time::Instant;

use super::context::Gpu;
use super::plan::{Plan, StepRing, StepUniform};
use crate::error::Result;

impl Gpu {
    /// Encodes all of some plans for one step, whose uniform is in `slot`, in one pass. `after` may add copies. Nothing runs
    /// before it is submitted.
    pub(crate) fn encode(
        &self,
        plans: &[&Plan],
        n_tokens: u32,
        slot: u32,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::CommandBuffer {
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for plan in plans {
                plan.encode(0..plan.parts(), &mut pass, n_tokens, slot);
            }
        }
        after(&mut encoder);
        encoder.finish()
    }

    /// Milliseconds that the host takes to encode some plans for one step of a reply, which then does not run. With the device
    /// idle, or a software adapter would be measured with it, which takes the processor for itself.
    pub(crate) fn encode_ms(&self, ring: &mut StepRing, plans: &[&Plan], step: &StepUniform) -> f64 {
        let started = Instant::now();
        let slot = ring.write_reply(self, step);
        let commands = self.encode(plans, step.n_tokens, slot, |_| {});
        let ms = started.elapsed().as_secs_f64() * 1e3;
        drop(commands);
        ms
    }

    /// Submits some parts of a plan and waits for them. For who records plans of their own; sessions check what they run.
    ///
    /// # Safety
    /// Shaders check no bounds. Every buffer of the plan must have the shape that its operation asks for, with at least
    /// `step.n_tokens` rows, and every cache room for as many positions from `step.position` on.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub async unsafe fn run_plan(
        &self,
        ring: &mut StepRing,
        plan: &Plan,
        parts: Range<usize>,
        step: &StepUniform,
    ) -> Result<()> {
        self.run_parts(ring, plan, parts, step).await
    }

    /// Submits some parts of a plan and waits for them.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub(crate) async fn run_parts(
        &self,
        ring: &mut StepRing,
        plan: &Plan,
        parts: Range<usize>,
        step: &StepUniform,
    ) -> Result<()> {
        let slot = ring.write(self, step);
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            plan.encode(parts, &mut pass, step.n_tokens, slot);
        }
        let submission = self.submit_commands([encoder.finish()]);
        self.finish(submission).await
    }

    /// Runs all of a plan for one step and waits for it.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub(crate) async fn run(&self, ring: &mut StepRing, plan: &Plan, step: &StepUniform) -> Result<()> {
        self.run_parts(ring, plan, 0..plan.parts(), step).await
    }
}
