//! How much each input column of a model's matrices matters, measured over a text: what llama.cpp calls an importance matrix.

mod file;
mod measure;

use std::collections::HashMap;

use crate::load::TensorId;

/// The mean squared input of each column of a model's matrices. Quantizing keeps those columns closer that have a larger one: see
/// [`GgufOptions::importance`](super::GgufOptions::importance).
#[derive(Clone, Debug, Default)]
pub struct Importance {
    columns: HashMap<TensorId, Vec<f32>>,
}

impl Importance {
    /// The mean squares of a matrix's columns, in any unit; `None` where they are not known.
    pub fn of(&self, id: TensorId) -> Option<&[f32]> {
        self.columns.get(&id).map(Vec::as_slice)
    }
}
