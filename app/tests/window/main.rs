//! The window, driven by the labels that a screen reader would read, over an engine that follows a script.

mod crash;
mod end_to_end;
mod failures;
mod files;
mod frames;
mod looks;
mod script;
mod talking;
mod waiting;
