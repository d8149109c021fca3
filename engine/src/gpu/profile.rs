//! Milliseconds of each dispatch, by timestamp queries.

use super::context::Gpu;
use super::plan::Plan;
use super::readback::Readback;
use super::step::{Step, StepRing};
use crate::error::{Error, Result};

/// The most timestamps in one query set.
const MAX_STAMPS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize;

impl Gpu {
    /// Runs plans for one step in order, with a timestamp before and after every dispatch. Returns the kernel and the
    /// milliseconds of each dispatch. Timestamps keep dispatches from overlapping, so the sum exceeds the time of a
    /// normal step.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the adapter has no timestamps within a pass, or the step more dispatches than a query set has
    /// timestamps; and the errors of running a plan.
    pub(crate) async fn profile(
        &self,
        ring: &mut StepRing,
        plans: &[&Plan],
        step: &Step,
    ) -> Result<Vec<(&'static str, f64)>> {
        if !self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES) {
            return Err(Error::Unsupported {
                what: format!("a profile on {}", self.info().name),
                hint: "use an adapter with timestamps inside passes".into(),
            });
        }
        let kernels: Vec<&'static str> = plans.iter().flat_map(|plan| plan.kernels()).collect();
        let stamps = kernels.len() + 1;
        if stamps > MAX_STAMPS {
            return Err(Error::Unsupported {
                what: format!("a profile of {} dispatches", kernels.len()),
                hint: format!("use a model of fewer than {MAX_STAMPS}"),
            });
        }
        let queries = self.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: stamps as u32,
        });
        let bytes = 8 * stamps as u64;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = self.buffer("profile", bytes, usage).await?;
        let slot = ring.write(self, step);
        let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.write_timestamp(&queries, 0);
            let mut stamp = 0;
            for plan in plans {
                plan.encode_each(0..plan.segments(), &mut pass, step.n_tokens, slot, |pass| {
                    stamp += 1;
                    pass.write_timestamp(&queries, stamp);
                });
            }
        }
        encoder.resolve_query_set(&queries, 0..stamps as u32, &resolved, 0);
        self.submit_commands([encoder.finish()]);
        let readback = Readback::new(self, bytes).await?;
        let ticks: Vec<u64> = readback.read(self, &resolved, bytes, bytemuck::pod_collect_to_vec).await?;
        let ms = f64::from(self.queue().get_timestamp_period()) * 1e-6;
        let spans = ticks.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * ms);
        Ok(kernels.into_iter().zip(spans).collect())
    }
}
