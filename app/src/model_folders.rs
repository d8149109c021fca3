//! Folders with models of other programs, such as Ollama and LM Studio, that a person named. The list is a value in the database of
//! chats, for the window and the terminal; the variable `LAPIDARY_MODELS` adds to it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::chats::{Reader, change_value};
use crate::data_folder::{data_folder, database};

/// The variable with folders, separated as in `PATH`.
pub const VARIABLE: &str = "LAPIDARY_MODELS";
/// The name of the value: a JSON array of paths.
const NAME: &str = "model_folders";
/// The most folders.
const MAX: usize = 64;

/// The folders that were added.
pub fn added() -> Vec<PathBuf> {
    data_folder().map(|folder| read(&folder)).unwrap_or_default()
}

/// All folders: those that were added, and those of the variable.
pub fn all() -> Vec<PathBuf> {
    let mut folders = added();
    let named = env::var_os(VARIABLE).unwrap_or_default();
    for folder in env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty()) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Adds a folder. Returns its full path.
///
/// # Errors
/// A sentence without a full stop, which says why not.
pub fn add(folder: &Path) -> Result<PathBuf, String> {
    let here = |error| format!("{}: {error}", folder.display());
    let path = dunce::canonicalize(folder).map_err(here)?;
    if !path.is_dir() {
        return Err(format!("{} is no folder; name the one that holds the models", folder.display()));
    }
    if path.to_str().is_none() {
        return Err(format!("the path of {} is not Unicode; rename the folder", folder.display()));
    }
    change(|folders| {
        if folders.contains(&path) {
            return Ok(());
        }
        if folders.len() >= MAX {
            return Err(format!("there are {MAX} folders already; remove one first"));
        }
        folders.push(path.clone());
        Ok(())
    })?;
    Ok(path)
}

/// Removes a folder from the list. Its files stay. Returns whether it was in the list.
///
/// # Errors
/// As [`add`].
pub fn remove(folder: &Path) -> Result<bool, String> {
    let full = dunce::canonicalize(folder).unwrap_or_else(|_| dunce::simplified(folder).to_owned());
    let mut was = false;
    change(|folders| {
        let before = folders.len();
        folders.retain(|known| *known != full && known != folder);
        was = folders.len() < before;
        Ok(())
    })?;
    Ok(was)
}

fn read(data: &Path) -> Vec<PathBuf> {
    let value = match Reader::open(&database(data)) {
        Ok(Some(reader)) => reader.value(NAME).ok().flatten(),
        Ok(None) => None,
        Err(error) => {
            log::debug!("cannot read the folders of models: {error}");
            None
        }
    };
    value.as_deref().map(parse).unwrap_or_default()
}

fn parse(text: &str) -> Vec<PathBuf> {
    let folders: Vec<PathBuf> = serde_json::from_str(text).unwrap_or_default();
    folders.into_iter().take(MAX).collect()
}

fn change(change: impl FnOnce(&mut Vec<PathBuf>) -> Result<(), String>) -> Result<(), String> {
    let data = data_folder().ok_or("this machine has no folder for user data, so the list cannot be kept")?;
    fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let mut outcome = Ok(());
    let changed = change_value(&database(&data), NAME, |known| {
        let mut folders = known.as_deref().map(parse).unwrap_or_default();
        outcome = change(&mut folders);
        // Without a change the value stays.
        if outcome.is_ok() { serde_json::to_string(&folders).ok() } else { known }
    });
    outcome?;
    changed.map_err(|error| format!("the list of folders cannot be kept: {error}"))
}
