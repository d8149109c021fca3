//! What a model takes and where it can run, from the headers of its files and the system's list of adapters.

use std::path::Path;

use lapidary_engine::gpu::{AdapterChoice, adapters_blocking};
use lapidary_engine::{DeviceOptions, ModelFiles, Result};

use super::commands::estimate_memory_of;
use super::{Load, MemoryEstimate};
use crate::guide;

/// Opens the files of a model; `None` for the guide.
pub(super) fn open(path: Option<&Path>) -> Result<ModelFiles> {
    match path {
        Some(path) => ModelFiles::open(path),
        None => guide::files(),
    }
}

/// The device options for a request. A name with a number from [`distinct_names`] selects by index.
pub(super) fn device(load: &Load) -> DeviceOptions {
    let mut options = DeviceOptions::from_env();
    if let Some(device) = &load.device {
        let numbered = device.rsplit_once(" #").is_some_and(|(_, number)| number.parse::<usize>().is_ok());
        let index = if numbered { adapter_names().iter().position(|name| name == device) } else { None };
        options.adapter = index.map_or_else(|| AdapterChoice::Named(device.clone()), AdapterChoice::Index);
    }
    options
}

/// The names of the adapters, the fastest first.
pub(super) fn adapter_names() -> Vec<String> {
    distinct_names(adapters_blocking().iter().map(|adapter| adapter.get_info().name).collect())
}

/// Makes repeated names distinct by appending a number, for machines with two cards of one kind.
fn distinct_names(names: Vec<String>) -> Vec<String> {
    let before = |index: usize| names[..index].iter().filter(|name| **name == names[index]).count();
    let name = |index: usize| match before(index) {
        0 => names[index].clone(),
        before => format!("{} #{}", names[index], before + 1),
    };
    (0..names.len()).map(name).collect()
}

/// Estimates the device memory of a model, as [`estimate_memory_of`] does.
pub(super) fn estimate_memory(load: &Load) -> Result<MemoryEstimate> {
    estimate_memory_of(&open(load.model.as_deref())?, load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_of_one_name_are_distinct() {
        let names = ["Card", "Other", "Card", "Card"].map(str::to_owned).to_vec();
        assert_eq!(distinct_names(names), ["Card", "Other", "Card #2", "Card #3"]);
    }
}
