//! The model: loading it, and the memory that models take.

use std::path::PathBuf;

use super::State;
use crate::worker::{Command, Load, Loaded, MemoryEstimate, Problem, Remedy};

/// The most memory estimates that are kept.
const MAX_ESTIMATES: usize = 512;

/// The status of the model.
#[derive(Clone, Debug, Default)]
pub enum Model {
    /// No model was requested yet.
    #[default]
    None,
    /// A model is loading.
    Loading {
        /// Its name.
        name: String,
        /// Progress from 0 to 1.
        progress: f32,
    },
    /// A model is loaded.
    Ready(Box<Loaded>),
    /// The model could not be loaded, or its device was lost.
    Failed(Problem),
}

/// What was requested beside the status of the model.
pub(super) struct ModelSlot {
    /// The load that was requested last.
    pub(super) load: Load,
    /// The load that follows if the check of its files succeeds.
    pub(super) checked: Option<Load>,
    /// Estimates in the order of the requests; `None` until they are known.
    estimates: Vec<(Load, Option<Result<MemoryEstimate, String>>)>,
}

impl ModelSlot {
    pub(super) fn new(load: Load) -> Self {
        Self { load, checked: None, estimates: Vec::new() }
    }

    /// Stores an estimate that was requested.
    pub(super) fn estimated(&mut self, load: &Load, estimate: Result<MemoryEstimate, String>) {
        if let Some((_, slot)) = self.estimates.iter_mut().find(|(asked, _)| asked == load) {
            *slot = Some(estimate);
        }
    }
}

impl State {
    /// Loads a model that the user chose, with the weight format, context and adapter of the settings; `None` for the
    /// guide. If the open chat has its own model, this one takes its place.
    pub fn load_model(&mut self, model: Option<PathBuf>) {
        if self.chat_model().is_some_and(|own| own != model) {
            self.set_chat_model(Some(model.as_deref()));
        }
        self.request_load(self.load_of(model));
    }

    /// Loads a model after its files or its server were checked, if another one would be given up for it.
    pub(super) fn request_load(&mut self, load: Load) {
        self.slot.checked = None;
        if self.loaded().is_some_and(|loaded| loaded.load == load) {
            return;
        }
        // A loaded model and its reply are not given up before the files of the new one are checked.
        if (load.model.is_some() || load.server.is_some())
            && matches!(self.model, Model::Ready(_) | Model::Loading { .. })
        {
            self.slot.checked = Some(load.clone());
            self.worker.send(Command::Check(load));
        } else {
            self.load_now(load);
        }
    }

    pub(super) fn load_now(&mut self, load: Load) {
        // Queued jobs stay for the new model.
        self.stop_reply();
        self.slot.load = load;
        self.model = Model::Loading { name: self.slot.load.name(), progress: 0.0 };
        self.worker.send(Command::Load(self.slot.load.clone()));
    }

    /// The request that would load a model with the present settings.
    pub fn load_of(&self, model: Option<PathBuf>) -> Load {
        let settings = &self.settings;
        Load {
            // The guide is small and always loaded as it is.
            weights: model.as_ref().and(settings.weight_format()),
            context: model.as_ref().and(settings.context),
            device: settings.device.clone(),
            model,
            server: None,
        }
    }

    /// Loads the present model again with the present settings.
    pub fn reload(&mut self) {
        let requested = &self.slot.load;
        let load = if requested.server.is_some() { requested.clone() } else { self.load_of(requested.model.clone()) };
        self.request_load(load);
    }

    /// The model of this machine that is loaded or was requested last; `None` for the guide or a server.
    pub fn requested_model(&self) -> Option<&PathBuf> {
        self.slot.load.model.as_ref()
    }

    /// Stops loading.
    pub fn cancel_load(&mut self) {
        self.slot.checked = None;
        self.worker.send(Command::CancelLoad);
    }

    /// The loaded model.
    pub fn loaded(&self) -> Option<&Loaded> {
        match &self.model {
            Model::Ready(loaded) => Some(loaded),
            _ => None,
        }
    }

    /// Handles the end of the check of a model's files.
    pub(super) fn on_checked(&mut self, load: Load, result: Result<(), Problem>) {
        if self.slot.checked.take_if(|wanted| *wanted == load).is_none() {
            return;
        }
        match result {
            Ok(()) => self.load_now(load),
            Err(problem) => {
                let open = matches!(self.model, Model::Ready(_));
                let stays = if open { " The model that is open stays." } else { "" };
                self.notify_error(&format!("{}{stays}", problem.sentence));
                self.cancel_jobs_for(&load);
                self.next_job();
            }
        }
    }

    /// Handles a loaded model.
    pub(super) fn on_loaded(&mut self, loaded: Box<Loaded>) {
        // A model that finished loading after another was requested.
        if loaded.load != self.slot.load {
            return;
        }
        self.counts.clear();
        if let Some(server) = loaded.server() {
            let dropped = self.settings.remember_server(server);
            self.forget_keys(&dropped);
        }
        // An earlier list may lack it.
        if loaded.load.model.is_some() && self.models.is_some() {
            self.find_models();
        }
        self.model = Model::Ready(loaded);
        self.next_job();
    }

    /// Handles a model that could not be loaded.
    pub(super) fn on_not_loaded(&mut self, problem: Problem) {
        self.model = Model::Failed(problem);
        self.counts.clear();
        self.cancel_jobs_for(&self.slot.load.clone());
    }

    /// Cancels the jobs of the chats whose own model cannot be loaded. Otherwise it would be tried again before every job.
    fn cancel_jobs_for(&mut self, load: &Load) {
        let waiting: Vec<_> = self.queue.chats().into_iter().collect();
        for chat in waiting {
            // A chat never has a server's model as its own.
            if load.server.is_none() && self.model_of(chat).as_ref() == Some(&load.model) {
                self.cancel_jobs(chat);
            }
        }
    }

    /// The memory that a model would take, once it is known. The first call requests it.
    pub fn memory_estimate(&mut self, load: &Load) -> Option<Result<MemoryEstimate, String>> {
        let estimates = &mut self.slot.estimates;
        if let Some((_, estimate)) = estimates.iter().find(|(asked, _)| asked == load) {
            return estimate.clone();
        }
        if estimates.len() == MAX_ESTIMATES {
            estimates.remove(0);
        }
        estimates.push((load.clone(), None));
        self.worker.send(Command::EstimateMemory(load.clone()));
        None
    }

    /// The last known estimate for a model with any settings, to be shown while the present one is computed.
    pub fn last_memory_estimate(&self, model: Option<&PathBuf>) -> Option<Result<MemoryEstimate, String>> {
        let answered = |(load, estimate): &(Load, Option<Result<MemoryEstimate, String>>)| {
            estimate.clone().filter(|_| load.model.as_ref() == model)
        };
        self.slot.estimates.iter().rev().find_map(answered)
    }

    /// Lists the models again, and the adapters if that was not done yet.
    pub fn refresh_lists(&mut self) {
        if self.devices.is_none() {
            self.devices = Some(Vec::new());
            self.worker.send(Command::FindDevices);
        }
        self.find_models();
    }

    /// Lists the models in a folder of another program from now on, or no more.
    pub fn change_model_folder(&mut self, folder: PathBuf, adds: bool) {
        self.worker.send(Command::ChangeModelFolder { folder, adds });
    }

    pub(super) fn on_model_folder_changed(&mut self, changed: Result<(), String>) {
        match changed {
            Ok(()) => self.find_models(),
            Err(reason) => self.notify_error(&reason),
        }
    }

    fn find_models(&mut self) {
        self.worker.send(Command::FindModels);
    }
}

/// Whether the model has to be loaded again.
pub fn needs_reload(problem: &Problem) -> bool {
    problem.remedy == Remedy::Reload
}
