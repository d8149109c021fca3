//! Walking a plan.

use std::ops::Range;

use super::context::Gpu;
use super::plan::{Plan, StepRing, StepUniform};
use crate::error::Result;

impl Gpu {
    /// Submits all of a plan for one step, in one pass, and returns without waiting. `after` may add copies.
    pub(crate) fn submit(
        &self,
        ring: &mut StepRing,
        plans: &[&Plan],
        step: &StepUniform,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        let slot = ring.write(self, step);
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for plan in plans {
                plan.encode(0..plan.parts(), &mut pass, step.n_tokens, slot);
            }
        }
        after(&mut encoder);
        self.queue().submit([encoder.finish()])
    }

    /// Submits some parts of a plan and waits for them.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub async fn run_parts(
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
        let submission = self.queue().submit([encoder.finish()]);
        self.finish(submission).await
    }

    /// Runs all of a plan for one step and waits for it.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub async fn run(&self, ring: &mut StepRing, plan: &Plan, step: &StepUniform) -> Result<()> {
        self.run_parts(ring, plan, 0..plan.parts(), step).await
    }
}
