//! The shaders as texts: translation for every backend, pipelines without a GPU, and one name in four places.

mod layers;
mod noop;
mod places;
mod plans;
mod reachable;
mod translation;
