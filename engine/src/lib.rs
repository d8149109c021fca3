#![doc = include_str!("../README.md")]
//!
//! ## Map
//!
//! Start with [`Engine::builder`]. [`Chat`] has turns of text. It works on a [`Session`], which extends a sequence of tokens and
//! gives tokens ([`Session::generate`]), text ([`Session::generate_text`]) or logits ([`Session::logits`]). [`Sampling`] has the
//! sampling parameters, [`LoadOptions`] the options of loading, and [`Error`] all errors. A [`Scheduler`] answers many requests at
//! once. [`ModelFiles::write_gguf`] writes a model in another format.
//!
//! The modules below, except [`scheduler`], are public for tests and for tools, and their contents can change in any version.
//! [`model`] is the layer graph, [`ops`] has one function per computation, and [`gpu`] is the device. [`load`] and [`quant`] move
//! weights from files to the device, [`config`] is the shape of a model, and [`check`] compares a device with the reference
//! implementations.

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
mod export;
mod generation;
mod leases;
mod measure;
mod model_check;
mod options;
mod outcome;
mod pace;
mod plans;
mod prompt_logits;
#[cfg(test)]
mod random;
mod runner;
mod sampling;
pub mod scheduler;
mod sequence;
mod session;
mod speculation;
mod stop_strings;
mod text;
mod threads;
mod tune;

pub use chat::{Chat, Reply};
pub use engine::{Engine, EngineBuilder, Progress};
pub use error::{Error, Result};
pub use export::{GgufOptions, Importance, Recipe};
pub use gpu::{AdapterChoice, DeviceOptions, Gpu};
pub use load::ModelFiles;
pub use ops::CacheFormat;
pub use options::{LoadOptions, MemoryEstimate};
pub use outcome::{Finish, Timings};
pub use quant::WeightFormat;
pub use runner::MAX_SEQUENCES;
pub use sampling::Sampling;
pub use scheduler::{Scheduler, SchedulerOptions};
pub use session::{Generation, Session};
pub use speculation::Speculation;
pub use stop_strings::StopStrings;
pub use text::TextGeneration;
pub use tune::{ActivationFormat, Tuning, TuningChoice};
pub use wgpu;
