//! Buffers that are declared before they take memory.

use std::sync::{Arc, OnceLock};

use super::context::Gpu;
use crate::error::{Error, Result};

/// A storage buffer. [`Buffer::new`] declares it: a label and a size, which is all that recording a plan needs. It takes
/// memory when [`Gpu::allocate`] is called on it, or when a plan that binds it is [finished](super::Recording::finish).
///
/// Clones are the same buffer.
#[derive(Clone)]
pub struct Buffer {
    declared: Arc<Declared>,
}

struct Declared {
    label: String,
    bytes: u64,
    memory: OnceLock<wgpu::Buffer>,
}

/// All storage buffers can be uploaded to and read back.
const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

impl Buffer {
    /// Declares a buffer of at least `bytes` bytes: 16 or a multiple of 16. Its memory will be zeros.
    pub fn new(label: impl Into<String>, bytes: u64) -> Self {
        let bytes = bytes.max(16).next_multiple_of(16);
        Self { declared: Arc::new(Declared { label: label.into(), bytes, memory: OnceLock::new() }) }
    }

    /// Its label, which errors and printed plans show.
    pub fn label(&self) -> &str {
        &self.declared.label
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.declared.bytes
    }

    /// Whether both are the same buffer.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.declared, &other.declared)
    }

    /// Its memory.
    ///
    /// # Panics
    /// If it has none yet: neither allocated nor bound by a finished plan.
    pub fn memory(&self) -> &wgpu::Buffer {
        let Some(memory) = self.declared.memory.get() else {
            panic!("{} is used before it has memory: allocate it, or finish a plan that binds it", self.label())
        };
        memory
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.label(), self.bytes())
    }
}

impl Gpu {
    /// Gives a buffer its memory on this device, zeroed, if it has none yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], or [`Error::Adapter`] if it exceeds the adapter's largest buffer.
    pub async fn allocate(&self, buffer: &Buffer) -> Result<()> {
        if buffer.declared.memory.get().is_none() {
            let memory = self.buffer(buffer.label(), buffer.bytes(), USAGE).await?;
            // If another thread was faster, its memory is kept.
            let _ = buffer.declared.memory.set(memory);
        }
        Ok(())
    }

    /// Writes to a buffer, before the next submit. `offset` and the length are multiples of 4 bytes.
    ///
    /// # Panics
    /// As for [`Buffer::memory`].
    pub fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) {
        self.queue().write_buffer(buffer.memory(), offset, bytes);
    }
}

/// A range of a buffer, to bind.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The buffer.
    pub buffer: Buffer,
    /// Where the range begins, in bytes; a multiple of 256.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The alignment of a binding's offset, in bytes; WebGPU's default limit.
pub(crate) const BINDING_ALIGN: u64 = 256;

impl From<&Buffer> for Slice {
    /// All of a buffer.
    fn from(buffer: &Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0, bytes: buffer.bytes() }
    }
}

impl Slice {
    /// The binding, unless it exceeds the device's limit.
    pub(super) fn binding(&self, gpu: &Gpu, kernel: &str) -> Result<wgpu::BindingResource<'_>> {
        let limit = gpu.capabilities().max_binding_bytes;
        if self.bytes > limit {
            let (label, bytes) = (self.buffer.label(), self.bytes);
            let reason = format!("{kernel} binds {bytes} bytes of {label}, but a binding holds {limit}");
            return Err(Error::Adapter { adapter: gpu.info().name.clone(), reason });
        }
        Ok(wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.buffer.memory(),
            offset: self.offset,
            size: wgpu::BufferSize::new(self.bytes),
        }))
    }
}
