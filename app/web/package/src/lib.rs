//! What the worker of the package calls: see `module/worker.js`. Elsewhere this crate is empty.
//!
//! Functions take and give JSON, and fail with the JSON of an error. What comes later than an answer is posted to the page.
#![cfg(target_arch = "wasm32")]

mod check;
mod failure;
mod file;
mod model;
mod post;
mod reply;
mod request;

pub use check::check;
pub use model::{Model, load};
pub use post::start;
