//! Bytes from the device to the host.

use futures_channel::oneshot;

use super::buffer::Buffer;
use super::context::Gpu;
use crate::error::{Error, Result};

/// A buffer that the host can map, created once and reused for transfers of up to its size.
pub struct Readback {
    staging: wgpu::Buffer,
}

impl Readback {
    pub(crate) async fn new(gpu: &Gpu, bytes: u64) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self { staging: gpu.buffer("readback", bytes, usage).await? })
    }

    /// Its size.
    pub(crate) fn bytes(&self) -> u64 {
        self.staging.size()
    }

    /// Records a copy of `bytes` bytes from `source` at `offset`.
    pub(crate) fn copy(&self, encoder: &mut wgpu::CommandEncoder, source: &wgpu::Buffer, offset: u64, bytes: u64) {
        self.copy_to(encoder, source, offset, 0, bytes);
    }

    /// The same, to place `to` of this buffer.
    pub(crate) fn copy_to(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        source: &wgpu::Buffer,
        offset: u64,
        to: u64,
        bytes: u64,
    ) {
        encoder.copy_buffer_to_buffer(source, offset, &self.staging, to, bytes);
    }

    /// Copies the first `bytes` bytes of `source` and passes them to `read`.
    pub(crate) async fn read<T>(
        &self,
        gpu: &Gpu,
        source: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.copy(&mut encoder, source, 0, bytes);
        let submission = gpu.submit_commands([encoder.finish()]);
        let mut mapping = self.request(bytes);
        self.take(gpu, submission, &mut mapping, read).await
    }

    /// The same from a buffer on the device, with a readback that is kept for the next time, or a new one. Where this future is
    /// dropped, the readback may stay mapped, and none is kept.
    pub(crate) async fn reuse<T>(
        kept: &mut Option<Self>,
        gpu: &Gpu,
        source: &Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let readback = match kept.take() {
            Some(readback) => readback,
            None => Self::new(gpu, source.bytes()).await?,
        };
        let value = readback.read(gpu, source.memory(), bytes, read).await?;
        *kept = Some(readback);
        Ok(value)
    }

    /// Requests the mapping, right after the submit that copies into the buffer.
    pub(crate) fn request(&self, bytes: u64) -> Mapping {
        let (sender, receiver) = oneshot::channel();
        self.staging.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| {
            let _ = sender.send(result);
        });
        Mapping { receiver, bytes, over: false }
    }

    /// Waits for the submission and passes the copied bytes to `read`. The future can be dropped while it waits; then
    /// call this again.
    pub(crate) async fn take<T>(
        &self,
        gpu: &Gpu,
        submission: wgpu::SubmissionIndex,
        mapping: &mut Mapping,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        // Browsers tell of a mapping by itself. To wait for the submission there is to wait for later ones, too.
        #[cfg(target_arch = "wasm32")]
        let (_, mapped) = (submission, super::browser::wait_for(gpu.queue(), &mut mapping.receiver));
        // Callbacks run on whichever thread polls or submits first, so another thread may still have to run this one.
        #[cfg(not(target_arch = "wasm32"))]
        let mapped = {
            gpu.finish(submission).await?;
            &mut mapping.receiver
        };
        let result = mapped.await.ok();
        mapping.over = true;
        match result {
            Some(Ok(())) => {
                let value = match self.staging.slice(..mapping.bytes).get_mapped_range() {
                    Ok(view) => Ok(read(&view)),
                    Err(error) => Err(Error::Gpu { reason: error.to_string() }),
                };
                self.staging.unmap();
                value
            }
            Some(Err(error)) => {
                gpu.check()?;
                Err(Error::DeviceLost { reason: error.to_string() })
            }
            None => {
                gpu.check()?;
                Err(Error::DeviceLost { reason: "a transfer never finished".into() })
            }
        }
    }
}

/// A requested mapping.
pub(crate) struct Mapping {
    receiver: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
    bytes: u64,
    over: bool,
}

impl Mapping {
    /// Whether the buffer was mapped and unmapped again, or the mapping failed.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }
}

impl Gpu {
    /// The first `bytes` bytes of a buffer. Creates a staging buffer per call, so do not use it in hot paths.
    ///
    /// # Errors
    /// If the device is lost or out of memory.
    ///
    /// # Panics
    /// As for [`Buffer::memory`].
    pub async fn read(&self, buffer: &Buffer, bytes: u64) -> Result<Vec<u8>> {
        Readback::new(self, bytes).await?.read(self, buffer.memory(), bytes, <[u8]>::to_vec).await
    }
}
