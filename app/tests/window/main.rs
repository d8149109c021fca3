//! Tests of the window with a scripted engine, driven by accessibility labels.

mod crash;
mod end_to_end;
mod failures;
mod files;
mod frames;
mod looks;
mod markdown;
mod pictures;
mod script;
mod scrolling;
mod talking;
mod waiting;
