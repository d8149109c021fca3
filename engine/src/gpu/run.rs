//! Running a plan.

use std::ops::Range;

use super::context::Gpu;
use super::plan::Plan;
use super::step::{Step, StepRing};
use crate::error::Result;

/// Segments of a plan for a step whose uniform is in `slot`.
#[derive(Clone)]
struct Part<'p> {
    plan: &'p Plan,
    segments: Range<usize>,
    n_tokens: u32,
    slot: u32,
}

impl<'p> Part<'p> {
    fn whole(plan: &'p Plan, step: &Step, slot: u32) -> Self {
        Self { plan, segments: 0..plan.segments(), n_tokens: step.n_tokens, slot }
    }
}

impl Gpu {
    /// Encodes parts of plans in one pass. `after` can add copies. Nothing runs before the commands are submitted.
    fn encode<'p>(
        &self,
        parts: impl IntoIterator<Item = Part<'p>>,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::CommandBuffer {
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for Part { plan, segments, n_tokens, slot } in parts {
                plan.encode(segments, &mut pass, n_tokens, slot);
            }
        }
        after(&mut encoder);
        encoder.finish()
    }

    /// Encodes whole plans for a step of one sequence. One write serves many such steps. `after` can add copies.
    pub(crate) fn encode_step(
        &self,
        ring: &mut StepRing,
        plans: &[&Plan],
        step: &Step,
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::CommandBuffer {
        let slot = ring.write_ahead(self, step);
        self.encode(plans.iter().map(|plan| Part::whole(plan, step, slot)), after)
    }

    /// Encodes whole plans in one pass, each for its own step. `after` can add copies.
    pub(crate) fn encode_steps(
        &self,
        ring: &mut StepRing,
        steps: &[(&Plan, Step)],
        after: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> wgpu::CommandBuffer {
        let uniforms: Vec<Step> = steps.iter().map(|(_, step)| *step).collect();
        let slots = ring.write_all(self, &uniforms);
        self.encode(steps.iter().zip(slots).map(|((plan, step), slot)| Part::whole(plan, step, slot)), after)
    }

    /// Submits segments of a plan and waits for them. For callers that record their own plans; a session checks its
    /// inputs itself.
    ///
    /// # Safety
    /// Shaders check no bounds. Every buffer of the plan must have the shape that its operation requires, with at least
    /// `step.n_tokens` rows. Every cache must have room for `step.n_tokens` positions from `step.position` on.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub async unsafe fn run_plan(
        &self,
        ring: &mut StepRing,
        plan: &Plan,
        segments: Range<usize>,
        step: &Step,
    ) -> Result<()> {
        self.run_segments(ring, plan, segments, step).await
    }

    /// Submits segments of a plan and waits for them.
    ///
    /// # Errors
    /// If the device is lost or refuses a command.
    pub(crate) async fn run_segments(
        &self,
        ring: &mut StepRing,
        plan: &Plan,
        segments: Range<usize>,
        step: &Step,
    ) -> Result<()> {
        let submission = self.submit_segments(ring, plan, segments, step, 1);
        self.finish(submission).await
    }

    /// Submits segments of a plan, repeated `times` times in one pass.
    pub(crate) fn submit_segments(
        &self,
        ring: &mut StepRing,
        plan: &Plan,
        segments: Range<usize>,
        step: &Step,
        times: usize,
    ) -> wgpu::SubmissionIndex {
        let slot = ring.write(self, step);
        let part = Part { plan, segments, n_tokens: step.n_tokens, slot };
        self.submit_commands([self.encode(std::iter::repeat_n(part, times), |_| {})])
    }
}
