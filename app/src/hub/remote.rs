//! A model's headers on the hub, read in ranges as if the files were here.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use lapidary_engine::ModelFiles;
use lapidary_engine::load::{Bytes, ReadFuture, Source};

use super::client::Client;
use super::download::{extent, file_url};
use super::error::{HubError, Result};
use super::pull::Plan;
use super::repo::RemoteFile;

/// Bytes of one read. The engine reads headers alone, so this bounds what a hostile header makes it ask for.
const MAX_READ: u64 = 128 << 20;

/// A file on the hub, read range by range. A read blocks the thread that polls it.
struct RemoteSource {
    client: Arc<Client>,
    plan: Arc<Plan>,
    file: RemoteFile,
}

impl Plan {
    /// Opens the model by its headers on the hub, of which it reads some megabytes. Its tokenizer is left out, and its weights
    /// are not to be loaded.
    ///
    /// # Errors
    /// Those of the network and of access, and those of opening a model, which say why the engine cannot run it.
    pub fn open_remote(&self, client: &Arc<Client>) -> Result<ModelFiles> {
        let plan = Arc::new(self.clone());
        let needed = |file: &&RemoteFile| {
            let ends = |end: &str| file.path.ends_with(end);
            self.open.is_some() || ends(".safetensors") || ends(".index.json") || file.path == "config.json"
        };
        let source = |file: &RemoteFile| {
            let source = RemoteSource { client: client.clone(), plan: plan.clone(), file: file.clone() };
            (file.path.clone(), Box::new(source) as Box<dyn Source>)
        };
        let files: Vec<_> = self.files.iter().filter(needed).map(source).collect();
        let opened = pollster::block_on(ModelFiles::from_sources(&self.reference.repo.to_string(), files));
        client.stop().check()?;
        Ok(opened?)
    }
}

impl RemoteSource {
    fn read_now(&self, range: &Range<u64>) -> Result<Vec<u8>> {
        let len = range.end.saturating_sub(range.start);
        let too_long = || HubError::Protocol {
            host: self.plan.reference.repo.to_string(),
            reason: format!("the header of {} is longer than {MAX_READ} bytes", self.file.path),
        };
        if len > MAX_READ {
            return Err(too_long());
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let url = file_url(&self.client, &self.plan.reference.repo, &self.plan.commit, &self.file.path);
        let refusal = |refusal: &_| self.client.refused(&self.plan.reference, Some(&self.file.path), refusal);
        self.client.retry(|| {
            let answer = self.client.attempt(&url, Some(&header), &refusal)?;
            let host = answer.host.clone();
            let protocol = |reason: &str| HubError::Protocol { host: host.clone(), reason: reason.to_owned() };
            let skip = match extent(&answer).0 {
                Some(start) if start == range.start => 0,
                // A server without ranges sends everything.
                Some(0) if range.end <= MAX_READ => range.start,
                Some(0) => return Err(too_long()),
                _ => return Err(protocol("it sends other bytes than those that were asked for")),
            };
            let network = |error: io::Error| HubError::Network { host: host.clone(), reason: error.to_string() };
            let mut body = answer.reader(u64::MAX);
            io::copy(&mut (&mut body).take(skip), &mut io::sink()).map_err(network)?;
            let mut bytes = Vec::new();
            body.take(len).read_to_end(&mut bytes).map_err(network)?;
            match bytes.len() as u64 == len {
                true => Ok(bytes),
                false => Err(HubError::Network { host, reason: "the connection ended early".to_owned() }),
            }
        })
    }
}

impl Source for RemoteSource {
    fn size(&self) -> u64 {
        self.file.size
    }

    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        let bytes = self.read_now(&range).map(Bytes::from).map_err(io::Error::other);
        Box::pin(std::future::ready(bytes))
    }
}
