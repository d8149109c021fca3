//! The window's work with the hub: search, plans, downloads and the token. Commands go in and events come out, and nothing blocks.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lapidary_engine::gpu::Capabilities;
use lapidary_engine::{LoadOptions, MemoryEstimate, ModelFiles};

use super::cache::Cache;
use super::catalogue::references;
use super::client::Client;
use super::error::{HubError, Result};
use super::progress::Progress;
use super::pull::{Plan, plan_first};
use super::search::{MAX_FOUND, SearchResult};
use super::settings::HubSettings;
use super::stop::Stop;
use super::terms;
use super::token::{Token, TokenSource, log_in, log_out, saved, token_source};
use crate::secrets::{Place, Secrets};

/// The longest wait for the hub before what came is deleted: nobody can stop it.
const MAX_LOOK_UP: Duration = Duration::from_secs(10);

/// A download, by what the person named: a name of the catalogue, a repository, a file or an address.
pub type Name = String;

/// A command.
#[derive(Clone, Debug)]
pub enum Command {
    /// Search the hub. A newer search takes the place of one under way.
    Search(String),
    /// Find out what a download would consist of, and whether the model fits. It reads some megabytes of headers.
    Plan(Name),
    /// Download, or go on with a download that was paused or failed. The person has accepted the terms if the model is under
    /// them: see [`terms::accept`]; else the answer is [`HubError::TermsNotAccepted`].
    Start(Name),
    /// Stop a download, and keep what came.
    Pause(Name),
    /// Stop a download, and delete what came of files that are not complete.
    Cancel(Name),
    /// Find out whether there is a token. This asks neither the hub nor a key store.
    FindToken,
    /// Check a token at the hub, and save it.
    LogIn(Token),
    /// Forget the token that was saved.
    LogOut,
}

/// An event.
#[derive(Debug)]
pub enum Event {
    /// What a search found, for these words.
    Found(String, Result<Vec<SearchResult>>),
    /// What a download consists of.
    Planned(Name, Result<Box<Planned>>),
    /// How far a download has come; about ten times a second.
    Progress(Name, Progress),
    /// A download is done; the model's path.
    Done(Name, PathBuf),
    /// A download was paused.
    Paused(Name),
    /// A download was cancelled, and its parts were deleted.
    Cancelled(Name),
    /// A download failed. What came is kept.
    Failed(Name, HubError),
    /// Where the token comes from, if there is one: the answer to [`Command::FindToken`] and [`Command::LogOut`].
    Token(Result<Option<TokenSource>>),
    /// A token was saved: the account's name, and where the token is kept.
    LoggedIn(Result<(String, Place)>),
}

/// What a download consists of.
#[derive(Debug)]
pub struct Planned {
    /// The files, and where they come from.
    pub plan: Plan,
    /// Bytes that are here already.
    pub present: u64,
    /// What the model takes on a device, as it is stored and with its own context, or why the engine cannot run it.
    pub memory: Result<MemoryEstimate>,
    /// Why the disk has no room, if it has none.
    pub no_room: Option<HubError>,
}

/// Runs commands, each download on a thread of its own. Nothing runs, and nothing is sent, before the first command. Dropping
/// it pauses all downloads.
pub struct Downloads {
    shared: Arc<Shared>,
    events: Receiver<Event>,
    search: Stop,
}

struct Shared {
    /// The program's data folder, which remembers whether terms are accepted.
    data: Option<PathBuf>,
    settings: Option<HubSettings>,
    secrets: Secrets,
    running: Mutex<HashMap<Name, Running>>,
    outbox: Sender<Event>,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct Running {
    stop: Stop,
    /// Whether parts are deleted once the download stopped.
    deletes: bool,
    /// Whether it starts again once it stopped: the person went on before the pause took effect.
    again: bool,
}

impl Downloads {
    /// Prepares downloads. `settings`: those of the environment, read anew for each command, and the user's key store, if `None`;
    /// with settings, a token is saved in `data`, which is the program's data folder. `wake` is called after each event, from any thread.
    pub fn new(settings: Option<HubSettings>, data: Option<PathBuf>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (outbox, events) = channel();
        let running = Mutex::new(HashMap::new());
        let secrets = match settings {
            Some(_) => Secrets::in_folder(data.clone()),
            None => Secrets::of_this_user(),
        };
        let shared = Shared { data, settings, secrets, running, outbox, wake: Box::new(wake) };
        Self { shared: Arc::new(shared), events, search: Stop::default() }
    }

    /// Remembers that this user accepts the terms of Google's models.
    ///
    /// # Errors
    /// [`HubError::Io`] where that cannot be written, also where this system has no folder for user data.
    pub fn accept_terms(&self) -> Result<()> {
        let no_folder = || io::Error::new(io::ErrorKind::NotFound, "this system has no folder for user data");
        let missing = || HubError::Io { path: PathBuf::new(), source: no_folder() };
        terms::accept(self.shared.data.as_deref().ok_or_else(missing)?)
    }

    /// Runs a command, without waiting.
    pub fn send(&mut self, command: Command) {
        let shared = self.shared.clone();
        match command {
            Command::Search(words) => {
                self.search.stop();
                self.search = Stop::default();
                let stop = self.search.clone();
                thread::spawn(move || {
                    let found = shared.client(stop).and_then(|client| client.search(&words, MAX_FOUND));
                    if !matches!(found, Err(HubError::Cancelled)) {
                        shared.send(Event::Found(words, found));
                    }
                });
            }
            Command::Plan(name) => {
                thread::spawn(move || {
                    let planned = shared.plan(&name).map(Box::new);
                    shared.send(Event::Planned(name, planned));
                });
            }
            Command::Start(name) => shared.start(name),
            Command::Pause(name) => shared.stop(name, false),
            Command::Cancel(name) => shared.stop(name, true),
            Command::FindToken => {
                thread::spawn(move || shared.send(Event::Token(shared.token_source())));
            }
            Command::LogIn(token) => {
                thread::spawn(move || {
                    let settings = shared.without_token();
                    let saved =
                        settings.and_then(|settings| log_in(settings, &shared.secrets, &token, Stop::default()));
                    shared.send(Event::LoggedIn(saved));
                });
            }
            Command::LogOut => {
                thread::spawn(move || {
                    let settings = shared.without_token();
                    let forgotten = settings.and_then(|settings| log_out(&settings.endpoint, &shared.secrets));
                    shared.send(Event::Token(forgotten.and_then(|_| shared.token_source())));
                });
            }
        }
    }

    /// The next event, if one is waiting.
    pub fn event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        self.search.stop();
        for running in self.shared.running().values_mut() {
            running.again = false;
            running.stop.stop();
        }
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: Event) {
        // Sending fails after the window is closed, when events no longer matter.
        let _ = self.outbox.send(event);
        (self.wake)();
    }

    fn settings(&self) -> Result<HubSettings> {
        let Some(settings) = &self.settings else { return HubSettings::from_env() };
        let token = match &settings.token {
            Some(token) => Some(token.clone()),
            None => saved(&settings.endpoint, &self.secrets)?,
        };
        Ok(HubSettings { token, ..settings.clone() })
    }

    fn without_token(&self) -> Result<HubSettings> {
        self.settings.clone().map_or_else(HubSettings::without_token, Ok)
    }

    fn token_source(&self) -> Result<Option<TokenSource>> {
        token_source(&self.without_token()?.endpoint, &self.secrets)
    }

    fn client(&self, stop: Stop) -> Result<Arc<Client>> {
        Ok(Arc::new(Client::new(self.settings()?, stop)?))
    }

    /// Asks the hub what a name leads to.
    fn look_up(&self, name: &str, stop: Stop) -> Result<(Arc<Client>, Cache, Plan)> {
        let client = self.client(stop)?;
        let cache = Cache::new(&client.settings().cache);
        let plan = plan_first(&client, &references(name)?)?;
        Ok((client, cache, plan))
    }

    fn plan(&self, name: &str) -> Result<Planned> {
        let (client, cache, plan) = self.look_up(name, Stop::default())?;
        // How matrices are split to fit bindings makes no difference worth opening a device for.
        let price = |files: ModelFiles| Ok(files.memory(&LoadOptions::default(), &Capabilities::webgpu())?);
        let memory = plan.open_remote(&client).and_then(price);
        Ok(Planned { present: plan.present(&cache), no_room: plan.check_disk(&cache).err(), memory, plan })
    }

    fn start(self: Arc<Self>, name: Name) {
        let stop = Stop::default();
        let mut all = self.running();
        match all.get_mut(&name) {
            Some(running) if running.stop.is_stopped() => return running.again = true,
            Some(_) => return,
            None => {}
        }
        all.insert(name.clone(), Running { stop: stop.clone(), deletes: false, again: false });
        drop(all);
        thread::spawn(move || {
            let mut planned = None;
            let result = self.download(&name, stop, &mut planned);
            self.end(name, result, planned);
        });
    }

    /// Tells how a download ended, or starts it again. Until what came of it is deleted, what starts under its name waits.
    fn end(self: Arc<Self>, name: Name, result: Result<PathBuf>, planned: Option<(Plan, Cache)>) {
        let mut all = self.running();
        let deletes =
            matches!(result, Err(HubError::Cancelled)) && all.get(&name).is_some_and(|running| running.deletes);
        let event = if deletes {
            drop(all);
            let event = self.delete_parts(name.clone(), planned);
            all = self.running();
            event
        } else {
            match result {
                Ok(path) => Event::Done(name.clone(), path),
                Err(HubError::Cancelled) => Event::Paused(name.clone()),
                Err(error) => Event::Failed(name.clone(), error),
            }
        };
        let again = all.remove(&name).is_some_and(|running| running.again);
        drop(all);
        // For the window a download that starts again never ended.
        if again && matches!(event, Event::Paused(_) | Event::Cancelled(_)) {
            self.start(name);
        } else {
            self.send(event);
        }
    }

    fn download(&self, name: &str, stop: Stop, planned: &mut Option<(Plan, Cache)>) -> Result<PathBuf> {
        let (client, cache, plan) = self.look_up(name, stop)?;
        *planned = Some((plan.clone(), cache.clone()));
        let accepted = |data: &Path| terms::are_accepted(data);
        if plan.under_terms && !self.data.as_deref().is_some_and(accepted) {
            return Err(HubError::TermsNotAccepted { model: plan.reference.repo.to_string(), terms: terms::TERMS });
        }
        plan.run(&client, &cache, &mut |progress| self.send(Event::Progress(name.to_owned(), progress.clone())))
    }

    fn stop(self: Arc<Self>, name: Name, deletes: bool) {
        let mut all = self.running();
        if let Some(running) = all.get_mut(&name) {
            running.deletes |= deletes;
            running.again = false;
            running.stop.stop();
            return;
        }
        // A download that is paused has no thread. What came of it is deleted on a new one, because its name must be looked up.
        if deletes {
            let stop = Stop::default();
            stop.stop();
            all.insert(name.clone(), Running { stop, deletes, again: false });
            drop(all);
            thread::spawn(move || self.end(name, Err(HubError::Cancelled), None));
        }
    }

    /// Deletes what came of a download, and says so. It is looked up where it was cancelled before it had a plan: its parts may be
    /// those of an earlier time.
    fn delete_parts(&self, name: Name, planned: Option<(Plan, Cache)>) -> Event {
        match planned.map_or_else(|| self.parts_of(&name), |planned| Ok(Some(planned))) {
            Ok(planned) => {
                if let Some((plan, cache)) = planned {
                    plan.delete_parts(&cache);
                }
                Event::Cancelled(name)
            }
            Err(error) => Event::Failed(name, error),
        }
    }

    /// What a name leads to, unless no part of it can be here.
    fn parts_of(&self, name: &str) -> Result<Option<(Plan, Cache)>> {
        let HubSettings { cache, endpoint, .. } = self.settings()?;
        let cache = Cache::new(&cache);
        if !references(name)?.iter().any(|reference| cache.has_parts(&reference.repo)) {
            return Ok(None);
        }
        let stop = Stop::default();
        let late = stop.clone();
        thread::spawn(move || {
            thread::sleep(MAX_LOOK_UP);
            late.stop();
        });
        let silent = |error| match error {
            HubError::Cancelled => {
                let host = endpoint.host_str().unwrap_or_default().to_owned();
                HubError::Network { host, reason: "it does not answer".to_owned() }
            }
            error => error,
        };
        let (_, cache, plan) = self.look_up(name, stop).map_err(silent)?;
        Ok(Some((plan, cache)))
    }
}
