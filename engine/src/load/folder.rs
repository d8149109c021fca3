//! The files of a model by name: in a folder on disk, or wherever their sources read them from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::bad;
use super::bytes::Bytes;
use super::gguf::SplitName;
use super::source::{ModelFile, Source};
use crate::error::{Error, Result};

/// The files of a model by name.
pub(super) enum Folder {
    /// A folder on disk.
    Disk(PathBuf),
    /// Files from the caller. The path stands before their names in errors.
    Given(PathBuf, BTreeMap<String, Box<dyn Source>>),
}

impl Folder {
    /// The folder's path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Disk(path) | Self::Given(path, _) => path,
        }
    }

    /// Whether there is a file of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Disk(path) => path.join(name).exists(),
            Self::Given(_, files) => files.contains_key(name),
        }
    }

    /// Takes a file out, mapped if it is on disk; nothing if there is no such file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be opened.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<ModelFile>> {
        self.take_as(name, |path| Ok(Box::new(Bytes::map(path)?)))
    }

    /// Takes a file out that must be there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it is not there or cannot be opened.
    pub(super) fn need(&mut self, name: &str) -> Result<ModelFile> {
        let path = self.path().join(name);
        self.take(name)?.ok_or_else(|| Error::Io { path, source: io::ErrorKind::NotFound.into() })
    }

    /// Reads a small file such as `config.json`; nothing if there is no such file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read, and [`Error::BadFile`] where it has more than `max` bytes.
    pub(super) async fn read_small(&mut self, name: &str, max: u64) -> Result<Option<Bytes>> {
        // Not mapped: people edit these files while programs run.
        let Some(file) = self.take_as(name, |path| Ok(Box::new(Bytes::read(path, max + 1)?)))? else {
            return Ok(None);
        };
        if file.size() > max {
            let reason = format!("it has more than {max} bytes, but such files are small");
            return Err(Error::BadFile { path: file.path, reason });
        }
        file.read(0..file.size()).await.map(Some)
    }

    fn take_as(
        &mut self,
        name: &str,
        open: impl FnOnce(&Path) -> Result<Box<dyn Source>>,
    ) -> Result<Option<ModelFile>> {
        let path = self.path().join(name);
        match self {
            Self::Disk(_) => match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                // Other errors are met again.
                _ => Ok(Some(ModelFile { source: open(&path)?, path })),
            },
            Self::Given(_, files) => Ok(files.remove(name).map(|source| ModelFile { path, source })),
        }
    }
}

/// The folder's name, also where the path ends in `.` or `..`.
pub(super) fn folder_name(path: &Path) -> String {
    let full = path.file_name().is_none().then(|| path.canonicalize().ok());
    let full = full.flatten().unwrap_or_else(|| path.to_owned());
    let name = full.file_name().unwrap_or(full.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The one GGUF model in a folder, if there is one; all parts of a split one count as one.
///
/// # Errors
///
/// [`Error::Io`] where the folder cannot be read, and [`Error::BadFile`] where it holds more than one.
pub(super) fn gguf_in(folder: &Path) -> Result<Option<PathBuf>> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut found: Option<PathBuf> = None;
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Gemma-3's image encoder comes as a separate file.
        if !name.ends_with(".gguf") || name.starts_with("mmproj") {
            continue;
        }
        let stem = |path: &Path| SplitName::of(path).map(|split| split.stem().to_owned());
        match &found {
            None => found = Some(path),
            Some(first) if stem(first).is_some() && stem(first) == stem(&path) => {}
            Some(first) => {
                let reason = format!(
                    "it holds more than one model ({} and {}); open one of the files",
                    first.file_name().unwrap_or_default().display(),
                    path.file_name().unwrap_or_default().display()
                );
                return Err(bad(folder, reason));
            }
        }
    }
    Ok(found)
}
