//! The shaders as texts: translation for every backend, pipelines without a GPU, and one name in four places.

mod noop;
mod places;
mod reachable;
mod translation;
