//! Walking a plan.

use std::ops::Range;

use web_time::Instant;

use super::context::Gpu;
use super::plan::{Plan, StepRing, StepUniform};
use crate::error::Result;

impl Gpu {
    /// Submits all of some plans for one step, in one pass, and returns without waiting. `after` may add copies. Also gives
    /// the milliseconds that encoding took; what the driver does in a submit is its own affair (Mesa's software adapter
    /// does all of the work there).
    pub(crate) fn submit(
        &self,
        ring: &mut StepRing,
        plans: &[&Plan],
        step: &StepUniform,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> (wgpu::SubmissionIndex, f64) {
        let started = Instant::now();
        let slot = ring.write(self, step);
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for plan in plans {
                plan.encode(0..plan.parts(), &mut pass, step.n_tokens, slot);
            }
        }
        after(&mut encoder);
        let commands = encoder.finish();
        let encode_ms = started.elapsed().as_secs_f64() * 1e3;
        (self.submit_commands([commands]), encode_ms)
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
        let submission = self.submit_commands([encoder.finish()]);
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
