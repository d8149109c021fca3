//! Remembers the last model used.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The path of the last model used; `None` for the guide or at the first start.
pub fn last_model() -> Option<PathBuf> {
    read(&file()?)
}

/// Remembers a model that was loaded. A failure is only logged.
pub fn remember(model: &Path) {
    let Some(file) = file() else { return };
    if let Err(error) = write(&file, model) {
        log::debug!("cannot remember the model: {error}");
    }
}

/// Forgets the last model, so that the guide becomes the default.
pub fn forget() {
    let removed = file().map(fs::remove_file);
    if let Some(Err(error)) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        log::debug!("cannot forget the model: {error}");
    }
}

fn file() -> Option<PathBuf> {
    Some(data_folder()?.join("last-model"))
}

/// Lapidary's data folder.
pub fn data_folder() -> Option<PathBuf> {
    Some(system_data_folder()?.join("lapidary"))
}

/// The system's folder for user data. The crates that find it depend on code under the MPL.
fn system_data_folder() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // Customary only on Linux, but honoured everywhere if it is set.
    folder("XDG_DATA_HOME").or_else(|| match env::consts::OS {
        "windows" => folder("LOCALAPPDATA"),
        "macos" => Some(env::home_dir()?.join("Library/Application Support")),
        _ => Some(env::home_dir()?.join(".local/share")),
    })
}

fn read(file: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(file).ok()?;
    let path = text.strip_suffix('\n').unwrap_or(&text);
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn write(file: &Path, model: &Path) -> io::Result<()> {
    let model = fs::canonicalize(model)?;
    let Some(text) = model.to_str() else {
        return Err(io::Error::other("its path is not Unicode"));
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // Written to a temporary file and renamed, so that it is atomic even with two writers.
    let mut part = OsString::from(file);
    part.push(format!(".{}", std::process::id()));
    let written = fs::write(&part, format!("{text}\n")).and_then(|()| fs::rename(&part, file));
    if written.is_err() {
        // The temporary file may not exist, so an error here is ignored.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_path_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data").join("last-model");
        assert_eq!(read(&file), None);
        for name in ["a model.gguf", "another"] {
            let model = folder.path().join(name);
            fs::write(&model, "").unwrap();
            write(&file, &model).unwrap();
            assert_eq!(read(&file), Some(fs::canonicalize(&model).unwrap()));
        }
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn a_missing_model_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("last-model");
        assert!(write(&file, &folder.path().join("nothing")).is_err());
        assert_eq!(read(&file), None);
        fs::write(&file, "\n").unwrap();
        assert_eq!(read(&file), None);
    }
}
