//! The cache that Hugging Face's programs share: contents in `blobs` by their hash, and `snapshots` of commits whose files
//! point to them.
//!
//! ```text
//! models--org--name/blobs/<hash>
//! models--org--name/blobs/<hash>.incomplete
//! models--org--name/refs/main                        the commit of a branch
//! models--org--name/snapshots/<commit>/<file>        a link to the blob
//! .locks/models--org--name/<hash>.lock               held while a blob is written
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{HubError, Result};
use super::name::{RepoId, is_commit, is_file_path, is_revision};
use super::repo::Hash;
use super::stop::Stop;
use crate::whole_file::{new_file, replace};

/// How often a lock is tried that another program holds.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// The cache in a folder.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// A lock on a blob. Dropping it lets others go on.
pub(super) struct BlobLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Cache {
    /// The cache in this folder, which may not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The repositories in it, sorted by name.
    pub fn repos(&self) -> Vec<RepoId> {
        let folders = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut repos: Vec<RepoId> =
            folders.filter_map(|folder| RepoId::of_folder(folder.file_name().to_str()?)).collect();
        repos.sort_by_key(RepoId::to_string);
        repos
    }

    /// The commit that a revision meant when it was last downloaded.
    pub fn commit(&self, repo: &RepoId, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        if !is_revision(revision) {
            return None;
        }
        let commit = fs::read_to_string(self.repo(repo).join("refs").join(revision)).ok()?;
        let commit = commit.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// The folder of a commit.
    pub fn snapshot(&self, repo: &RepoId, commit: &str) -> PathBuf {
        self.repo(repo).join("snapshots").join(commit)
    }

    /// A complete file of a commit.
    pub fn file(&self, repo: &RepoId, commit: &str, file: &str) -> Option<PathBuf> {
        if !is_commit(commit) || !is_file_path(file) {
            return None;
        }
        let path = self.snapshot(repo, commit).join(file);
        // Follows the link, so a blob that was deleted counts as missing.
        path.is_file().then_some(path)
    }

    /// The complete files of a commit, as paths in the repository, sorted.
    pub fn files(&self, repo: &RepoId, commit: &str) -> Vec<String> {
        let snapshot = self.snapshot(repo, commit);
        let mut files = Vec::new();
        let mut folders = vec![(snapshot, String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else { continue };
                match fs::metadata(entry.path()) {
                    Ok(metadata) if metadata.is_file() => files.push(name),
                    // No repository nests deeper; a link to a folder above could go on for ever.
                    Ok(metadata) if metadata.is_dir() && depth < 8 => {
                        folders.push((entry.path(), format!("{name}/"), depth + 1));
                    }
                    _ => {}
                }
            }
        }
        files.sort();
        files
    }

    /// Where a blob is.
    pub(super) fn blob(&self, repo: &RepoId, hash: &Hash) -> PathBuf {
        self.repo(repo).join("blobs").join(hash.digits())
    }

    /// Whether a part of a file of the repository is here.
    pub(super) fn has_parts(&self, repo: &RepoId) -> bool {
        let entries = fs::read_dir(self.repo(repo).join("blobs")).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.path().extension().is_some_and(|end| end == "incomplete"))
    }

    /// Where a blob is while it comes. Python's library uses the same name, and goes on where this program stopped.
    pub(super) fn incomplete(&self, repo: &RepoId, hash: &Hash) -> PathBuf {
        self.repo(repo).join("blobs").join(format!("{}.incomplete", hash.digits()))
    }

    /// Locks a blob, waiting while another program holds the lock; `on_wait` is called once if so.
    ///
    /// # Errors
    /// [`HubError::Io`] where the lock cannot be made, and [`HubError::Cancelled`].
    pub(super) fn lock(&self, repo: &RepoId, hash: &Hash, stop: &Stop, on_wait: impl FnOnce()) -> Result<BlobLock> {
        let path = self.root.join(".locks").join(repo.folder()).join(format!("{}.lock", hash.digits()));
        let io = |error| HubError::io(&path, error);
        make_parent(&path)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let mut on_wait = Some(on_wait);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(BlobLock(file)),
                Err(TryLockError::WouldBlock) => {
                    if let Some(on_wait) = on_wait.take() {
                        on_wait();
                    }
                    stop.sleep(LOCK_INTERVAL)?;
                }
                // Some network drives have no locks. The check of the blob's hash still holds.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    log::warn!("{}: no locks here ({error}); do not run two downloads at once", path.display());
                    return Ok(BlobLock(file));
                }
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
        }
    }

    /// Makes a snapshot's file point to a blob that is complete.
    ///
    /// # Errors
    /// [`HubError::Io`].
    pub(super) fn link(&self, repo: &RepoId, commit: &str, file: &str, hash: &Hash) -> Result<PathBuf> {
        let path = self.snapshot(repo, commit).join(file);
        make_parent(&path)?;
        let depth = file.split('/').count();
        let mut target: PathBuf = std::iter::repeat_n("..", depth + 1).collect();
        target.push("blobs");
        target.push(hash.digits());
        if fs::read_link(&path).is_ok_and(|old| old == target) {
            return Ok(path);
        }
        let blob = self.blob(repo, hash);
        // A copy, where there are no links. The files of a commit never change, so its size tells that it is the blob.
        let size = |metadata: fs::Metadata| metadata.is_file().then_some(metadata.len());
        let copy = fs::symlink_metadata(&path).ok().and_then(size);
        if copy.is_some() && copy == fs::metadata(&blob).ok().and_then(size) {
            return Ok(path);
        }
        link_or_copy(&target, &blob, &path).map_err(|error| HubError::io(&path, error))?;
        Ok(path)
    }

    /// Remembers the commit of a branch or tag.
    ///
    /// # Errors
    /// [`HubError::Io`].
    pub(super) fn set_commit(&self, repo: &RepoId, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit(repo, revision).as_deref() == Some(commit) {
            return Ok(());
        }
        write_whole(&self.repo(repo).join("refs").join(revision), commit.as_bytes())
    }

    fn repo(&self, repo: &RepoId) -> PathBuf {
        self.root.join(repo.folder())
    }
}

/// Writes a small file as a whole, or not at all.
///
/// # Errors
/// [`HubError::Io`].
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    make_parent(path)?;
    let io = |error| HubError::io(path, error);
    let mut part = new_file(path.parent().unwrap_or(Path::new("."))).map_err(io)?;
    part.write_all(content).map_err(io)?;
    replace(part, path).map_err(io)
}

/// Makes the folder of a file.
///
/// # Errors
/// [`HubError::Io`].
pub(super) fn make_parent(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|error| HubError::io(folder, error))
}

/// A relative link, as the standard asks; where the system permits none, a second name of the blob, or else a copy.
fn link_or_copy(target: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    // A link is made beside and renamed, so that there is never no file.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    symlink(target, &beside)
        // Wine says that it made a link and makes none.
        .and_then(|()| fs::symlink_metadata(&beside).map(|_| ()))
        .or_else(|_| fs::hard_link(blob, &beside))
        .or_else(|_| fs::copy(blob, &beside).map(|_| ()))?;
    fs::rename(&beside, path).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn a_linked_file_is_found_by_its_branch() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let repo: RepoId = "a/b".parse().unwrap();
        let hash = Hash::GitSha1(COMMIT.to_owned());
        let blob = cache.blob(&repo, &hash);
        write_whole(&blob, b"content").unwrap();
        let path = cache.link(&repo, COMMIT, "folder/file.txt", &hash).unwrap();
        cache.link(&repo, COMMIT, "folder/file.txt", &hash).unwrap();
        // A copy of the blob stays, and one that is not whole is replaced.
        let copy = cache.snapshot(&repo, COMMIT).join("copy.txt");
        for (text, is_kept) in [("CONTENT", true), ("con", false)] {
            fs::write(&copy, text).unwrap();
            cache.link(&repo, COMMIT, "copy.txt", &hash).unwrap();
            assert_eq!(fs::read_to_string(&copy).unwrap() == text, is_kept);
        }
        fs::remove_file(copy).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(cache.commit(&repo, "main"), None);
        cache.set_commit(&repo, "main", COMMIT).unwrap();
        assert_eq!(cache.commit(&repo, "main").as_deref(), Some(COMMIT));
        assert_eq!(cache.file(&repo, COMMIT, "folder/file.txt").as_ref(), Some(&path));
        assert_eq!(cache.files(&repo, COMMIT), ["folder/file.txt"]);
        assert_eq!(cache.repos(), std::slice::from_ref(&repo));
        // A link whose blob is gone is no file. Where there are no links, the copy stays.
        let is_link = fs::symlink_metadata(&path).unwrap().is_symlink();
        fs::remove_file(blob).unwrap();
        assert_eq!(cache.file(&repo, COMMIT, "folder/file.txt").is_none(), is_link);
        assert_eq!(cache.commit(&repo, "../../x"), None);
    }

    #[test]
    fn a_lock_waits_for_the_other_and_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let (repo, hash) = ("a/b".parse().unwrap(), Hash::GitSha1(COMMIT.to_owned()));
        let stop = Stop::default();
        let held = cache.lock(&repo, &hash, &stop, || panic!("it is free")).unwrap();
        let mut waited = false;
        let other = stop.clone();
        let result = cache.lock(&repo, &hash, &stop, || {
            waited = true;
            other.stop();
        });
        assert!(waited && matches!(result, Err(HubError::Cancelled)));
        drop(held);
        cache.lock(&repo, &hash, &Stop::default(), || panic!("it is free")).unwrap();
    }
}
