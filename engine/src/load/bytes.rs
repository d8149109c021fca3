//! Bytes that are shared, not copied: of a mapped file, a vector, or the program.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Read-only bytes: a range of a mapped file, of a vector, or of the program. Cloning and slicing copy nothing.
#[derive(Clone)]
pub struct Bytes {
    memory: Arc<Memory>,
    /// Within the memory.
    range: Range<usize>,
}

enum Memory {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    #[cfg(not(target_arch = "wasm32"))]
    Mapped(memmap2::Mmap),
}

impl Bytes {
    /// Maps a file. The file must not be changed while the bytes are in use.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where `path` is no regular file or cannot be opened or mapped.
    pub fn map(path: &Path) -> Result<Self> {
        check_regular(path).and_then(|()| map_file(path)).map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// Reads a file, of which it takes at most the first `most` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where `path` is no regular file or cannot be read.
    pub(super) fn read(path: &Path, most: u64) -> Result<Self> {
        let mut bytes = Vec::new();
        let file = check_regular(path).and_then(|()| fs::File::open(path));
        let read = file.and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(bytes.into())
    }

    /// A range of the bytes, or nothing if they end before it does.
    pub fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        self.get(range.clone())?;
        let start = self.range.start;
        Some(Self { memory: self.memory.clone(), range: start + range.start..start + range.end })
    }

    /// Watches the memory: how many bytes of it are still in use, 0 after the last clone and slice is dropped.
    #[cfg(test)]
    pub(super) fn watch(&self) -> impl Fn() -> usize + Send + use<> {
        let memory = Arc::downgrade(&self.memory);
        move || memory.upgrade().map_or(0, |memory| memory.all().len())
    }
}

impl Memory {
    fn all(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Static(bytes) => bytes,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Mapped(map) => map,
        }
    }
}

impl From<Memory> for Bytes {
    fn from(memory: Memory) -> Self {
        let range = 0..memory.all().len();
        Self { memory: Arc::new(memory), range }
    }
}

/// Refuses folders, pipes and devices. To be asked before opening: opening a named pipe would wait for a writer.
fn check_regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

#[cfg(not(target_arch = "wasm32"))]
fn map_file(path: &Path) -> io::Result<Bytes> {
    let file = fs::File::open(path)?;
    // Some systems refuse to map nothing.
    if file.metadata()?.len() == 0 {
        return Ok(Vec::new().into());
    }
    // SAFETY: the map is private to this value, read-only, and lives as long as every slice borrowed from it. Rust cannot
    // check that no other process writes to the file or truncates it meanwhile. That is the documented duty of the
    // caller, as with every loader that maps model files. Headers are parsed into owned values once, and every slice is
    // taken with the bounds of the map, so a changed file cannot lead outside it. Weights are only ever read as numbers,
    // for which every bit pattern is valid.
    #[allow(unsafe_code)]
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Memory::Mapped(map).into())
}

/// Browsers map nothing, and have hardly any files to read.
#[cfg(target_arch = "wasm32")]
fn map_file(path: &Path) -> io::Result<Bytes> {
    fs::read(path).map(Bytes::from)
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Memory::Static(bytes).into()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Memory::Owned(bytes).into()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory.all()[self.range.clone()]
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}
