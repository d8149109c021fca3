//! The models of a server: those that are loaded, and those that are loaded when they are asked for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use lapidary_engine::{Engine, Error, Result};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;

use super::engine_thread::{EngineThread, prepare};
use super::error::ApiError;
use super::library::{Entry, Library};
use super::metrics::Metrics;
use super::queue::Queue;
use super::request_reader::RequestReader;
use crate::guide;

/// Seconds after which a client may ask again for a model for which there is no room.
const RETRY_SECONDS: u64 = 5;

/// How much a server does at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Replies of a model at once.
    pub(super) parallel: usize,
    /// Tokens of all replies of a model; `None` for as many as its context holds.
    pub(super) cache_tokens: Option<usize>,
    /// Requests that wait for a model.
    pub(super) queue: usize,
    /// Models that are loaded at once.
    pub(super) models: usize,
}

/// The models of a server.
pub(super) struct Models {
    library: Library,
    /// The model of requests that name none.
    first: Entry,
    limits: Limits,
    metrics: Arc<Metrics>,
    /// Held while a model is loaded: one at a time.
    loading: Arc<AsyncMutex<()>>,
    loaded: Mutex<Loaded>,
    /// How the engine's threads end.
    ended: UnboundedSender<Result<()>>,
}

struct Loaded {
    /// In the order of their last use, the newest last.
    models: Vec<Arc<Served>>,
    /// Engine threads that have not ended.
    threads: usize,
    closed: bool,
}

/// A model that is loaded, with the requests that wait for it.
pub(super) struct Served {
    pub(super) reader: Arc<RequestReader>,
    pub(super) queue: Arc<Queue>,
    /// [`Entry::file`].
    file: Option<PathBuf>,
    bytes: u64,
    /// Ends when this is dropped.
    _thread: EngineThread,
}

impl Served {
    /// Whether nobody waits for it or is about to.
    fn is_idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && self.queue.is_idle()
    }

    /// As OpenAI's API lists it.
    pub(super) fn object(&self) -> Value {
        let reader = &self.reader;
        let mut object = object(&reader.id, reader.loaded, true);
        object["max_model_len"] = json!(reader.context);
        object
    }
}

fn object(id: &str, created: i64, is_loaded: bool) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": "lapidary", "loaded": is_loaded})
}

impl Models {
    /// No model is loaded yet. Returns also how the engine's threads end, one after the other.
    pub(super) fn new(library: Library, limits: Limits, first: Entry) -> (Self, UnboundedReceiver<Result<()>>) {
        let (ended, receiver) = unbounded_channel();
        let loaded = Mutex::new(Loaded { models: Vec::new(), threads: 0, closed: false });
        let (metrics, loading) = (Arc::default(), Arc::default());
        (Self { library, first, limits, metrics, loading, loaded, ended }, receiver)
    }

    /// Serves the model of requests that name none, which is loaded.
    ///
    /// # Errors
    /// As for [`Models::start`].
    pub(super) fn start_first(&self, engine: &Engine) -> Result<()> {
        self.start(engine, &self.first).map(drop)
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The model that a request names, or the first one if it names none. Loads it if it is not loaded, and unloads those that were
    /// used longest ago where there is no room.
    ///
    /// # Errors
    /// 404 if there is no such model, 503 if there is no room or the server stops, and those of loading.
    pub(super) async fn get(self: &Arc<Self>, name: Option<&str>) -> Result<Arc<Served>, ApiError> {
        if let Some(served) = self.find(|served| self.is_meant(name, served))? {
            return Ok(served);
        }
        let (models, name) = (self.clone(), name.map(str::to_owned));
        let entry = spawn_blocking(move || models.entry(name.as_deref())).await.map_err(|_| ApiError::bug())??;
        let (models, turn) = (self.clone(), self.loading.clone().lock_owned().await);
        // On its own, so that a client that goes away leaves no model half loaded.
        spawn_blocking(move || models.load(&entry, &turn)).await.map_err(|_| ApiError::bug())?
    }

    /// All models: those that are loaded, and those that would be.
    pub(super) async fn list(self: &Arc<Self>) -> Vec<Value> {
        let models = self.clone();
        let entries = spawn_blocking(move || if models.loads_more() { models.library.entries() } else { Vec::new() });
        let mut entries = entries.await.unwrap_or_default();
        let loaded = self.lock();
        // Under its own name, also while it is not loaded.
        entries.retain(|entry| entry.file != self.first.file);
        entries.insert(0, self.first.clone());
        entries.retain(|entry| loaded.models.iter().all(|served| served.file != entry.file));
        let others = entries.iter().map(|entry| object(&entry.id, entry.created(), false));
        loaded.models.iter().rev().map(|served| served.object()).chain(others).collect()
    }

    /// One of them by its name.
    ///
    /// # Errors
    /// 404.
    pub(super) async fn describe(self: &Arc<Self>, name: &str) -> Result<Value, ApiError> {
        let all = self.list().await;
        all.into_iter().find(|object| object["id"] == name).ok_or_else(|| self.unknown(name))
    }

    /// Refuses further requests. Those that wait are still answered.
    pub(super) fn close(&self) {
        let mut loaded = self.lock();
        loaded.closed = true;
        loaded.models.iter().for_each(|served| served.queue.close());
        if loaded.threads == 0 {
            // No model is loaded at present, so no thread is left to end.
            drop(self.ended.send(Ok(())));
        }
    }

    /// Drops all requests and refuses further ones.
    pub(super) fn abandon(&self) {
        let mut loaded = self.lock();
        loaded.closed = true;
        loaded.models.iter().for_each(|served| served.queue.abandon());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes note that an engine thread has ended. Returns whether the server is done: it was closed, and no thread is left.
    pub(super) fn thread_ended(&self) -> bool {
        let mut loaded = self.lock();
        loaded.threads = loaded.threads.saturating_sub(1);
        loaded.closed && loaded.threads == 0
    }

    /// Requests that wait, and replies that grow.
    pub(super) fn load_of_all(&self) -> (usize, usize) {
        let loaded = self.lock();
        let sum = |of: fn(&Queue) -> usize| loaded.models.iter().map(|served| of(&served.queue)).sum();
        (sum(Queue::len), sum(Queue::running))
    }

    fn loads_more(&self) -> bool {
        self.limits.models > 1
    }

    /// Whether a request that names a model, or none, means this one.
    fn is_meant(&self, name: Option<&str>, served: &Served) -> bool {
        match name {
            None => served.file == self.first.file,
            // Several files of one model can have the same name inside.
            Some(name) if self.loads_more() => served.reader.id == name,
            Some(name) => served.reader.is_named(name),
        }
    }

    /// The model that a request names, or the first one if it names none.
    ///
    /// # Errors
    /// 404.
    fn entry(&self, name: Option<&str>) -> Result<Entry, ApiError> {
        match name {
            None => Ok(self.first.clone()),
            Some(name) if self.first.id == name => Ok(self.first.clone()),
            Some(name) if !self.loads_more() => Err(self.unknown(name)),
            Some(name) => self.library.find(name).ok_or_else(|| self.unknown(name)),
        }
    }

    /// The loaded model that `is_it`; it counts as used.
    fn find(&self, is_it: impl Fn(&Served) -> bool) -> Result<Option<Arc<Served>>, ApiError> {
        let mut loaded = self.lock();
        if loaded.closed {
            return Err(ApiError::stopping());
        }
        let at = loaded.models.iter().position(|served| is_it(served));
        Ok(at.map(|at| {
            let served = loaded.models.remove(at);
            loaded.models.push(served.clone());
            served
        }))
    }

    /// Loads a model, unless it was loaded meanwhile. `_turn` shows that nobody else loads one.
    fn load(self: &Arc<Self>, entry: &Entry, _turn: &OwnedMutexGuard<()>) -> Result<Arc<Served>, ApiError> {
        if let Some(served) = self.find(|served| served.file == entry.file)? {
            return Ok(served);
        }
        // Nothing is unloaded for what does not fit even alone.
        self.library.check_fits(entry, &self.limits).map_err(|error| ApiError::of(&error).at("model"))?;
        loop {
            let (count, taken) = {
                let loaded = self.lock();
                (loaded.models.len(), loaded.models.iter().map(|served| served.bytes).sum())
            };
            let reason = if count >= self.limits.models {
                format!("all {count} models that may be loaded are in use")
            } else {
                match self.load_beside(entry, taken) {
                    Ok(served) => return Ok(served),
                    Err(error @ Error::OutOfMemory { .. }) if count > 0 => error.to_string(),
                    Err(_) if self.is_closed() => return Err(ApiError::stopping()),
                    Err(error @ Error::OutOfMemory { .. }) => return Err(ApiError::of(&error)),
                    Err(error) => return Err(ApiError::of(&error).at("model")),
                }
            };
            if !self.unload_one() {
                return Err(self.no_room(entry, &reason));
            }
        }
    }

    /// Loads a model beside others, which take `taken` bytes of the device's memory, and serves it.
    fn load_beside(self: &Arc<Self>, entry: &Entry, taken: u64) -> Result<Arc<Served>> {
        let models = self.clone();
        let engine = self.library.load(entry, &self.limits, taken, move || !models.is_closed())?;
        self.start(&engine, entry)
    }

    /// Serves a model that was loaded.
    ///
    /// # Errors
    /// If it has no tokenizer, or there is no memory for its replies; [`Error::Cancelled`] if the server stops, and
    /// [`Error::Thread`] if the system refuses a thread.
    fn start(&self, engine: &Engine, entry: &Entry) -> Result<Arc<Served>> {
        let Limits { parallel, cache_tokens, .. } = self.limits;
        let sampling = guide::default_sampling(entry.path.is_none());
        let (reader, scheduler) = prepare(engine, entry.id.clone(), sampling, parallel, cache_tokens)?;
        let bytes = engine.model_weights().bytes() + scheduler.bytes();
        let mut loaded = self.lock();
        if loaded.closed {
            return Err(Error::Cancelled);
        }
        let queue = Arc::new(Queue::new(self.limits.queue));
        let ended = self.ended.clone();
        // The receiver is gone only if the server is.
        let on_end = move |end| drop(ended.send(end));
        let refused = |error| Error::Thread {
            reason: format!("the system refused a thread: {error}; close other programs and try again"),
        };
        let thread = EngineThread::start(scheduler, parallel, &queue, self.metrics.clone(), on_end).map_err(refused)?;
        let served = Arc::new(Served { reader, queue, file: entry.file.clone(), bytes, _thread: thread });
        loaded.threads += 1;
        loaded.models.push(served.clone());
        Ok(served)
    }

    /// Unloads the model that was used longest ago and is not in use; `false` if there is none.
    fn unload_one(&self) -> bool {
        let mut loaded = self.lock();
        let Some(at) = loaded.models.iter().position(Served::is_idle) else { return false };
        let served = loaded.models.remove(at);
        drop(loaded);
        log::info!("unloading {}", served.reader.id);
        // Waits for its thread.
        drop(served);
        true
    }

    fn unknown(&self, name: &str) -> ApiError {
        if !self.loads_more() {
            return ApiError::not_loaded(name, &self.first.id);
        }
        let message = format!("there is no model {name:?} on this machine; /v1/models lists those that there are");
        ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message).at("model")
    }

    fn no_room(&self, entry: &Entry, reason: &str) -> ApiError {
        let message =
            format!("there is no room for {:?} beside the models in use: {reason}; try again later", entry.id);
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_room", message).retry_after(RETRY_SECONDS)
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lapidary_engine::LoadOptions;
    use tokio::time::timeout;

    use super::*;

    /// A server that has unloaded its model for another one, which then could not be loaded, has no thread whose end would end it.
    #[test]
    fn a_server_stops_while_no_model_is_loaded() {
        let engine = Engine::from_files(guide::files().unwrap()).build_blocking().unwrap();
        let library = Library::new(engine.gpu().clone(), LoadOptions::default(), None);
        let limits = Limits { parallel: 1, cache_tokens: None, queue: 1, models: 2 };
        let (models, mut ended) = Models::new(library, limits, Entry::new(guide::NAME.into(), None));
        let models = Arc::new(models);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut next_end = async || timeout(Duration::from_secs(60), ended.recv()).await.unwrap().unwrap();
        runtime.block_on(async {
            models.start_first(&engine).unwrap();
            assert!(models.unload_one() && !models.unload_one());
            assert!(next_end().await.is_ok());
            assert!(!models.thread_ended(), "it goes on, because the next request may load a model");
            models.close();
            assert!(next_end().await.is_ok());
            assert!(models.thread_ended());
            assert_eq!(models.get(None).await.err().map(|error| error.status()), Some(503));
        });
    }
}
