//! Remembers the models that were used. The list is a value in the database of chats, for the window and the terminal.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

use crate::chats::{Reader, change_value};
pub use crate::data_folder::data_folder;
use crate::data_folder::database;
use crate::settings::put_first;

/// The name of the value: a JSON array of paths, the latest first, where the guide is `null`.
const NAME: &str = "recent_models";
/// The most models that are remembered.
const MAX: usize = 24;
/// The file that held the last model's path in earlier versions.
const OLD_FILE: &str = "last-model";

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
        let entries: Vec<Option<PathBuf>> = serde_json::from_str(text).unwrap_or_default();
        Self::of_stored(entries)
    }

    /// Takes over what was stored. Earlier versions stored paths that begin with `\\?\` on Windows.
    fn of_stored(entries: impl IntoIterator<Item = Option<PathBuf>>) -> Self {
        let mut models = Self::default();
        for entry in entries.into_iter().take(MAX) {
            let entry = entry.map(|path| dunce::simplified(&path).to_owned());
            if !models.entries.contains(&entry) {
                models.entries.push(entry);
            }
        }
        models
    }

    fn to_json(&self) -> Option<String> {
        serde_json::to_string(&self.entries).ok()
    }
}

/// The path of the last model used; `None` for the guide or at the first start.
pub fn last_model() -> Option<PathBuf> {
    recent_models().last().map(Path::to_owned)
}

/// The models that were used. A failure to read them is only logged.
pub fn recent_models() -> RecentModels {
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

/// Remembers a model that was loaded as the last one. A failure is only logged.
pub fn remember(model: &Path) {
    let model = absolute(model).and_then(|path| match path.to_str() {
        Some(_) => Ok(path),
        None => Err(io::Error::other("its path is not Unicode")),
    });
    match (model, data_folder()) {
        (Ok(model), Some(folder)) => put(&folder, Some(model)),
        (Err(error), _) => log::debug!("cannot remember the model: {error}"),
        (_, None) => {}
    }
}

/// Remembers the guide as the last model, which makes it the default.
pub fn forget() {
    if let Some(folder) = data_folder() {
        put(&folder, None);
    }
}

fn read(folder: &Path) -> RecentModels {
    match Reader::open(&database(folder)) {
        Ok(Some(reader)) => match reader.value(NAME) {
            Ok(Some(text)) => RecentModels::from_json(&text),
            _ => of_earlier_versions(folder, reader.value("settings").ok().flatten().as_deref()),
        },
        Ok(None) => of_earlier_versions(folder, None),
        Err(error) => {
            log::debug!("cannot read the models used: {error}");
            RecentModels::default()
        }
    }
}

fn put(folder: &Path, model: Option<PathBuf>) {
    let recent = read(folder);
    if recent.entries.first() == Some(&model) && !folder.join(OLD_FILE).exists() {
        return;
    }
    // At the first start the guide is the default without being remembered.
    if model.is_none() && recent.entries.is_empty() && !folder.join(OLD_FILE).exists() {
        return;
    }
    let changed = change_value(&database(folder), NAME, |known| {
        let mut models = known.as_deref().map_or(recent, RecentModels::from_json);
        models.put_first(model);
        models.to_json()
    });
    match changed {
        // It was read above, and is of no more use.
        Ok(()) => drop(fs::remove_file(folder.join(OLD_FILE))),
        Err(error) => log::debug!("cannot remember the model: {error}"),
    }
}

/// Earlier versions kept the last model in a file, and the models used in the settings of the window.
fn of_earlier_versions(folder: &Path, settings: Option<&str>) -> RecentModels {
    let last = fs::read_to_string(folder.join(OLD_FILE)).ok();
    let last = last.map(|text| text.trim_end_matches('\n').to_owned()).filter(|path| !path.is_empty());
    let settings = settings.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let used = settings.as_ref().and_then(|settings| settings["models"].as_array());
    let used = used.into_iter().flatten().filter_map(Value::as_str).map(|path| Some(PathBuf::from(path)));
    let mut models = RecentModels::of_stored(used);
    // Without the file, the last model was the guide.
    if last.is_some() || !models.entries.is_empty() {
        models.put_first(last.map(|path| dunce::simplified(Path::new(&path)).to_owned()));
    }
    models
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

    #[cfg(windows)]
    #[test]
    fn paths_of_earlier_versions_are_simplified() {
        let models = RecentModels::from_json(r#"["\\\\?\\C:\\a.gguf", "C:\\a.gguf"]"#);
        assert_eq!(models.paths().collect::<Vec<_>>(), [Path::new(r"C:\a.gguf")]);
    }

    #[test]
    fn what_earlier_versions_remembered_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(OLD_FILE), "/old.gguf\n").unwrap();
        assert_eq!(read(folder.path()).last(), Some(Path::new("/old.gguf")));
        let settings = r#"{"models": ["/x.gguf", "/old.gguf"]}"#;
        change_value(&database(folder.path()), "settings", |_| Some(settings.into())).unwrap();
        let expected = ["/old.gguf", "/x.gguf"].map(Path::new);
        assert_eq!(read(folder.path()).paths().collect::<Vec<_>>(), expected);
        put(folder.path(), None);
        assert!(!folder.path().join(OLD_FILE).exists());
        assert_eq!(read(folder.path()).last(), None);
        assert_eq!(read(folder.path()).paths().collect::<Vec<_>>(), expected);
    }
}
