//! Measures the bandwidth of the device's memory.

use web_time::Instant;

use super::context::Gpu;
use crate::error::Result;

/// Larger than caches, smaller than any device's memory.
const BYTES: u64 = 128 << 20;
const RUNS: usize = 5;
/// A run takes about this long, in seconds, so that waiting for the device does not matter.
const RUN_SECONDS: f64 = 0.05;
const MOST_COPIES: usize = 1024;

impl Gpu {
    /// Bytes per second of copies from buffer to buffer, reads plus writes: the median of several runs.
    ///
    /// # Errors
    /// The errors of buffers, and if the device is lost.
    pub async fn copy_bandwidth(&self) -> Result<f64> {
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let bytes = BYTES.min(self.capabilities().max_buffer_bytes);
        let from = self.buffer("copied", bytes, usage).await?;
        let to = self.buffer("copy", bytes, usage).await?;
        let mut speeds = Vec::new();
        let mut copies = 4;
        for run in 0..RUNS + 2 {
            let mut encoder = self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for _ in 0..copies {
                encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
            }
            let started = Instant::now();
            let submission = self.submit_commands([encoder.finish()]);
            self.finish(submission).await?;
            let seconds = started.elapsed().as_secs_f64();
            match run {
                // It is slower, because it touches the memory for the first time.
                0 => {}
                1 => copies = ((copies as f64 * RUN_SECONDS / seconds).ceil() as usize).clamp(1, MOST_COPIES),
                _ => speeds.push(2.0 * copies as f64 * bytes as f64 / seconds),
            }
        }
        speeds.sort_by(f64::total_cmp);
        Ok(speeds[RUNS / 2])
    }
}
