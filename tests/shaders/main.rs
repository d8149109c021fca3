//! Tests of the shaders' text and of the source tree, without a GPU: translation for every backend, validation of
//! pipelines, plans, layers, and the names of kernels.

mod layers;
mod names;
mod noop;
mod plans;
mod reachable;
mod translation;
