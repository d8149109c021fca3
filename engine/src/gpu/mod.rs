//! The GPU: device, buffers, pipelines, recordings and plans, transfers. Nothing here knows about models.

mod adapter;
mod bandwidth;
#[cfg(target_arch = "wasm32")]
mod browser;
mod buffer;
mod capabilities;
mod context;
mod grid;
mod memory;
mod open;
mod pipeline_cache;
mod pipelines;
mod plan;
mod profile;
mod readback;
mod recording;
mod run;
mod step;
mod tensor;
#[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
mod vulkan;
mod wait;

#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters_blocking;
pub use adapter::{AdapterChoice, adapters};
pub(crate) use buffer::BINDING_ALIGN;
pub use buffer::{Buffer, Slice};
pub use capabilities::Capabilities;
pub use context::Gpu;
pub use grid::{Count, Grid};
pub use open::DeviceOptions;
pub use plan::Plan;
pub(crate) use readback::Mapping;
pub use readback::Readback;
pub(crate) use recording::Constants;
pub use recording::{Dispatch, Recording};
pub use step::{Step, StepRing};
pub use tensor::Tensor;
pub(crate) use tensor::{ROW_ALIGN, stride_of};
