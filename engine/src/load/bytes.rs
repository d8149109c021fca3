//! The bytes of a file: mapped where there is a file system, owned in the browser.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Read-only bytes behind a shared pointer: a memory-mapped file, a vector, or part of the program. Cloning is cheap.
#[derive(Clone)]
pub struct Bytes(Arc<Inner>);

enum Inner {
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
        let io = |source| Error::Io { path: path.to_owned(), source };
        // Ask before opening: opening a named pipe would wait for a writer.
        check_regular(&fs::metadata(path).map_err(io)?).map_err(io)?;
        map_file(path).map_err(io)
    }
}

/// The content of a small file such as `config.json`, or nothing where there is no such file.
///
/// # Errors
///
/// [`Error::Io`] where it cannot be read, and [`Error::BadFile`] where it is larger than `max` bytes.
pub(super) fn read_small(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    check_regular(&metadata).map_err(io)?;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io)?;
    // The size may have grown since; read no more than one byte too many.
    file.take(max + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > max {
        let reason = format!("it has more than {max} bytes, but such files are small");
        return Err(Error::BadFile { path: path.to_owned(), reason });
    }
    Ok(Some(bytes))
}

fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

#[cfg(not(target_arch = "wasm32"))]
fn map_file(path: &Path) -> io::Result<Bytes> {
    let file = fs::File::open(path)?;
    // Some systems refuse to map nothing.
    if file.metadata()?.len() == 0 {
        return Ok(Vec::new().into());
    }
    // SAFETY: the map is private to this value, read-only, and lives as long as every slice borrowed from it. What Rust
    // cannot check is that no other process writes to or truncates the file meanwhile; that is the documented duty of
    // the caller, as with every loader that maps model files. Headers are parsed into owned values once and every slice
    // is taken with the bounds of the map, so a changed file cannot lead us outside it, and weights are only ever read
    // as numbers, for which every bit pattern is valid.
    #[allow(unsafe_code)]
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Bytes(Arc::new(Inner::Mapped(map))))
}

/// There is nothing to map in the browser, and mostly nothing to read either.
#[cfg(target_arch = "wasm32")]
fn map_file(path: &Path) -> io::Result<Bytes> {
    fs::read(path).map(Bytes::from)
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Arc::new(Inner::Static(bytes)))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Inner::Owned(bytes)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Inner::Owned(bytes) => bytes,
            Inner::Static(bytes) => bytes,
            #[cfg(not(target_arch = "wasm32"))]
            Inner::Mapped(map) => map,
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}
