//! Remembers the models that were used. The list is a value in the database of chats, for the window and the terminal.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::chats::{Reader, change_value};
use crate::data_folder::{data_folder, database};
use crate::settings::put_first;

/// The name of the value: a JSON array of paths, the latest first, where the guide is `null`.
const NAME: &str = "recent_models";
/// The most models that are remembered.
const MAX: usize = 24;

/// The models that were used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentModels {
    /// The latest first; `None` is the guide.
    entries: Vec<Option<PathBuf>>,
}

impl RecentModels {
    /// The last model used; `None` for the guide or at the first start.
    pub fn last(&self) -> Option<&Path> {
        self.entries.first()?.as_deref()
    }

    /// The paths of all models used, the latest first, without the guide.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().filter_map(Option::as_deref)
    }

    fn put_first(&mut self, model: Option<PathBuf>) {
        put_first(&mut self.entries, model, MAX);
    }

    fn from_json(text: &str) -> Self {
        Self { entries: serde_json::from_str(text).unwrap_or_default() }
    }

    fn to_json(&self) -> Option<String> {
        serde_json::to_string(&self.entries).ok()
    }
}

/// The path of the last model used; `None` for the guide or at the first start.
pub fn last() -> Option<PathBuf> {
    all().last().map(Path::to_owned)
}

/// The models that were used. A failure to read them is only logged.
pub fn all() -> RecentModels {
    data_folder().map(|folder| read(&folder)).unwrap_or_default()
}

/// The absolute path of a model. The link that a file may be is not followed: in the cache of the hub only the link has the name, which
/// tells what the file is and where the other parts of a split model are.
///
/// # Errors
/// That of the system where there is no such file or folder.
pub fn absolute(model: &Path) -> io::Result<PathBuf> {
    let is_folder = fs::metadata(model)?.is_dir();
    match (model.parent(), model.file_name()) {
        (Some(folder), Some(name)) if !is_folder => {
            // The folder of a mere name is empty.
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            Ok(dunce::canonicalize(folder)?.join(name))
        }
        _ => dunce::canonicalize(model),
    }
}

/// Remembers a model that was loaded as the last one, which makes it the default; `None` is the guide. A failure is only logged.
pub fn remember(model: Option<&Path>) {
    let Some(folder) = data_folder() else { return };
    let path = |model: &Path| match absolute(model)? {
        path if path.to_str().is_none() => Err(io::Error::other("its path is not Unicode")),
        path => Ok(path),
    };
    match model.map(path).transpose() {
        Ok(model) => put(&folder, model),
        Err(error) => log::debug!("cannot remember the model: {error}"),
    }
}

fn read(folder: &Path) -> RecentModels {
    let value = match Reader::open(&database(folder)) {
        Ok(Some(reader)) => reader.value(NAME).ok().flatten(),
        Ok(None) => None,
        Err(error) => {
            log::debug!("cannot read the models used: {error}");
            None
        }
    };
    value.as_deref().map(RecentModels::from_json).unwrap_or_default()
}

fn put(folder: &Path, model: Option<PathBuf>) {
    // At the first start the guide is the default without being remembered.
    if read(folder).last() == model.as_deref() {
        return;
    }
    let changed = change_value(&database(folder), NAME, |known| {
        let mut models = known.as_deref().map(RecentModels::from_json).unwrap_or_default();
        models.put_first(model);
        models.to_json()
    });
    if let Err(error) = changed {
        log::debug!("cannot remember the model: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, "").unwrap();
        dunce::canonicalize(path).unwrap()
    }

    #[test]
    fn models_are_remembered_once_each_and_the_guide_can_be_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert_eq!(read(&data), RecentModels::default());
        put(&data, None);
        assert!(!data.exists(), "the guide is the default anyway");
        let (a, b) = (file(folder.path(), "a model.gguf"), file(folder.path(), "b.gguf"));
        for model in [Some(&a), Some(&b), Some(&a), None] {
            put(&data, model.cloned());
            assert_eq!(read(&data).last(), model.map(PathBuf::as_path));
        }
        assert_eq!(read(&data).paths().collect::<Vec<_>>(), [a.as_path(), b.as_path()]);
        put(&data, Some(b.clone()));
        assert_eq!(read(&data).paths().collect::<Vec<_>>(), [b.as_path(), a.as_path()]);
    }

    #[test]
    fn only_so_many_models_are_remembered() {
        let mut models = RecentModels::default();
        (0..100).for_each(|number| models.put_first(Some(PathBuf::from(format!("/{number}.gguf")))));
        assert_eq!(models.entries.len(), MAX);
        assert_eq!(models.last(), Some(Path::new("/99.gguf")));
        assert_eq!(RecentModels::from_json(&models.to_json().unwrap()), models);
        assert_eq!(RecentModels::from_json("nonsense"), RecentModels::default());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_the_cache_keeps_its_name_and_links_to_folders_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = folder.path().join("snapshots/abc");
        fs::create_dir_all(&snapshot).unwrap();
        let blob = file(folder.path(), "0123456789");
        let part = "gemma-00001-of-00002.gguf";
        std::os::unix::fs::symlink(&blob, snapshot.join(part)).unwrap();
        std::os::unix::fs::symlink(&snapshot, folder.path().join("link")).unwrap();
        let full = dunce::canonicalize(&snapshot).unwrap();
        assert_eq!(absolute(&snapshot.join(part)).unwrap(), full.join(part));
        assert_eq!(absolute(&folder.path().join("link").join(part)).unwrap(), full.join(part));
        assert_eq!(absolute(&folder.path().join("link")).unwrap(), full);
        assert_eq!(absolute(&snapshot.join("..")).unwrap(), full.parent().unwrap());
        assert!(absolute(&snapshot.join("gone.gguf")).is_err());
        // Tests run in the folder of the package.
        assert_eq!(absolute(Path::new("Cargo.toml")).unwrap(), dunce::canonicalize("Cargo.toml").unwrap());
    }
}
