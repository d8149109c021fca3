//! The model that was used last, for the next time.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Its path, if a model was used before.
pub(crate) fn last_model() -> Option<PathBuf> {
    read(&place()?)
}

/// Remembers a model that was loaded. Failing to is no reason to bother anybody.
pub(crate) fn remember(model: &Path) {
    let Some(place) = place() else { return };
    if let Err(error) = write(&place, model) {
        log::debug!("cannot remember the model: {error}");
    }
}

fn place() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("lapidary").join("last-model"))
}

fn read(place: &Path) -> Option<PathBuf> {
    let text = fs::read(place).ok()?;
    let text = String::from_utf8(text).ok()?;
    let path = text.trim_end_matches('\n');
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn write(place: &Path, model: &Path) -> std::io::Result<()> {
    let model = fs::canonicalize(model)?;
    let Some(text) = model.to_str() else {
        return Err(std::io::Error::other("its path is not Unicode"));
    };
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    // Whole or not at all, also when two programs do it at once.
    let mut name = OsString::from(place);
    name.push(format!(".{}", std::process::id()));
    fs::write(&name, format!("{text}\n"))?;
    fs::rename(&name, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = std::env::temp_dir().join(format!("lapidary-last-model-{}", std::process::id()));
        let place = folder.join("data").join("last-model");
        assert_eq!(read(&place), None);
        fs::create_dir_all(&folder).unwrap();
        let model = folder.join("a model.gguf");
        fs::write(&model, "").unwrap();
        write(&place, &model).unwrap();
        assert_eq!(read(&place), Some(fs::canonicalize(&model).unwrap()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
