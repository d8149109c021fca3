//! The commands that need a model, with the model that they work on.

use std::path::PathBuf;
use std::sync::Arc;

use lapidary_engine::gpu::Capabilities;
use lapidary_engine::{DeviceOptions, Engine, Error, LoadOptions, ModelFiles, Result, Session, Speculation, Timings};

use super::event_sender::EventSender;
use super::generate::{self, Prompt};
use super::shared_tokenizer::SharedTokenizer;
use super::stop::StopSignal;
use super::{Command, Event, Load, Loaded, MemoryEstimate, Problem, Remedy};
use crate::chat_ability::chat_problem;

/// What is said after the engine panicked.
pub(crate) const FAILED: &str =
    "The engine failed because of an internal error, and the model was unloaded. No messages are lost.";

/// Where models run, and where it is remembered which kernels are fastest there.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) device: DeviceOptions,
    pub(crate) tuning_folder: Option<PathBuf>,
}

/// Runs commands on the loaded model, one at a time.
pub(crate) struct Commands {
    sender: EventSender,
    tokenizer: Arc<SharedTokenizer>,
    ready: Option<Ready>,
}

/// A model and the one session that all chats share. A prefix that two chats have in common is computed once.
struct Ready {
    engine: Engine,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "only a window serves its model"))]
    load: Load,
    session: Option<Session>,
}

impl Commands {
    /// No model is loaded yet. `tokenizer` is always that of the loaded model.
    pub(crate) fn new(sender: EventSender, tokenizer: Arc<SharedTokenizer>) -> Self {
        Self { sender, tokenizer, ready: None }
    }

    /// Drops the model.
    pub(crate) fn unload(&mut self) {
        self.ready = None;
        self.tokenizer.set(None);
    }

    /// The model that is loaded, and what loaded it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn ready(&self) -> Option<(Engine, Load)> {
        self.ready.as_ref().map(|ready| (ready.engine.clone(), ready.load.clone()))
    }

    /// Runs a command, except a load, and sends the events that answer it.
    pub(crate) async fn run(&mut self, command: Command, signal: &StopSignal) {
        match command {
            Command::Generate { reply, turns, system, plain, sampling, overflow } => {
                let prompt = Prompt { turns, system, plain };
                let sender = self.sender.clone();
                let result = match self.session(signal).await {
                    Ok(session) => generate::reply(session, signal, &sender, reply, &prompt, &sampling, overflow).await,
                    Err(error) => Err(error),
                };
                match result {
                    Ok(()) => {}
                    Err(Error::Cancelled) => {
                        sender.send(Event::Ended { reply, finish: None, timings: Timings::default() });
                    }
                    Err(error) => {
                        self.unload_if_lost(&error);
                        sender.send(Event::Failed(reply, Problem::from(&error)));
                    }
                }
            }
            Command::Alternatives { message, at, turns, system, plain } => {
                let prompt = Prompt { turns, system, plain };
                let list = match self.session(signal).await {
                    Ok(session) => generate::alternatives(session, signal, &prompt).await,
                    Err(error) => Err(error),
                };
                let list = list.map_err(|error| Problem::from(&error).sentence);
                self.sender.send(Event::Alternatives { message, at, list });
            }
            Command::Profile => {
                let profile = match self.session(signal).await {
                    Ok(session) => generate::profile(session, signal).await,
                    Err(error) => Err(error),
                };
                self.sender.send(Event::Profile(profile.map_err(|error| Problem::from(&error).sentence)));
            }
            _ => {}
        }
    }

    /// Loads a model from the files that a future opens. Returns the event that reports the result, or `None` if a newer load
    /// was sent.
    pub(crate) async fn load(
        &mut self,
        load: &Load,
        files: impl Future<Output = Result<ModelFiles>>,
        place: Place,
        signal: &Arc<StopSignal>,
    ) -> Option<Event> {
        // The old model is dropped first to free its memory for the new one.
        self.unload();
        let result = self.load_files(load, files, place, signal).await;
        if result.is_err() {
            self.ready = None;
        }
        // The window has asked for another model since.
        if signal.is_superseded() {
            return None;
        }
        Some(match result {
            Ok(loaded) => Event::Loaded(Box::new(loaded)),
            Err(Error::Cancelled) => {
                let sentence = "Loading was cancelled. No model is loaded.".into();
                Event::NotLoaded(Problem { sentence, remedy: Remedy::Resume })
            }
            Err(error) => Event::NotLoaded(Problem::from(&error)),
        })
    }

    async fn load_files(
        &mut self,
        load: &Load,
        files: impl Future<Output = Result<ModelFiles>>,
        place: Place,
        signal: &Arc<StopSignal>,
    ) -> Result<Loaded> {
        let files = signal.wait(files).await?;
        let (engine, loaded) = self.build(load, files, place, signal).await?;
        self.tokenizer.set(engine.tokenizer().ok().cloned());
        self.ready = Some(Ready { engine, load: load.clone(), session: None });
        // Creates the session's buffers and pipelines before the first prompt needs them.
        self.session(signal).await?;
        Ok(loaded)
    }

    /// Builds the engine, reporting progress.
    async fn build(
        &self,
        load: &Load,
        files: ModelFiles,
        place: Place,
        signal: &Arc<StopSignal>,
    ) -> Result<(Engine, Loaded)> {
        let name = if load.model.is_none() { "Guide".to_owned() } else { files.name() };
        let estimate = estimate_memory_of(&files, load)?;
        let longest_context = files.config().context_length;
        let options = load_options(load, &files);
        self.sender.send(Event::Loading { name: name.clone(), progress: 0.0 });
        let (sender, stop, title) = (self.sender.clone(), signal.clone(), name.clone());
        let mut last = 0;
        let mut builder =
            Engine::from_files(files).device(place.device).options(options).on_progress(move |progress| {
                let percent = progress.done.saturating_mul(100) / progress.total.max(1);
                if percent != last {
                    last = percent;
                    sender.send(Event::Loading { name: title.clone(), progress: percent as f32 / 100.0 });
                }
                !stop.is_stopped()
            });
        if let Some(folder) = place.tuning_folder {
            builder = builder.tuning_folder(folder);
        }
        let engine = signal.wait(builder.build()).await?;
        // Reports a damaged tokenizer now rather than at the first prompt.
        engine.tokenizer()?;
        let info = engine.gpu().info();
        let driver = format!("{} {}", info.driver, info.driver_info);
        let driver = [driver.trim(), info.backend.to_str()];
        let loaded = Loaded {
            load: load.clone(),
            name,
            context: engine.context(),
            longest_context,
            // Browsers do not tell the name.
            adapter: if info.name.is_empty() { "the browser's adapter".to_owned() } else { info.name.clone() },
            driver: driver.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
            memory: MemoryEstimate { device_memory: engine.gpu().memory_bytes(), ..estimate },
            chat_problem: chat_problem(&engine),
        };
        Ok((engine, loaded))
    }

    /// The session of the loaded model, created at its first use.
    async fn session(&mut self, signal: &StopSignal) -> Result<&mut Session> {
        let Some(ready) = &mut self.ready else {
            return Err(Error::DeviceLost { reason: "no model is loaded".into() });
        };
        let session = match ready.session.take() {
            Some(session) => session,
            None => {
                let mut session = signal.wait(ready.engine.session()).await?;
                session.speculate(Speculation::from_text())?;
                session
            }
        };
        Ok(ready.session.insert(session))
    }

    /// Drops the model if its device is lost. It has to be loaded again.
    fn unload_if_lost(&mut self, error: &Error) {
        if matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. } | Error::Internal { .. }) {
            self.ready = None;
        }
    }
}

/// The event that reports the failure of a command, if the command has one.
pub(crate) fn failure_event(command: &Command, problem: Problem) -> Option<Event> {
    match command {
        Command::Load(_) => Some(Event::NotLoaded(problem)),
        Command::Generate { reply, .. } => Some(Event::Failed(*reply, problem)),
        Command::Alternatives { message, at, .. } => {
            Some(Event::Alternatives { message: *message, at: *at, list: Err(problem.sentence) })
        }
        Command::Profile => Some(Event::Profile(Err(problem.sentence))),
        Command::EstimateMemory(load) => Some(Event::MemoryEstimated(load.clone(), Err(problem.sentence))),
        Command::Check(load) => Some(Event::Checked(load.clone(), Err(problem))),
        _ => None,
    }
}

/// Estimates the device memory of a model from its headers. `device_memory` stays `None`, because no device is open yet.
pub(crate) fn estimate_memory_of(files: &ModelFiles, load: &Load) -> Result<MemoryEstimate> {
    // How matrices are split to fit bindings makes no difference worth opening a device for.
    Ok(files.memory(&load_options(load, files), &Capabilities::webgpu())?.into())
}

/// What a request chooses, with a context that the model has.
fn load_options(load: &Load, files: &ModelFiles) -> LoadOptions {
    let context = load.context.map(|context| context.clamp(1, files.config().context_length));
    LoadOptions { weights: load.weights, context, ..LoadOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_engine_answers_checks_and_estimates() {
        let (load, problem) = (Load::default(), Problem { sentence: FAILED.into(), remedy: Remedy::Reload });
        let event = failure_event(&Command::Check(load.clone()), problem.clone());
        assert!(matches!(&event, Some(Event::Checked(_, Err(found))) if *found == problem), "{event:?}");
        let event = failure_event(&Command::EstimateMemory(load), problem);
        assert!(matches!(&event, Some(Event::MemoryEstimated(_, Err(reason))) if reason == FAILED), "{event:?}");
    }
}
