//! Comparing the kernels of a loaded model with their reference implementations.

use crate::check::{CONTEXT, Compared, Report, Subject};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::load::ModelFiles;
use crate::model::{Model, RopeTables};

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
        // The model's tables can be shorter than the check's positions.
        let tables = RopeTables::new(&inner.config, CONTEXT);
        tables.upload(&inner.gpu).await?;
        let subject = Subject {
            gpu: &inner.gpu,
            files,
            model: Model { tables: &tables, ..inner.model() },
            chunk: 3,
            cache_format: inner.cache_format,
            name: self.name(),
        };
        let mut report = Report::default();
        subject.check(1, Compared::All, &mut report, progress).await?;
        Ok(report)
    }
}
