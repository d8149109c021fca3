//! Where the bytes of a model's files come from: memory, a mapped file, or anything that reads ranges.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::bytes::Bytes;
use crate::error::{Error, Result};

/// A read in progress. It is `Send`, except in browsers, whose futures are not.
#[cfg(not(target_arch = "wasm32"))]
pub type ReadFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send + 'a>>;
/// A read in progress. It is `Send`, except in browsers, whose futures are not.
#[cfg(target_arch = "wasm32")]
pub type ReadFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Bytes>> + 'a>>;

/// A file of a model, read range by range: local, over HTTP, or in a browser's storage.
///
/// One read is in progress at a time. Its size is bounded:
///
/// - Opening a GGUF file reads its first 8 MiB. If its tables are longer, a longer start is read, at most 128 MiB.
/// - Opening a safetensors file reads 8 bytes, and then the header, whose length they hold, at most 100 MB.
/// - Opening reads other files of a Hugging Face folder whole: `config.json` and `generation_config.json` of at most
///   1 MiB, `chat_template.jinja` or `tokenizer_config.json` of at most 16 MiB, an index of at most 32 MiB,
///   `tokenizer.json` of at most 256 MiB.
/// - Opening a GGUF file with a separate output head compares it with the embedding, by six reads of at most 64 KiB.
/// - Loading reads weights in batches of whole rows: at most 4 MiB, or 8 rows if those are larger.
pub trait Source: wgpu::WasmNotSendSync {
    /// Bytes of the file, which do not change while the source is in use.
    fn size(&self) -> u64;

    /// Reads a range of the file, in bytes from its start. The range lies within [`Source::size`].
    ///
    /// # Errors
    ///
    /// The error of the file system, the network or the storage. It becomes an [`Error::Io`] that names the file and the
    /// offset, as does a result that is shorter or longer than the range.
    fn read(&self, range: Range<u64>) -> ReadFuture<'_>;
}

/// Memory and mapped files: nothing is copied, and every read is ready at once.
impl Source for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        let bytes = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let bytes = bytes.and_then(|(start, end)| self.slice(start..end));
        Box::pin(std::future::ready(bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())))
    }
}

/// A source with the path that names it in errors.
pub(super) struct ModelFile {
    pub(super) path: PathBuf,
    pub(super) source: Box<dyn Source>,
}

impl ModelFile {
    pub(super) fn new(path: PathBuf, source: impl Source + 'static) -> Self {
        Self { path, source: Box::new(source) }
    }

    pub(super) fn size(&self) -> u64 {
        self.source.size()
    }

    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        read_exact(&*self.source, &self.path, range).await
    }
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelFile({}, {} bytes)", self.path.display(), self.size())
    }
}

/// Reads exactly a range.
///
/// # Errors
///
/// [`Error::Io`], which names the file and the offset.
pub(super) async fn read_exact(source: &dyn Source, path: &Path, range: Range<u64>) -> Result<Bytes> {
    let fail = |kind, reason: String| Error::Io {
        path: path.to_owned(),
        source: io::Error::new(kind, format!("at byte {}: {reason}", range.start)),
    };
    let expected = range.end.saturating_sub(range.start);
    match source.read(range.clone()).await {
        Ok(bytes) if bytes.len() as u64 == expected => Ok(bytes),
        Ok(bytes) => {
            let reason = format!("{} bytes came where {expected} were asked for", bytes.len());
            Err(fail(io::ErrorKind::UnexpectedEof, reason))
        }
        Err(error) => Err(fail(error.kind(), error.to_string())),
    }
}

/// The result of a future whose reads are all ready at once, which those of [`Bytes`] are.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("only reads wait, and these are ready at once"),
    }
}
