//! That a user accepted the terms, and the notice beside the files of a model.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::write_whole;
use super::error::Result;
use super::terms::{NOTICE, NOTICE_FILE, TERMS};

/// Whether this user accepted the terms. `data` is the program's data folder.
pub fn are_accepted(data: &Path) -> bool {
    fs::read_to_string(record(data)).is_ok_and(|text| text.trim() == TERMS)
}

/// Remembers that this user accepts the terms.
///
/// # Errors
/// [`HubError::Io`](crate::hub::HubError::Io) where that cannot be written.
pub fn accept(data: &Path) -> Result<()> {
    write_whole(&record(data), format!("{TERMS}\n").as_bytes())
}

/// Writes the notice into the folder of a model.
///
/// # Errors
/// [`HubError::Io`](crate::hub::HubError::Io).
pub(super) fn keep_notice(folder: &Path) -> Result<()> {
    let path = folder.join(NOTICE_FILE);
    if fs::read_to_string(&path).is_ok_and(|text| text == NOTICE) {
        Ok(())
    } else {
        write_whole(&path, NOTICE.as_bytes())
    }
}

fn record(data: &Path) -> PathBuf {
    data.join("accepted-terms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_accepted_once() {
        let data = tempfile::tempdir().unwrap();
        assert!(!are_accepted(data.path()));
        accept(data.path()).unwrap();
        assert!(are_accepted(data.path()));
        fs::write(record(data.path()), "https://example.com/other-terms").unwrap();
        assert!(!are_accepted(data.path()), "other terms are accepted anew");
    }
}
