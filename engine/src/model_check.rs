//! Comparing the kernels of a loaded model with their reference implementations.

use crate::check::{Report, check_model};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::load::ModelFiles;

impl Engine {
    /// Runs five steps of the model (a chunk of a prompt, a small batch, a decoded token, a drawn token, a token of each of two
    /// sequences) over a cache of noise, and compares every dispatch with the reference. `files` are those that the engine was
    /// loaded from. `progress` gets the number of dispatches that are done and of all, and returns whether to go on.
    ///
    /// # Errors
    /// [`Error::Setting`] if the files are of another model; [`Error::Cancelled`]; if the device is lost or out of memory.
    pub async fn check_kernels(
        &self,
        files: &ModelFiles,
        progress: &mut (dyn FnMut(usize, usize) -> bool + Send),
    ) -> Result<Report> {
        let inner = &self.inner;
        if *files.config() != inner.config {
            return Err(Error::Setting {
                field: "the model to compare with",
                value: files.name(),
                expected: "the one that the engine was loaded from",
            });
        }
        let (model, vocab) = (inner.model(), inner.usable_vocab);
        check_model(&inner.gpu, files, model, inner.cache_format, vocab, self.name(), progress).await
    }
}
