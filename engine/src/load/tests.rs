//! Good files open with the right numbers, and every kind of bad file is refused by name, without a panic.

mod config;
mod fuzz;
mod gguf;
mod goldens;
mod safetensors;
mod sources;
mod write;

use super::source::now;
use super::{ModelFiles, TensorView};
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

/// A GGUF file in memory.
fn gguf(bytes: Vec<u8>, name: &str) -> Result<ModelFiles> {
    ModelFiles::from_bytes("", [(name, bytes.into())])
}

/// All rows of a tensor.
async fn rows(view: &TensorView<'_>) -> Result<Vec<u8>> {
    let (mut bytes, mut row) = (Vec::new(), 0);
    while row < view.rows {
        // An odd number, so that reads end in the middle of the tensor.
        bytes.extend_from_slice(&view.read_rows(row, 7).await?);
        row = bytes.len() / view.row_bytes();
    }
    Ok(bytes)
}

/// Reads every tensor that the configuration asks for.
fn read_all(model: &ModelFiles) {
    for id in super::TensorId::all(model.config()) {
        let view = model.tensor(id).expect("a tensor that was checked");
        assert_eq!([view.rows, view.cols], id.shape(model.config()));
        let row_bytes = view.format.row_bytes(view.cols).expect("whole blocks");
        assert_eq!(view.row_bytes(), row_bytes);
        let bytes = now(rows(&view)).expect("memory can be read");
        assert_eq!(bytes.len(), view.rows * row_bytes, "{}", view.name);
    }
}
