//! Whether a device takes subnormal f16 numbers for zero when it converts them to f32. WGSL lets it, and the scales of k-quants
//! often are subnormal.

use crate::error::Result;
use crate::gpu::{Buffer, Capabilities, Gpu, Recording, Step, StepRing, Tensor};
use crate::load::{Bytes, TensorView, Uploader};
use crate::ops::{TokenIds, embed};
use crate::quant::{Matrix, WeightFormat};

/// Converts some subnormal numbers on the device.
///
/// # Errors
/// If the device is lost, out of memory or refuses the kernel.
pub(super) async fn flushes_subnormals(gpu: &Gpu) -> Result<bool> {
    let numbers = subnormal();
    let bytes = Bytes::from(bytemuck::cast_slice(&numbers).to_vec());
    let row = TensorView::in_memory("subnormals", WeightFormat::F32, 1, numbers.len(), &bytes);
    let capabilities = Capabilities { flushes_subnormals: false, ..gpu.capabilities().clone() };
    let table = Matrix::new("subnormals", WeightFormat::F16, [1, numbers.len()], &capabilities);
    let mut progress = |_, _| true;
    let mut uploader = Uploader::new(gpu, 0, &mut progress);
    uploader.fill(&table, &[row]).await?;
    uploader.finish().await?;
    let ids = Buffer::new("ids", 4);
    gpu.allocate(&ids).await?;
    gpu.write(&ids, 0, bytemuck::bytes_of(&0u32));
    let out = Tensor::new("out", 1, numbers.len());
    let mut recording = Recording::new(&capabilities);
    embed(&mut recording, &table, TokenIds::Chunk(&ids), 1.0, &out);
    let mut ring = StepRing::new(gpu).await?;
    let plan = recording.finish(gpu, &ring).await?;
    gpu.run_segments(&mut ring, &plan, 0..plan.segments(), &Step { n_tokens: 1, ..Step::default() }).await?;
    Ok(out.read(gpu, 1).await? != numbers)
}

/// Numbers from 2^-24 on, which f16 has exactly and none of them normal.
fn subnormal() -> Vec<f32> {
    (1..=32).map(|i| (i * 31) as f32 * 2.0_f32.powi(-24)).collect()
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::gpu::DeviceOptions;

    #[test]
    fn the_numbers_are_subnormal() {
        for number in subnormal() {
            let half = half::f16::from_f32(number);
            assert!(half.classify() == std::num::FpCategory::Subnormal && half.to_f32() == number, "{number}");
        }
    }

    #[test]
    fn software_adapters_do_not_flush() {
        let gpu = block_on(Gpu::open(&DeviceOptions::from_env())).unwrap();
        assert!(!block_on(flushes_subnormals(&gpu)).unwrap());
    }
}
