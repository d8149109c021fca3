//! Good files open with the right numbers, and every kind of bad file is refused by name, without a panic.

mod config;
mod fuzz;
mod gguf;
mod goldens;
mod safetensors;
mod write;

use super::ModelFiles;
use crate::error::{Error, Result};

/// The error's text, which must hold all of `words`.
#[track_caller]
fn fails<T>(result: Result<T>, words: &[&str]) -> Error {
    let Err(error) = result else {
        panic!("it was accepted, but should be refused for {words:?}");
    };
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains('\n'), "more than one line: {text}");
    error
}

/// Reads every tensor that the configuration asks for.
fn read_all(model: &ModelFiles) {
    for part in super::Part::all(model.config()) {
        let view = model.tensor(part).expect("a tensor that was checked");
        assert_eq!([view.rows, view.cols], part.shape(model.config()));
        let row_bytes = view.format.row_bytes(view.cols).expect("whole blocks");
        assert_eq!(view.bytes.len(), view.rows * row_bytes, "{}", view.name);
    }
}
