//! One file from the hub into the cache: resumed, checked, and only then visible.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::{StatusCode, header};
use url::Url;

use super::cache::{Cache, make_parent};
use super::client::{Client, Response, header_text};
use super::content_range::{content_range, number};
use super::error::{HubError, Result};
use super::hash::Hasher;
use super::name::{Reference, RepoId, is_hex};
use super::ranges::LARGE;
use super::repo::{Hash, RemoteFile};
use super::stop::Stop;

/// Bytes that are received at a time.
pub(super) const PIECE: usize = 256 << 10;
/// Times that a file is begun again from its first byte because what came was wrong.
const MAX_RESTARTS: u32 = 2;

/// A file to download.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) cache: &'a Cache,
    /// The repository; its revision names it in errors.
    pub(super) reference: &'a Reference,
    /// The commit that the file is of.
    pub(super) commit: &'a str,
    pub(super) file: &'a RemoteFile,
}

/// What happens to a file.
pub(super) enum Step<'a> {
    /// Another program downloads it.
    Waiting,
    /// The part that was downloaded before is read again.
    Checking,
    /// So many of its bytes are here.
    Have(u64),
    /// An attempt failed; another follows.
    Retrying(&'a HubError),
}

/// The part of a file that is here.
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) have: u64,
    pub(super) hasher: Hasher,
}

impl Download<'_> {
    /// Downloads the file unless it is there, and makes the snapshot point to it.
    ///
    /// # Errors
    /// Those of the network and of access, [`HubError::Checksum`], [`HubError::DiskFull`], [`HubError::Io`], and
    /// [`HubError::Cancelled`], after which the part that came is kept.
    pub(super) fn run(&self, report: &mut dyn FnMut(Step<'_>)) -> Result<PathBuf> {
        let (repo, hash) = (&self.reference.repo, &self.file.hash);
        let blob = self.cache.blob(repo, hash);
        if !self.is_complete(&blob) {
            let _lock = self.cache.lock(repo, hash, self.client.stop(), || report(Step::Waiting))?;
            // Another program may have downloaded it meanwhile.
            if !self.is_complete(&blob) {
                self.fetch(&blob, report)?;
            }
        }
        report(Step::Have(self.file.size));
        self.cache.link(repo, self.commit, &self.file.path, hash)
    }

    /// Bytes of the file that need not be downloaded any more.
    pub(super) fn present(cache: &Cache, reference: &Reference, file: &RemoteFile) -> u64 {
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let whole = size(cache.blob(&reference.repo, &file.hash));
        let part = size(cache.incomplete(&reference.repo, &file.hash));
        if whole == file.size { whole } else { part.min(file.size) }
    }

    /// Deletes what came of the file, unless another program is downloading it. A part that cannot be deleted stays.
    pub(super) fn delete_part(cache: &Cache, reference: &Reference, file: &RemoteFile) {
        let part = cache.incomplete(&reference.repo, &file.hash);
        if !part.exists() {
            return;
        }
        // A lock that another program holds makes this wait, which the stop ends at once.
        let stop = Stop::default();
        if let Ok(_lock) = cache.lock(&reference.repo, &file.hash, &stop.clone(), || stop.stop()) {
            let _ = fs::remove_file(part);
        }
    }

    fn is_complete(&self, blob: &Path) -> bool {
        fs::metadata(blob).is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.file.size)
    }

    fn fetch(&self, blob: &Path, report: &mut dyn FnMut(Step<'_>)) -> Result<()> {
        let mut partial = self.open_partial(report)?;
        let mut restarts = 0;
        loop {
            self.receive_all(&mut partial, &mut restarts, report)?;
            let Partial { file, path, hasher, .. } = partial;
            let actual = hasher.finish();
            let expected = self.file.hash.digits();
            if actual == expected {
                // What is named like a complete file is complete, also after the power failed.
                file.sync_all().map_err(|error| self.io(&path, error))?;
                drop(file);
                return fs::rename(&path, blob).map_err(|error| self.io(blob, error));
            }
            restarts += 1;
            if restarts > MAX_RESTARTS {
                let _ = fs::remove_file(&path);
                return Err(HubError::Checksum { file: self.file.path.clone(), actual, expected: expected.to_owned() });
            }
            log::warn!("{} has the wrong checksum; it is downloaded again", self.file.path);
            partial = Partial { file, path, have: 0, hasher: self.hasher() };
            self.restart(&mut partial)?;
        }
    }

    /// Opens the part that came before, and hashes it.
    fn open_partial(&self, report: &mut dyn FnMut(Step<'_>)) -> Result<Partial> {
        let path = self.cache.incomplete(&self.reference.repo, &self.file.hash);
        make_parent(&path)?;
        let io = |error| HubError::io(&path, error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut partial = Partial { file, path: path.clone(), have: 0, hasher: self.hasher() };
        if len > self.file.size {
            self.restart(&mut partial)?;
        } else if len > 0 {
            report(Step::Checking);
            let stop = self.client.stop();
            let hashed = partial.hasher.update_from(&mut partial.file, |read| {
                partial.have += read;
                !stop.is_stopped()
            });
            hashed.map_err(io)?;
            stop.check()?;
        }
        report(Step::Have(partial.have));
        Ok(partial)
    }

    /// Receives until the file is as long as it must be.
    fn receive_all(&self, partial: &mut Partial, restarts: &mut u32, report: &mut dyn FnMut(Step<'_>)) -> Result<()> {
        let mut failures = 0;
        // What counts is the most that was ever here: a server without ranges begins again each time.
        let mut most = partial.have;
        let mut has_ranges = self.client.settings().connections > 1;
        while partial.have < self.file.size {
            let before = partial.have;
            let received = if has_ranges && self.file.size - partial.have >= LARGE {
                self.receive_ranges(partial, report).map(|has| has_ranges = has)
            } else {
                self.receive(partial, restarts, report)
            };
            if let Err(error) = received {
                // Some servers give one client fewer connections, and some lines never carry a whole range. One connection keeps
                // every byte.
                has_ranges &= partial.have > before;
                // Slow progress is progress.
                failures = if partial.have > most { 1 } else { failures + 1 };
                most = most.max(partial.have);
                if error.is_transient() || matches!(error, HubError::TooManyRequests { .. }) {
                    report(Step::Retrying(&error));
                }
                self.client.wait_after(error, failures)?;
            }
        }
        Ok(())
    }

    /// Receives one response, which may begin again or end early.
    fn receive(&self, partial: &mut Partial, restarts: &mut u32, report: &mut dyn FnMut(Step<'_>)) -> Result<()> {
        let range = (partial.have > 0).then(|| format!("bytes={}-", partial.have));
        let refusal = |refusal: &_| self.client.refused(self.reference, Some(&self.file.path), refusal);
        let url = file_url(self.client, &self.reference.repo, self.commit, &self.file.path);
        let response = match self.client.attempt(&url, range.as_deref(), &refusal) {
            // What is here is longer than what is there.
            Err(HubError::Status { status: 416, .. }) if partial.have > 0 && *restarts < MAX_RESTARTS => {
                *restarts += 1;
                return self.restart(partial);
            }
            response => response?,
        };
        self.check_hash(&response)?;
        let (start, size) = extent(&response);
        let protocol = |reason: String| HubError::Protocol { host: response.host.clone(), reason };
        if let Some(size) = size
            && size != self.file.size
        {
            let (path, expected) = (&self.file.path, self.file.size);
            return Err(protocol(format!("{path} has {size} bytes there, but the list of files says {expected}")));
        }
        let Some(start) = start else {
            return Err(protocol("it does not say which bytes it holds".to_owned()));
        };
        if start != partial.have {
            // A server without ranges sends everything. Any other start is of no use.
            if start != 0 {
                return Err(protocol(format!("it begins at byte {start}, but {} was asked for", partial.have)));
            }
            self.restart(partial)?;
            report(Step::Have(0));
        }
        self.store(partial, response, report)
    }

    /// Writes a body to the end of the file.
    fn store(&self, partial: &mut Partial, response: Response, report: &mut dyn FnMut(Step<'_>)) -> Result<()> {
        let host = response.host.clone();
        let left = self.file.size - partial.have;
        // One byte more than there may be, to see whether there is one.
        let mut body = response.reader(left.saturating_add(1)).take(left);
        let mut piece = vec![0; PIECE];
        loop {
            let read = body.read(&mut piece);
            self.client.stop().check()?;
            let read = match read {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(HubError::Network { host, reason: error.to_string() }),
            };
            if read == 0 {
                break;
            }
            partial.file.write_all(&piece[..read]).map_err(|error| self.io(&partial.path, error))?;
            partial.hasher.update(&piece[..read]);
            partial.have += read as u64;
            report(Step::Have(partial.have));
        }
        if partial.have < self.file.size {
            let reason = format!("the connection ended after {} of {} bytes", partial.have, self.file.size);
            return Err(HubError::Network { host, reason });
        }
        Ok(())
    }

    /// Throws away what came.
    fn restart(&self, partial: &mut Partial) -> Result<()> {
        let reset = partial.file.set_len(0).and_then(|()| partial.file.seek(SeekFrom::Start(0)));
        reset.map_err(|error| self.io(&partial.path, error))?;
        partial.have = 0;
        partial.hasher = self.hasher();
        Ok(())
    }

    /// Fails where the hub names another hash than its list of files did.
    pub(super) fn check_hash(&self, response: &Response) -> Result<()> {
        let Some(etag) = header_text(&response.first, "x-linked-etag") else { return Ok(()) };
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        match &self.file.hash {
            Hash::Sha256(digits) if is_hex(etag, 64) && etag != digits => Err(HubError::Checksum {
                file: self.file.path.clone(),
                actual: etag.to_owned(),
                expected: digits.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn hasher(&self) -> Hasher {
        Hasher::new(&self.file.hash, self.file.size)
    }

    pub(super) fn io(&self, path: &Path, error: io::Error) -> HubError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HubError::DiskFull {
                path: self.cache.root().to_owned(),
                free: fs4::available_space(self.cache.root()).unwrap_or(0),
                needed: self.file.size - Self::present(self.cache, self.reference, self.file),
            },
            _ => HubError::io(path, error),
        }
    }
}

/// The address of a file of a commit.
pub(super) fn file_url(client: &Client, repo: &RepoId, commit: &str, file: &str) -> Url {
    let repo = repo.to_string();
    let segments: Vec<&str> = repo.split('/').chain(["resolve", commit]).chain(file.split('/')).collect();
    client.url(&segments)
}

/// The first byte of a response, and the size of the whole file where it says so.
pub(super) fn extent(response: &Response) -> (Option<u64>, Option<u64>) {
    let text = |name: header::HeaderName| header_text(&response.headers, name.as_str());
    if response.status == StatusCode::PARTIAL_CONTENT {
        content_range(&text(header::CONTENT_RANGE).unwrap_or_default())
    } else {
        (Some(0), text(header::CONTENT_LENGTH).and_then(|length| number(&length)))
    }
}
