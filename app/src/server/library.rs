//! The models of this machine that a server loads when they are asked for.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use lapidary_engine::wgpu::DeviceType;
use lapidary_engine::{Engine, Error, Gpu, LoadOptions, ModelFiles, Result};

use super::models::Limits;
use crate::{guide, models};

/// How long a list of the models of this machine is good for. To make one, the headers of all files are read.
const LIST_TIME: Duration = Duration::from_secs(5);

/// How further models are loaded: on the same device.
pub(super) struct Library {
    gpu: Gpu,
    /// The same for all models. Context lengths are shortened to those that a model was trained for.
    options: LoadOptions,
    tuning_folder: Option<PathBuf>,
    /// The models of this machine, and when they were listed.
    listed: Mutex<Option<(Instant, Vec<Entry>)>>,
}

/// A model that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name by which clients ask for it.
    pub(super) id: String,
    /// What is opened; `None` for the guide. A part of a split model is known by its name, which may be that of a link.
    pub(super) path: Option<PathBuf>,
    /// The same without links, so that one file is one model.
    pub(super) file: Option<PathBuf>,
}

impl Entry {
    pub(super) fn new(id: String, path: Option<PathBuf>) -> Self {
        let file = path.as_ref().map(|path| dunce::canonicalize(path).unwrap_or_else(|_| path.clone()));
        Self { id, path, file }
    }

    /// When its file was written, in seconds since 1970; 0 if that is not known.
    pub(super) fn created(&self) -> i64 {
        let modified = self.path.as_ref().and_then(|path| path.metadata().ok()?.modified().ok());
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_secs() as i64)
    }
}

impl Library {
    pub(super) fn new(gpu: Gpu, options: LoadOptions, tuning_folder: Option<PathBuf>) -> Self {
        Self { gpu, options, tuning_folder, listed: Mutex::default() }
    }

    /// The models of this machine.
    pub(super) fn entries(&self) -> Vec<Entry> {
        // Those who ask meanwhile wait for the same list.
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entries)) = listed.as_ref().filter(|(since, _)| since.elapsed() < LIST_TIME) {
            return entries.clone();
        }
        let entries = list();
        *listed = Some((Instant::now(), entries.clone()));
        entries
    }

    /// The model of a name: one of [`Library::entries`], or one by which it was downloaded.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        let listed = || self.entries().into_iter().find(|entry| entry.id == name);
        listed().or_else(|| Some(Entry::new(name.to_owned(), Some(models::find_named(name)?))))
    }

    fn open(&self, entry: &Entry) -> Result<(ModelFiles, LoadOptions)> {
        let files = match &entry.path {
            None => guide::files()?,
            Some(path) => ModelFiles::open(path)?,
        };
        let longest = files.config().context_length;
        let context = self.options.context.map(|context| context.min(longest));
        Ok((files, LoadOptions { context, ..self.options }))
    }

    /// The memory that a model takes with one sequence, and what a server needs beside that: the cache of further ones.
    fn needs(&self, files: &ModelFiles, options: &LoadOptions, limits: &Limits) -> Result<(u64, u64)> {
        let estimate = files.memory(options, self.gpu.capabilities())?;
        let context = options.context_of(files.config())?;
        let more = limits.cache_tokens.unwrap_or(context).div_ceil(context).saturating_sub(1) as u64;
        // The buffers of a step are there twice.
        Ok((estimate.total(), estimate.sequence * more + estimate.activations))
    }

    /// Fails if a model does not fit the device even alone.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](lapidary_engine::Error::OutOfMemory), and those of opening its files.
    pub(super) fn check_fits(&self, entry: &Entry, limits: &Limits) -> Result<()> {
        let (files, options) = self.open(entry)?;
        let (one, further) = self.needs(&files, &options, limits)?;
        let needs = one + further;
        match self.gpu.memory_bytes().filter(|memory| !self.is_software() && needs > *memory) {
            None => Ok(()),
            Some(memory) => Err(Error::OutOfMemory {
                what: format!("{} needs {} MiB of {} MiB", entry.id, needs >> 20, memory >> 20),
            }),
        }
    }

    /// Whether the memory is that of the computer, of which what is free is known.
    fn is_software(&self) -> bool {
        self.gpu.info().device_type == DeviceType::Cpu
    }

    /// Loads a model beside others, which take `taken` bytes of the device's memory. `goes_on` says whether to go on loading.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](lapidary_engine::Error::OutOfMemory) if it does not fit, and the other errors of loading.
    pub(super) fn load(
        &self,
        entry: &Entry,
        limits: &Limits,
        taken: u64,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<Engine> {
        let (files, options) = self.open(entry)?;
        let (_, further) = self.needs(&files, &options, limits)?;
        let mut builder =
            Engine::from_files(files).options(options).gpu(self.gpu.clone()).on_progress(move |_| goes_on());
        if let Some(memory) = self.gpu.memory_bytes() {
            let taken = if self.is_software() { 0 } else { taken };
            builder = builder.memory_limit(memory.saturating_sub(taken + further));
        }
        if let Some(folder) = &self.tuning_folder {
            builder = builder.tuning_folder(folder);
        }
        builder.build_blocking()
    }
}

/// The models of this machine, each file once.
fn list() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (id, path) in models::find_ids() {
        let entry = Entry::new(id, path);
        match entries.iter_mut().find(|known| known.file == entry.file) {
            // The cache of the hub has files under their digests, and links to them under their names.
            Some(known) if entry.path != entry.file => *known = entry,
            Some(_) => {}
            None => entries.push(entry),
        }
    }
    entries
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// As in the cache of the hub. A part of a split model has siblings by its name, and none by its digest.
    #[test]
    fn a_link_is_opened_by_its_name_and_is_the_same_model_as_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, link) = (folder.path().join("0123abcd"), folder.path().join("gemma-00001-of-00002.gguf"));
        fs::write(&blob, "").unwrap();
        symlink(&blob, &link).unwrap();
        let [of_blob, of_link] = [&blob, &link].map(|path| Entry::new("gemma".into(), Some(path.clone())));
        assert_eq!(of_link.path, Some(link));
        assert_eq!(of_link.file, of_blob.file);
    }
}
