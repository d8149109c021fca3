//! The models of this machine that a server loads when they are asked for.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use lapidary_engine::wgpu::DeviceType;
use lapidary_engine::{Engine, Gpu, LoadOptions, ModelFiles, Result, Sampling};

use crate::{guide, models};

/// How further models are loaded: on the same device.
pub(super) struct Library {
    pub(super) gpu: Gpu,
    /// The same for all models. Context lengths are shortened to those that a model was trained for.
    pub(super) options: LoadOptions,
    pub(super) tuning_folder: Option<PathBuf>,
}

/// A model that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name by which clients ask for it.
    pub(super) id: String,
    /// `None` for the guide.
    pub(super) path: Option<PathBuf>,
}

impl Entry {
    fn of(found: &models::FoundModel) -> Self {
        let id = found.path.as_deref().map_or_else(|| guide::NAME.to_owned(), |path| id_of(&found.name, path));
        Self { id, path: found.path.clone() }
    }

    /// When its file was written, in seconds since 1970; 0 if that is not known.
    pub(super) fn created(&self) -> i64 {
        let modified = self.path.as_ref().and_then(|path| path.metadata().ok()?.modified().ok());
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_secs() as i64)
    }
}

/// The name of a model: of one from the hub its repository, and after a colon its file, as `lapidary pull` takes it; of
/// another that of its GGUF file or folder. Ollama's files are named by digits only.
fn id_of(name: &str, path: &Path) -> String {
    if path.iter().any(|part| part.to_string_lossy().starts_with("models--")) {
        return name.replacen(", ", ":", 1);
    }
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if file.starts_with("sha256-") {
        return name.to_owned();
    }
    file.strip_suffix(".gguf").unwrap_or(&file).to_owned()
}

impl Library {
    /// The models of this machine. Reads the headers of their files, which takes a moment.
    pub(super) fn entries() -> Vec<Entry> {
        models::find(&[]).iter().map(Entry::of).collect()
    }

    /// The model of a name: one of [`Library::entries`], or one by which it was downloaded.
    pub(super) fn find(name: &str) -> Option<Entry> {
        if let Some(path) = models::find_named(name) {
            return Some(Entry { id: name.to_owned(), path: Some(path) });
        }
        Self::entries().into_iter().find(|entry| entry.id == name)
    }

    /// Loads a model beside others that take so many bytes of the device's memory. `goes_on` says whether to go on loading.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](lapidary_engine::Error::OutOfMemory) if it does not fit, and the other errors of loading.
    pub(super) fn load(
        &self,
        entry: &Entry,
        taken: u64,
        goes_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<(Engine, Sampling)> {
        let files = match &entry.path {
            None => guide::files()?,
            Some(path) => ModelFiles::open(path)?,
        };
        // The guide was trained on one answer per question.
        let sampling = if entry.path.is_none() { Sampling::greedy() } else { Sampling::default() };
        let longest = files.config().context_length;
        let context = self.options.context.map(|context| context.min(longest));
        let mut builder = Engine::from_files(files)
            .options(LoadOptions { context, ..self.options })
            .gpu(self.gpu.clone())
            .on_progress(move |_| goes_on());
        // Of a software adapter, what is still free is known.
        let is_free = self.gpu.info().device_type == DeviceType::Cpu;
        if let Some(memory) = self.gpu.memory_bytes().filter(|_| !is_free) {
            builder = builder.memory_limit(memory.saturating_sub(taken));
        }
        if let Some(folder) = &self.tuning_folder {
            builder = builder.tuning_folder(folder);
        }
        Ok((builder.build_blocking()?, sampling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_as_they_are_pulled_or_as_their_files() {
        let hub = Path::new("/hub/models--google--gemma-2-2b-it/snapshots/abc");
        assert_eq!(id_of("google/gemma-2-2b-it", hub), "google/gemma-2-2b-it");
        assert_eq!(id_of("google/gemma-2-2b-it, a.gguf", &hub.join("a.gguf")), "google/gemma-2-2b-it:a.gguf");
        assert_eq!(id_of("Gemma 2", Path::new("/models/gemma-2.Q4_K_M.gguf")), "gemma-2.Q4_K_M");
        assert_eq!(id_of("Gemma 2", Path::new("/models/gemma-2-2b-it")), "gemma-2-2b-it");
        assert_eq!(id_of("gemma2:2b", Path::new("/ollama/blobs/sha256-0a1b")), "gemma2:2b");
    }
}
