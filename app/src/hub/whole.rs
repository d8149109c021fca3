//! Whether all files of a model are there. A download that was stopped leaves the files that came.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::choose::{Choice, part_of};

/// The list of the files of split safetensors.
const INDEX: &str = "model.safetensors.index.json";
/// An index has a line per tensor.
const MAX_INDEX: u64 = 32 << 20;

/// Whether the files of a model in a folder are all that it needs: every part of a split GGUF, or every file that the index of
/// safetensors lists, with the tokenizer. A damaged index lists nothing, so its model is not whole.
pub(super) fn is_whole(choice: &Choice, folder: &Path) -> bool {
    let has = |name: &str| choice.files.iter().any(|file| file == name);
    match &choice.open {
        Some(first) => match part_of(first) {
            Some((_, count)) => {
                let numbers: BTreeSet<u32> = choice
                    .files
                    .iter()
                    .filter_map(|file| Some(part_of(file)?.0))
                    .filter(|n| (1..=count).contains(n))
                    .collect();
                numbers.len() == count as usize
            }
            None => true,
        },
        None => {
            let weights = has("model.safetensors")
                || (has(INDEX) && listed(&folder.join(INDEX)).is_some_and(|files| files.iter().all(|file| has(file))));
            weights && has("config.json") && has("tokenizer.json")
        }
    }
}

/// The files that an index lists; `None` where it is damaged or lists none.
fn listed(index: &Path) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let mut bytes = Vec::new();
    File::open(index).ok()?.take(MAX_INDEX).read_to_end(&mut bytes).ok()?;
    let index: Index = serde_json::from_slice(&bytes).ok()?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    (!files.is_empty()).then_some(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn whole(folder: &Path, open: Option<&str>, files: &[&str]) -> bool {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        is_whole(&Choice { open: open.map(str::to_owned), files }, folder)
    }

    #[test]
    fn all_parts_of_a_split_gguf_are_needed() {
        let folder = Path::new("");
        let (one, two) = ("q8/m-00001-of-00002.gguf", "q8/m-00002-of-00002.gguf");
        assert!(whole(folder, Some(one), &[one, two]));
        assert!(!whole(folder, Some(one), &[one]));
        assert!(!whole(folder, Some(two), &[two]));
        assert!(!whole(folder, Some(one), &[one, "q8/m-00003-of-00002.gguf"]));
        assert!(whole(folder, Some("m.gguf"), &["m.gguf"]));
    }

    #[test]
    fn all_files_of_an_index_and_the_tokenizer_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let weights = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let map = serde_json::json!({ "weight_map": {"a": weights[0], "b": weights[1], "c": weights[1]} });
        fs::write(folder.path().join(INDEX), map.to_string()).unwrap();
        let all = ["config.json", "tokenizer.json", INDEX, weights[0], weights[1]];
        assert!(whole(folder.path(), None, &all));
        for missing in all {
            let rest: Vec<&str> = all.into_iter().filter(|file| *file != missing).collect();
            assert!(!whole(folder.path(), None, &rest), "{missing}");
        }
        fs::write(folder.path().join(INDEX), "{}").unwrap();
        assert!(!whole(folder.path(), None, &all));
        assert!(whole(folder.path(), None, &["config.json", "tokenizer.json", "model.safetensors"]));
        assert!(!whole(folder.path(), None, &["config.json", "model.safetensors"]));
    }
}
