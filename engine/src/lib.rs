//! Gemma-2 and Gemma-3 text models on any GPU, through WebGPU.
//!
//! ```no_run
//! use lapidary_engine::{Engine, Sampling};
//!
//! # fn main() -> lapidary_engine::Result<()> {
//! let engine = Engine::builder("models/gemma-2-2b-it").build_blocking()?;
//! let mut chat = engine.chat();
//! let mut reply = chat.send("Why is the sky blue?", &Sampling::default())?;
//! while let Some(piece) = reply.next_blocking()? {
//!     print!("{piece}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every `_blocking` function has an `async` one of the same name without the suffix; the browser has only those.
//!
//! The rooms, from the top: [`Chat`] speaks in turns of text over a [`Session`], which extends a sequence of tokens with an
//! [`Engine`]. Below, [`model`] is the layer graph, [`ops`] one function a kernel, [`gpu`] the device; [`load`] and
//! [`quant`] bring weights from files to the device, and [`config`] is the shape of a model. Those are public for tests and
//! for the curious, and may change.

pub mod check;
pub mod config;
pub mod gpu;
pub mod load;
pub mod model;
pub mod ops;
pub mod quant;
pub mod template;
pub mod tokenizer;

mod chat;
mod engine;
mod error;
mod generation;
mod measure;
mod options;
mod pace;
mod runner;
mod sampling;
mod sequence;
mod session;
mod text;
mod tune;

pub use chat::{Chat, Reply};
pub use engine::{Engine, EngineBuilder, Progress};
pub use error::{Error, Result};
pub use generation::{Decoding, Finish, Timings};
pub use gpu::{AdapterChoice, DeviceOptions, Gpu};
pub use load::ModelFiles;
pub use ops::CacheFormat;
pub use options::{LoadOptions, MemoryEstimate};
pub use quant::WeightFormat;
pub use runner::Runner;
pub use sampling::Sampling;
pub use sequence::Sequence;
pub use session::{Generation, Session};
pub use text::TextGeneration;
pub use tune::{ActivationFormat, Choice, Tuning};
pub use wgpu;
