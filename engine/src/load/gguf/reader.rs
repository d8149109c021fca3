//! Little-endian numbers and strings from the start of a file, which may end anywhere.

use std::path::Path;

use super::bad;
use crate::error::{Error, Result};

/// Bytes that the tables of a file may take. The largest vocabularies take some 10 MB. Values may take eight times as
/// much memory as they take in the file.
pub(super) const MAX_TABLES: u64 = 128 << 20;

/// Reads forward through a window of the file's first bytes. Every step is checked against the file's size, and then
/// against the window.
pub(super) struct Reader<'a> {
    window: &'a [u8],
    file_size: u64,
    at: u64,
    wanted: Option<u64>,
    pub(super) path: &'a Path,
}

impl<'a> Reader<'a> {
    pub(super) fn new(window: &'a [u8], file_size: u64, path: &'a Path) -> Self {
        Self { window, file_size, at: 0, wanted: None, path }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes that the window must have for the read that failed last, if the file has them and the window has not.
    pub(super) fn wanted(&self) -> Option<u64> {
        self.wanted
    }

    /// The next `len` bytes. `what` says in an error what they would have been.
    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.file_size);
        let Some(end) = end else {
            let (at, left) = (self.at, self.file_size - self.at);
            return Err(self.bad(format!(
                "{what} at byte {at} needs {len} bytes, but only {left} are left; the file is damaged or truncated, so download it again"
            )));
        };
        if end > MAX_TABLES {
            let max = MAX_TABLES >> 20;
            return Err(self.bad(format!("its metadata takes more than {max} MiB, which no model needs")));
        }
        // Below MAX_TABLES, so both are small.
        let Some(taken) = self.window.get(self.at as usize..end as usize) else {
            self.wanted = Some(end);
            return Err(self.bad(format!("{what} ends at byte {end}, beyond the bytes that were read")));
        };
        self.at = end;
        Ok(taken)
    }

    fn bad(&self, reason: String) -> Error {
        bad(self.path, reason)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `min_bytes` each. A count that the rest of the tables cannot hold is refused,
    /// so no count makes a long loop or a large allocation.
    pub(super) fn count(&mut self, max: u64, min_bytes: usize, what: &str) -> Result<usize> {
        let count = self.u64(what)?;
        let left = self.file_size.min(MAX_TABLES) - self.at;
        let max = max.min(left / min_bytes as u64);
        if count > max {
            return Err(self.bad(format!("{what} is {count}, but at most {max} can follow")));
        }
        // At most MAX_TABLES.
        Ok(count as usize)
    }

    /// A string: its length in bytes, at most `max`, and its UTF-8.
    pub(super) fn string(&mut self, max: u64, what: &str) -> Result<&'a str> {
        let len = self.u64(what)?;
        if len > max {
            return Err(self.bad(format!("{what} claims {len} bytes, but at most {max} make sense")));
        }
        let at = self.at;
        let bytes = self.take(len, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad(format!("{what} at byte {at} is not UTF-8")))
    }
}
