//! Finds the models on this machine: the guide, those used before, those in the Hugging Face cache, and those in the folders of other
//! programs.

use std::fs;
use std::path::{Path, PathBuf};

use lapidary_engine::ModelFiles;

use super::{FoundModel, folders, guide};
use crate::{hub, model_folders, recent_models};

/// The models that Lapidary can open, the guide first, then those used before. Reads the headers of all files, so it may take a moment.
pub fn find() -> Vec<FoundModel> {
    let recent = recent_models::all();
    let mut found = vec![guide(if recent.last().is_none() { "built in, the default" } else { "built in" })];
    let noted = |path: &Path| {
        let note = if recent.last() == Some(path) { "the last one used, the default" } else { "used before" };
        (path.to_owned(), note)
    };
    let before = recent.paths().map(noted);
    let cached = hub::cache_folder().map(|folder| cached(&folder)).unwrap_or_default();
    let cached = cached.into_iter().map(|path| (path, "in the Hugging Face cache"));
    let named: Vec<(PathBuf, folders::Found)> = in_folders().map(|model| (model.path.clone(), model)).collect();
    let added = named.iter().map(|(path, model)| (path.clone(), model.note));
    for (path, note) in before.chain(cached).chain(added) {
        // Skips models that the engine does not support.
        if found.iter().all(|known| known.path.as_ref() != Some(&path))
            && let Ok(files) = ModelFiles::open(&path)
        {
            let other = || named.iter().find(|(known, _)| *known == path).map(|(_, model)| model.name.clone());
            let name = repository(&path).or_else(other).unwrap_or_else(|| files.name());
            let bytes = bytes(&path);
            found.push(FoundModel { name, path: Some(path), note, bytes });
        }
    }
    found
}

/// A model on this machine by what a person typed: a name that downloaded it, or its name in a folder of another program.
pub fn find_named(text: &str) -> Option<PathBuf> {
    hub::find_named(text).or_else(|| {
        let found: Vec<folders::Found> = in_folders().collect();
        folders::named(&found, text).map(|model| model.path.clone())
    })
}

/// The name of a model for programs: of one from the hub its repository, and after a colon its file, as `lapidary pull` takes it;
/// of one in another program's folder its name there; else that of its GGUF file or folder.
pub fn id_of(path: Option<&Path>) -> String {
    id_among(path, in_folders)
}

/// The models that [`find`] lists, each by its [name for programs](id_of).
pub fn find_ids() -> Vec<(String, Option<PathBuf>)> {
    let known: Vec<folders::Found> = in_folders().collect();
    let id = |found: FoundModel| (id_among(found.path.as_deref(), || known.iter().cloned()), found.path);
    find().into_iter().map(id).collect()
}

fn id_among<I: Iterator<Item = folders::Found>>(path: Option<&Path>, in_folders: impl FnOnce() -> I) -> String {
    let Some(path) = path else { return crate::guide::NAME.to_owned() };
    if let Some(name) = repository(path) {
        return name.replacen(", ", ":", 1);
    }
    if let Some(model) = in_folders().find(|model| model.path == path) {
        return model.name;
    }
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    file.strip_suffix(".gguf").unwrap_or(&file).to_owned()
}

/// The models in the folders of other programs.
fn in_folders() -> impl Iterator<Item = folders::Found> {
    model_folders::all().into_iter().flat_map(|folder| folders::in_folder(&folder))
}

/// The size of the files in a folder, or of all parts of a GGUF model, in bytes.
fn bytes(path: &Path) -> u64 {
    let files = if path.is_dir() { entries(path) } else { folders::parts(path) };
    files.iter().map(|file| fs::metadata(file).map_or(0, |metadata| metadata.len())).sum()
}

/// The snapshot folders of all models and the GGUF models in them, sorted.
fn cached(cache: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for model in entries(cache) {
        if !model.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--")) {
            continue;
        }
        for snapshot in entries(&model.join("snapshots")) {
            paths.extend(folders::ggufs(&snapshot).into_iter().map(|model| model.path));
            if ["model.safetensors", "model.safetensors.index.json"].iter().any(|file| snapshot.join(file).exists()) {
                paths.push(snapshot);
            }
        }
    }
    paths.sort();
    paths
}

/// The entries of a folder; empty if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|list| list.filter_map(|entry| Some(entry.ok()?.path())).collect()).unwrap_or_default()
}

/// The repository name of a path in the cache: `google/gemma-2-2b-it` for
/// `…/models--google--gemma-2-2b-it/snapshots/…`. A file's path in the repository is appended.
fn repository(path: &Path) -> Option<String> {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let at = parts.iter().rposition(|part| part.starts_with("models--"))?;
    let name = parts[at].strip_prefix("models--")?.replacen("--", "/", 1);
    let file = parts.get(at + 3..).unwrap_or_default().join("/");
    Some(if file.is_empty() { name } else { format!("{name}, {file}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_as_they_are_pulled_or_as_their_files() {
        let id = |path: &str| id_of(Some(Path::new(path)));
        assert_eq!(id("/hub/models--google--gemma-2-2b-it/snapshots/abc"), "google/gemma-2-2b-it");
        assert_eq!(id("/hub/models--google--gemma-2-2b-it/snapshots/abc/a.gguf"), "google/gemma-2-2b-it:a.gguf");
        assert_eq!(id("/models/gemma-2.Q4_K_M.gguf"), "gemma-2.Q4_K_M");
        assert_eq!(id("/models/gemma-2-2b-it"), "gemma-2-2b-it");
        assert_eq!(id_of(None), "guide");
    }

    #[test]
    fn the_cache_is_listed_by_snapshot_and_file() {
        let cache = tempfile::tempdir().unwrap();
        let snapshot = cache.path().join("models--google--gemma-2-2b-it/snapshots/abc");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(cache.path().join("datasets--a--b/snapshots/abc")).unwrap();
        assert!(cached(cache.path()).is_empty());
        fs::write(snapshot.join("model.safetensors"), "").unwrap();
        fs::write(snapshot.join("small.gguf"), "").unwrap();
        let found = cached(cache.path());
        assert_eq!(found, [snapshot.clone(), snapshot.join("small.gguf")]);
        assert_eq!(repository(&found[0]).as_deref(), Some("google/gemma-2-2b-it"));
        assert_eq!(repository(&found[1]).as_deref(), Some("google/gemma-2-2b-it, small.gguf"));
        assert!(cached(&cache.path().join("nothing")).is_empty());
    }

    #[test]
    fn a_split_model_of_the_cache_is_listed_once_with_the_size_of_all_parts() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--a--b/snapshots/abc/Q4_0");
        fs::create_dir_all(&folder).unwrap();
        let first = folder.join("m-00001-of-00002.gguf");
        fs::write(&first, "one").unwrap();
        fs::write(folder.join("m-00002-of-00002.gguf"), "second").unwrap();
        fs::write(folder.join("mmproj-m.gguf"), "pictures").unwrap();
        assert_eq!(cached(cache.path()), std::slice::from_ref(&first));
        assert_eq!(bytes(&first), 9);
        assert_eq!(bytes(&folder.join("mmproj-m.gguf")), 8);
        assert_eq!(repository(&first).as_deref(), Some("a/b, Q4_0/m-00001-of-00002.gguf"));
    }
}
