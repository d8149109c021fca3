//! The GPU, without a word about models: device, pipelines, tensors, plans, transfers.

mod adapter;
mod bandwidth;
mod capabilities;
mod context;
mod memory;
mod pipelines;
mod plan;
mod profile;
mod readback;
mod run;
mod tensor;
mod wait;

#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters_blocking;
pub use adapter::{AdapterChoice, adapters};
pub use capabilities::Capabilities;
pub use context::{DeviceOptions, Gpu};
pub(crate) use pipelines::Constants;
pub use plan::{Count, Grid, Plan, Recorder, Slice, StepRing, StepUniform};
pub(crate) use readback::Mapping;
pub use readback::Readback;
pub(crate) use tensor::ROW_ALIGN;
pub use tensor::Tensor;
