//! Little-endian numbers and strings from bytes that may end anywhere.

use std::path::Path;

use super::bad;
use crate::error::Result;

/// Reads forward; every step is checked against what is left.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    pub(super) path: &'a Path,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], path: &'a Path) -> Self {
        Self { bytes, at: 0, path }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes. `what` says in an error what they would have been.
    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8]> {
        let (at, remaining) = (self.at, self.remaining());
        let taken = usize::try_from(len).ok().and_then(|len| {
            let end = at.checked_add(len)?;
            self.bytes.get(at..end)
        });
        let Some(taken) = taken else {
            return Err(bad(
                self.path,
                format!(
                    "{what} at byte {at} needs {len} bytes, but only {remaining} are left; the file is damaged or truncated, so download it again"
                ),
            ));
        };
        self.at += taken.len();
        Ok(taken)
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

    /// A count of things that take at least `min_bytes` each, so that a lying count cannot make us allocate or loop.
    pub(super) fn count(&mut self, max: u64, min_bytes: usize, what: &str) -> Result<usize> {
        let count = self.u64(what)?;
        let fits = (self.remaining() / min_bytes) as u64;
        if count > max || count > fits {
            return Err(bad(self.path, format!("{what} is {count}, but at most {} can follow", max.min(fits))));
        }
        // At most `remaining`, which is a usize.
        Ok(count as usize)
    }

    /// A string with its length in front.
    pub(super) fn string(&mut self, max: u64, what: &str) -> Result<&'a str> {
        let len = self.u64(what)?;
        if len > max {
            return Err(bad(self.path, format!("{what} claims {len} bytes, but at most {max} make sense")));
        }
        let at = self.at;
        let bytes = self.take(len, what)?;
        std::str::from_utf8(bytes).map_err(|_| bad(self.path, format!("{what} at byte {at} is not UTF-8")))
    }
}
