//! Files that are written beside their place and take it when they are complete.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

/// How often, and how long apart, a file is put in its place on Windows.
const MOST_ATTEMPTS: usize = 100;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(10);

/// A new file beside others, which becomes one of them when it is complete. Temporary files are private by default, but the
/// cache may be shared by the users of a machine, so this one gets the permissions of any new file.
///
/// # Errors
/// That of the system.
pub(crate) fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system takes away what the user's mask forbids.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Puts a complete file in its place, and so replaces the one that is there. Windows refuses that while somebody reads the old one, so
/// there it is tried for a second.
///
/// # Errors
/// That of the system.
pub(crate) fn replace(mut file: NamedTempFile, place: &Path) -> io::Result<()> {
    let mut attempts = 1;
    while let Err(failed) = file.persist(place) {
        let is_read = cfg!(windows) && failed.error.kind() == io::ErrorKind::PermissionDenied;
        if !is_read || attempts == MOST_ATTEMPTS {
            return Err(failed.error);
        }
        attempts += 1;
        file = failed.file;
        thread::sleep(ATTEMPT_INTERVAL);
    }
    Ok(())
}
