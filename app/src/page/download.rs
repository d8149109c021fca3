//! One file from the hub into the browser's file system: `hub::download` for a page. It runs in a worker, and is resumed, checked,
//! and only then visible.

use std::io::ErrorKind;
use std::path::PathBuf;

use js_sys::Uint8Array;
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;

use super::hub_client::{Answer, Client, Plan};
use super::opfs::{self, Part, Record};
use super::reason;
use crate::hub::{HubError, Meter, Name, Phase, Progress, Result, content_range, number, sentence, terms};

/// Bytes that are hashed or read at a time.
const PIECE: u32 = 1 << 20;
/// Browsers that hide how large the disk is never tell of more room than this.
const MOST_TOLD: u64 = 10 << 30;
/// Times that a file is begun again from its first byte because what came was wrong.
const MAX_RESTARTS: u32 = 2;

/// The download of a file.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    pub(super) plan: &'a Plan,
    /// What was asked for.
    pub(super) name: &'a Name,
    pub(super) report: &'a dyn Fn(&Progress),
}

/// The part that is here, which is closed when this is dropped.
struct Partial {
    part: Part,
    have: u64,
    hasher: Sha256,
    buffer: Vec<u8>,
    restarts: u32,
    meter: Meter,
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.part.close();
    }
}

impl Transfer<'_> {
    /// Downloads the file unless it is here.
    ///
    /// # Errors
    /// Those of the network and of access, [`HubError::Checksum`], [`HubError::DiskFull`], [`HubError::Io`] where the browser keeps no
    /// files, and [`HubError::Cancelled`], after which the part that came is kept.
    pub(super) async fn run(&self) -> Result<()> {
        let (path, size) = (self.plan.path(), self.plan.size);
        let record = Record { name: self.name.clone(), size, sha256: self.plan.sha256.clone() };
        let is_same = |known: &Option<Record>| known.as_ref().is_some_and(|known| known.sha256 == record.sha256);
        let complete = opfs::record(&path).await.map_err(|error| self.io(&error))?;
        if is_same(&complete) && opfs::complete_size(&path).await.map_err(|error| self.io(&error))? == Some(size) {
            return Ok(());
        }
        let mut partial = self.open(&path).await?;
        let part = format!("{path}.part");
        let known = opfs::record(&part).await.map_err(|error| self.io(&error))?;
        if !is_same(&known) {
            self.restart(&mut partial)?;
        }
        // From its first byte on, the part is known by what was asked for.
        if known.as_ref() != Some(&record) {
            let json = serde_json::to_string(&record).map_err(|error| self.client.protocol(error.to_string()))?;
            opfs::write_text(&format!("{part}.json"), &json).await.map_err(|error| self.io(&error))?;
        }
        self.check_room(size.saturating_sub(partial.have)).await?;
        if self.plan.under_terms {
            let notice = format!("{}/{}", self.plan.reference.repo, terms::NOTICE_FILE);
            opfs::write_text(&notice, terms::NOTICE).await.map_err(|error| self.io(&error))?;
        }
        self.fetch(&mut partial).await
    }

    async fn open(&self, path: &str) -> Result<Partial> {
        let part = Part::open(path).await.map_err(|error| self.io(&error))?;
        let mut meter = Meter::new(self.plan.size);
        meter.begin(&self.plan.file);
        let mut partial =
            Partial { part, have: 0, hasher: Sha256::new(), buffer: vec![0; PIECE as usize], restarts: 0, meter };
        let here = partial.part.size().map_err(|error| self.io(&error))? as u64;
        if here > self.plan.size {
            self.restart(&mut partial)?;
        }
        partial.have = here.min(self.plan.size);
        Ok(partial)
    }

    /// # Errors
    /// [`HubError::DiskFull`] where the browser tells that it has no room for so many bytes.
    async fn check_room(&self, needed: u64) -> Result<()> {
        match opfs::room().await {
            Some(free) if free < needed.min(MOST_TOLD) => {
                Err(HubError::DiskFull { path: PathBuf::new(), free, needed })
            }
            _ => Ok(()),
        }
    }

    async fn fetch(&self, partial: &mut Partial) -> Result<()> {
        self.hash_part(partial).await?;
        loop {
            self.receive_all(partial).await?;
            let actual: String = partial.hasher.finalize_reset().iter().map(|byte| format!("{byte:02x}")).collect();
            if actual == self.plan.sha256 {
                return partial.part.finish().await.map_err(|error| self.io(&error));
            }
            partial.restarts += 1;
            self.restart(partial)?;
            let (file, expected) = (self.plan.file.clone(), self.plan.sha256.clone());
            let error = HubError::Checksum { file, actual, expected };
            if partial.restarts > MAX_RESTARTS {
                return Err(error);
            }
            self.tell_phase(partial, Phase::Retrying(sentence(&error)));
        }
    }

    /// Hashes the part that came before.
    async fn hash_part(&self, partial: &mut Partial) -> Result<()> {
        let piece = Uint8Array::new_with_length(PIECE);
        let mut hashed = 0;
        while hashed < partial.have {
            let read = partial.part.read(&piece, hashed as f64).map_err(|error| self.io(&error))?;
            let read = u64::from(read).min(partial.have - hashed) as u32;
            if read == 0 {
                break;
            }
            partial.hash(&piece.subarray(0, read));
            hashed += u64::from(read);
            partial.meter.have(hashed, false);
            if hashed.is_multiple_of(16 * u64::from(PIECE)) {
                self.tell_phase(partial, Phase::Checking);
                // Lets messages in, such as that of a pause.
                self.client.stop.wait(0).await;
                self.client.check()?;
            }
        }
        partial.have = hashed;
        partial.meter.have(hashed, false);
        self.tell(partial);
        Ok(())
    }

    /// Receives until the file is as long as it must be.
    async fn receive_all(&self, partial: &mut Partial) -> Result<()> {
        let mut failures = 0;
        // What counts is the most that was ever here: a server without ranges begins again each time.
        let mut most = partial.have;
        while partial.have < self.plan.size {
            if let Err(error) = self.receive(partial).await {
                // Slow progress is progress.
                failures = if partial.have > most { 1 } else { failures + 1 };
                most = most.max(partial.have);
                if error.is_transient() || matches!(error, HubError::TooManyRequests { .. }) {
                    self.tell_phase(partial, Phase::Retrying(sentence(&error)));
                }
                self.client.wait_after(error, failures).await?;
            }
        }
        Ok(())
    }

    /// Receives one answer, which may begin again or end early.
    async fn receive(&self, partial: &mut Partial) -> Result<()> {
        let answer = self.client.ask_for_file(self.plan, partial.have).await?;
        let stored = self.store(partial, &answer).await;
        answer.close();
        stored
    }

    async fn store(&self, partial: &mut Partial, answer: &Answer) -> Result<()> {
        let (file, size) = (&self.plan.file, self.plan.size);
        let is_range = match answer.status() {
            200 => false,
            206 => true,
            // What is here is longer than what is there.
            416 if partial.have > 0 && partial.restarts < MAX_RESTARTS => {
                partial.restarts += 1;
                return self.restart(partial);
            }
            _ => return Err(self.client.refused(&self.plan.reference, Some(file), answer)),
        };
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            let reason = format!("a page in place of {file}, as networks do that ask for a sign-in");
            return Err(self.client.protocol(reason));
        }
        let (start, whole) = extent(answer, is_range, partial.have);
        if let Some(whole) = whole
            && whole != size
        {
            let reason = format!("{file} has {whole} bytes there, but the list of files says {size}");
            return Err(self.client.protocol(reason));
        }
        if start != partial.have {
            // A server without ranges sends everything. Any other start is of no use.
            if start != 0 {
                let reason = format!("it begins at byte {start}, but {} was asked for", partial.have);
                return Err(self.client.protocol(reason));
            }
            self.restart(partial)?;
        }
        while partial.have < size {
            let Some(mut bytes) = self.client.piece(answer).await? else {
                let reason = format!("the connection ended after {} of {size} bytes", partial.have);
                return Err(self.client.network(reason));
            };
            let left = size - partial.have;
            if u64::from(bytes.length()) > left {
                bytes = bytes.subarray(0, left as u32);
            }
            if let Err(error) = partial.part.write(&bytes, partial.have as f64) {
                return Err(match self.io(&error) {
                    HubError::DiskFull { path, .. } => {
                        let told = opfs::room().await.filter(|free| *free < left);
                        HubError::DiskFull { path, free: told.unwrap_or(0), needed: left }
                    }
                    error => error,
                });
            }
            partial.hash(&bytes);
            partial.have += u64::from(bytes.length());
            partial.meter.have(partial.have, true);
            self.tell(partial);
        }
        Ok(())
    }

    /// Throws away what came.
    fn restart(&self, partial: &mut Partial) -> Result<()> {
        partial.part.truncate(0.0).map_err(|error| self.io(&error))?;
        partial.have = 0;
        partial.hasher = Sha256::new();
        partial.meter.have(0, false);
        Ok(())
    }

    fn tell(&self, partial: &mut Partial) {
        if let Some(progress) = partial.meter.due() {
            (self.report)(progress);
        }
    }

    fn tell_phase(&self, partial: &mut Partial, phase: Phase) {
        partial.meter.set_phase(phase);
        self.tell(partial);
    }

    /// An error of the browser's file system.
    fn io(&self, error: &JsValue) -> HubError {
        let path = PathBuf::from(self.plan.path());
        let name = js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
        match name.as_deref() {
            Some("QuotaExceededError") => HubError::DiskFull { path, free: 0, needed: self.plan.size },
            Some("InUseError") => HubError::io(&path, std::io::Error::new(ErrorKind::ResourceBusy, reason(error))),
            _ => HubError::io(&path, std::io::Error::other(reason(error))),
        }
    }
}

impl Partial {
    fn hash(&mut self, bytes: &Uint8Array) {
        for start in (0..bytes.length()).step_by(PIECE as usize) {
            let piece = bytes.subarray(start, bytes.length().min(start + PIECE));
            let buffer = &mut self.buffer[..piece.length() as usize];
            piece.copy_to(buffer);
            self.hasher.update(&*buffer);
        }
    }
}

/// The first byte of an answer, and the size of the whole file where it says so. A server may hide from a page which bytes it sends;
/// if they are others than those that were asked for, the checksum tells.
fn extent(answer: &Answer, is_range: bool, asked: u64) -> (u64, Option<u64>) {
    if !is_range {
        return (0, answer.header("content-length").and_then(|length| number(&length)));
    }
    let (start, size) = content_range(&answer.header("content-range").unwrap_or_default());
    (start.unwrap_or(asked), size)
}
