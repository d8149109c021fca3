//! The real engine, on a thread and a device of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use lapidary_engine::gpu::{AdapterChoice, adapters_blocking};
use lapidary_engine::load::TensorId;
use lapidary_engine::model::{KvCache, Weights};
use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{DeviceOptions, Engine, Error, ModelFiles, Result, Session, Timings};

use super::generate::{self, Told};
use super::{
    Counted, Event, Load, Loaded, Order, Price, Problem, Taken, WayOn, Worker, cache_format, look_at, short_name,
};
use crate::{guide, last_model, models};

/// How soon a stop is noticed.
const NOTICE: Duration = Duration::from_millis(20);
/// What is said of a file that brings down whoever reads it.
const UNREADABLE: &str = "The model cannot be read.";

/// The engine's thread, as the window has it.
pub struct EngineWorker {
    orders: Option<Sender<(u64, Order)>>,
    /// How many orders were sent.
    sent: u64,
    say: Say,
    events: Receiver<Event>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Sends an event and wakes the window.
#[derive(Clone)]
pub(super) struct Say {
    outbox: Sender<Event>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Say {
    pub(super) fn event(&self, event: Event) {
        // Nobody listens once the window is closed.
        let _ = self.outbox.send(event);
        (self.wake)();
    }
}

/// What both threads look at.
#[derive(Default)]
pub(super) struct Shared {
    /// The number of the order under way.
    pub(super) current: AtomicU64,
    /// Whether that is to load a model.
    loading: AtomicBool,
    /// Orders up to this one are to be stopped, whether they have begun or not, but for loads.
    stop_up_to: AtomicU64,
    /// The same of loads.
    stop_loads_up_to: AtomicU64,
    /// The number of the last load that was ordered.
    last_load: AtomicU64,
    tokenizer: Mutex<Option<Arc<Tokenizer>>>,
}

impl Shared {
    pub(super) fn stopped(&self) -> bool {
        let loading = self.loading.load(Ordering::SeqCst);
        let up_to = if loading { &self.stop_loads_up_to } else { &self.stop_up_to };
        self.current.load(Ordering::SeqCst) <= up_to.load(Ordering::SeqCst)
    }

    /// Whether another model is wanted by now.
    fn outdated(&self) -> bool {
        self.current.load(Ordering::SeqCst) < self.last_load.load(Ordering::SeqCst)
    }

    /// The bytes and tokens of texts; none without a tokenizer.
    fn count(&self, texts: Vec<(Counted, String)>) -> Vec<(Counted, usize, usize)> {
        let tokenizer = self.tokenizer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tokenizer) = tokenizer else { return Vec::new() };
        let count =
            |(name, text): (Counted, String)| Some((name, text.len(), tokenizer.encode_plain(&text).ok()?.len()));
        texts.into_iter().filter_map(count).collect()
    }

    /// Waits for the engine, but not after a stop: a future that is dropped is cancelled.
    pub(super) fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        while !self.stopped() {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result;
            }
            thread::park_timeout(NOTICE);
        }
        Err(Error::Cancelled)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl EngineWorker {
    /// Starts the thread. `wake` is called after each event.
    pub fn start(wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (orders, inbox) = mpsc::channel();
        let (outbox, events) = mpsc::channel();
        let say = Say { outbox, wake };
        let shared = Arc::new(Shared::default());
        let mut desk = Desk { say: say.clone(), shared: shared.clone(), ready: None };
        let work = move || {
            for (number, order) in inbox {
                desk.shared.current.store(number, Ordering::SeqCst);
                desk.shared.loading.store(matches!(order, Order::Load(_)), Ordering::SeqCst);
                if let Some(event) = guarded(order, |order| desk.follow(order)) {
                    // What it left half done is not to be trusted, nor to panic again while it is dropped.
                    let ready = desk.ready.take();
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(ready)));
                    desk.say.event(event);
                }
            }
        };
        let thread = thread::Builder::new().name("lapidary-engine".into()).spawn(work).ok();
        Self { orders: Some(orders), sent: 0, say, events, shared, thread }
    }

    /// Stops what was ordered so far, but for loads.
    fn stop(&self) {
        self.shared.stop_up_to.store(self.sent, Ordering::SeqCst);
    }

    /// Stops the loads that were ordered so far.
    fn stop_loads(&self) {
        self.shared.stop_loads_up_to.store(self.sent, Ordering::SeqCst);
    }

    /// Answers what needs no device, on a thread of its own: it may have to wait for a disk. Files come from anywhere;
    /// whatever they do, the window is waiting for the answer, which is `failed` where there is no other.
    fn aside(&self, failed: Event, work: impl FnOnce() -> Event + Send + 'static) {
        let (say, no_thread) = (self.say.clone(), failed.clone());
        let work = move || say.event(catch_unwind(AssertUnwindSafe(work)).unwrap_or(failed));
        if let Err(error) = thread::Builder::new().name("lapidary-aside".into()).spawn(work) {
            log::error!("the system gives no thread: {error}");
            self.say.event(no_thread);
        }
    }
}

impl Worker for EngineWorker {
    fn tell(&mut self, order: Order) {
        match order {
            Order::Stop => self.stop(),
            Order::CancelLoad => self.stop_loads(),
            Order::FindDevices => self.aside(Event::Devices(Vec::new()), || Event::Devices(adapter_names())),
            Order::FindModels(used) => {
                let failed = Event::Models(vec![models::guide("built in")]);
                self.aside(failed, move || Event::Models(models::found(&used)));
            }
            Order::Price(load) => {
                let failed = Event::Price(load.clone(), Err(UNREADABLE.into()));
                self.aside(failed, move || {
                    let price = price(&load).map_err(|error| Problem::from(&error).sentence);
                    Event::Price(load, price)
                });
            }
            Order::Count(texts) => {
                // A guess: without any number it would be asked for again at once, and for ever.
                let guess = |(name, text): &(Counted, String)| (*name, text.len(), text.len() / 4);
                let failed = Event::Counts(texts.iter().map(guess).collect());
                let shared = self.shared.clone();
                self.aside(failed, move || Event::Counts(shared.count(texts)));
            }
            Order::Look(path) => {
                let name = short_name(Some(path.as_path()));
                let failed = Event::Taken(Taken::Nothing(format!("{name} cannot be read.")));
                self.aside(failed, move || Event::Taken(look_at(&path)));
            }
            Order::Check(load) => {
                let problem = Problem { sentence: UNREADABLE.into(), way_on: WayOn::OtherFile };
                let failed = Event::Checked(load.clone(), Err(problem));
                self.aside(failed, move || {
                    let checked = price(&load).map(|_| ()).map_err(|error| Problem::from(&error));
                    Event::Checked(load, checked)
                });
            }
            Order::Load(_) | Order::Generate { .. } | Order::Alternatives { .. } | Order::Profile => {
                // Another model is wanted: the one that is loading is not, nor what the present one says.
                let load = matches!(order, Order::Load(_));
                if load {
                    self.stop();
                    self.stop_loads();
                }
                self.sent += 1;
                if load {
                    self.shared.last_load.store(self.sent, Ordering::SeqCst);
                }
                let Some(orders) = &self.orders else { return };
                // It fails where the system gave no thread.
                if let Err(SendError((_, order))) = orders.send((self.sent, order)) {
                    let sentence =
                        "The system gives the engine no thread. Close other programs and start Lapidary again.";
                    let problem = Problem { sentence: sentence.into(), way_on: WayOn::Retry };
                    if let Some(event) = failure(&order, problem) {
                        self.say.event(event);
                    }
                }
            }
        }
    }

    fn event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// Waits for the thread: the device must not be dropped while the program ends.
impl Drop for EngineWorker {
    fn drop(&mut self) {
        self.stop();
        self.stop_loads();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Follows an order; where that panics, what is to be said of it. Silence would look like an engine that still thinks.
fn guarded(order: Order, follow: impl FnOnce(Order)) -> Option<Event> {
    let way_on = if matches!(order, Order::Load(_)) { WayOn::Retry } else { WayOn::Reload };
    let sentence = "The engine met an error of its own and had to give the model up; nothing that was said is lost.";
    let event = failure(&order, Problem { sentence: sentence.into(), way_on });
    catch_unwind(AssertUnwindSafe(|| follow(order))).err().and(event)
}

/// That an order came to nothing.
fn failure(order: &Order, problem: Problem) -> Option<Event> {
    match order {
        Order::Load(_) => Some(Event::NotLoaded(problem)),
        Order::Generate { reply, .. } => Some(Event::Failed(*reply, problem)),
        Order::Alternatives { message, at, .. } => {
            Some(Event::Alternatives { message: *message, at: *at, list: Err(problem.sentence) })
        }
        Order::Profile => Some(Event::Profile(Err(problem.sentence))),
        _ => None,
    }
}

/// The thread's own.
struct Desk {
    say: Say,
    shared: Arc<Shared>,
    ready: Option<Ready>,
}

/// A model with the one session that all chats share: what two chats have in common is computed once.
struct Ready {
    engine: Engine,
    session: Option<Session>,
}

impl Desk {
    fn follow(&mut self, order: Order) {
        match order {
            Order::Load(load) => self.load(load),
            Order::Generate { reply, turns, system, sampling, overflow } => {
                let told = Told { turns, system };
                let (shared, say) = (self.shared.clone(), self.say.clone());
                let result = self
                    .session()
                    .and_then(|session| generate::reply(session, &shared, &say, reply, &told, &sampling, overflow));
                match result {
                    Ok(()) => {}
                    Err(Error::Cancelled) => {
                        self.say.event(Event::Ended { reply, finish: None, timings: Timings::default() });
                    }
                    Err(error) => {
                        self.forget_if_lost(&error);
                        self.say.event(Event::Failed(reply, Problem::from(&error)));
                    }
                }
            }
            Order::Alternatives { message, at, turns, system } => {
                let shared = self.shared.clone();
                let list = self
                    .session()
                    .and_then(|session| generate::alternatives(session, &shared, &Told { turns, system }))
                    .map_err(|error| Problem::from(&error).sentence);
                self.say.event(Event::Alternatives { message, at, list });
            }
            Order::Profile => {
                let shared = self.shared.clone();
                let profile = self
                    .session()
                    .and_then(|session| generate::profile(session, &shared))
                    .map_err(|error| Problem::from(&error).sentence);
                self.say.event(Event::Profile(profile));
            }
            _ => {}
        }
    }

    fn load(&mut self, load: Load) {
        // First, so that there is room for the next.
        self.ready = None;
        *self.shared.tokenizer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let result = self.build(&load).and_then(|(engine, loaded)| {
            let tokenizer = engine.tokenizer().ok().cloned();
            *self.shared.tokenizer.lock().unwrap_or_else(PoisonError::into_inner) = tokenizer;
            self.ready = Some(Ready { engine, session: None });
            // Its buffers and pipelines, before the first question asks for them.
            self.session()?;
            Ok(loaded)
        });
        if result.is_err() {
            self.ready = None;
        }
        // Nobody waits for this one any more.
        if self.shared.outdated() {
            return;
        }
        match result {
            Ok(loaded) => {
                match &load.model {
                    Some(path) => last_model::remember(path),
                    None => last_model::forget(),
                }
                self.say.event(Event::Loaded(Box::new(loaded)));
            }
            Err(Error::Cancelled) => {
                let sentence = "Loading was cancelled, so there is no model.".into();
                self.say.event(Event::NotLoaded(Problem { sentence, way_on: WayOn::Resume }));
            }
            Err(error) => self.say.event(Event::NotLoaded(Problem::from(&error))),
        }
    }

    fn build(&self, load: &Load) -> Result<(Engine, Loaded)> {
        let files = open(load.model.as_deref())?;
        let name = if load.model.is_none() { "Guide".to_owned() } else { files.name() };
        let price = price_of(&files, load)?;
        let longest_context = files.config().context_length;
        self.say.event(Event::Loading { name: name.clone(), share: 0.0 });
        let (say, shared, title) = (self.say.clone(), self.shared.clone(), name.clone());
        let mut last = 0;
        let mut builder = Engine::from_files(files).device(device(load)).on_progress(move |progress| {
            let percent = progress.done.saturating_mul(100) / progress.total.max(1);
            if percent != last {
                last = percent;
                say.event(Event::Loading { name: title.clone(), share: percent as f32 / 100.0 });
            }
            !shared.stopped()
        });
        if let Some(format) = load.weights {
            builder = builder.weights(format);
        }
        if let Some(context) = load.context {
            builder = builder.context(context.clamp(1, longest_context));
        }
        if let Some(folder) = last_model::folder() {
            builder = builder.cache_folder(folder);
        }
        let engine = self.shared.wait(builder.build())?;
        // One that is damaged: better now than after the first question.
        engine.tokenizer()?;
        let info = engine.gpu().info();
        let driver = format!("{} {}", info.driver, info.driver_info);
        let loaded = Loaded {
            load: load.clone(),
            name,
            context: engine.context(),
            longest_context,
            adapter: info.name.clone(),
            driver: format!("{}, {}", driver.trim(), info.backend.to_str()),
            price: Price { memory: engine.gpu().memory_bytes(), ..price },
        };
        Ok((engine, loaded))
    }

    fn session(&mut self) -> Result<&mut Session> {
        let Some(ready) = &mut self.ready else {
            return Err(Error::DeviceLost { reason: "no model is loaded".into() });
        };
        let session = match ready.session.take() {
            Some(session) => session,
            None => self.shared.wait(ready.engine.session())?,
        };
        Ok(ready.session.insert(session))
    }

    /// A device that is lost never comes back; the model has to be loaded again.
    fn forget_if_lost(&mut self, error: &Error) {
        if matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. }) {
            self.ready = None;
        }
    }
}

fn open(path: Option<&Path>) -> Result<ModelFiles> {
    match path {
        Some(path) => ModelFiles::open(path),
        None => guide::files(),
    }
}

fn device(load: &Load) -> DeviceOptions {
    let mut options = DeviceOptions::from_env();
    if let Some(device) = &load.device {
        let numbered = device.rsplit_once(" #").is_some_and(|(_, number)| number.parse::<usize>().is_ok());
        let place = if numbered { adapter_names().iter().position(|name| name == device) } else { None };
        options.adapter = place.map_or_else(|| AdapterChoice::Named(device.clone()), AdapterChoice::Index);
    }
    options
}

/// The names of the adapters, the fastest first.
fn adapter_names() -> Vec<String> {
    distinct(adapters_blocking().iter().map(|adapter| adapter.get_info().name).collect())
}

/// Names with a number behind those that were there before: two cards of one kind are two.
fn distinct(names: Vec<String>) -> Vec<String> {
    let before = |place: usize| names[..place].iter().filter(|name| **name == names[place]).count();
    let name = |place: usize| match before(place) {
        0 => names[place].clone(),
        before => format!("{} #{}", names[place], before + 1),
    };
    (0..names.len()).map(name).collect()
}

/// What a model would take. The device's memory is known only once it is open.
fn price(load: &Load) -> Result<Price> {
    price_of(&open(load.model.as_deref())?, load)
}

fn price_of(files: &ModelFiles, load: &Load) -> Result<Price> {
    let config = files.config();
    let stored = load.weights.unwrap_or(files.tensor(TensorId::Embedding)?.format);
    let context = load.context.unwrap_or(config.context_length.min(8192)).min(config.context_length);
    Ok(Price {
        weights: Weights::bytes(files, load.weights)?,
        cache: KvCache::bytes(config, cache_format(stored), context),
        memory: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_as_a_failure_with_a_way_on() {
        let load = || Order::Load(Load::default());
        let event = guarded(load(), |_| panic!("as a test"));
        assert!(matches!(event, Some(Event::NotLoaded(Problem { way_on: WayOn::Retry, .. }))), "{event:?}");
        let sampling = lapidary_engine::Sampling::default();
        let (turns, system, overflow) = (Vec::new(), String::new(), super::super::Overflow::Ask);
        let order = Order::Generate { reply: 7, turns, system, sampling, overflow };
        let event = guarded(order, |_| panic!("as a test"));
        assert!(matches!(event, Some(Event::Failed(7, Problem { way_on: WayOn::Reload, .. }))), "{event:?}");
        assert!(guarded(load(), |_| {}).is_none());
    }

    #[test]
    fn what_panics_aside_is_answered_all_the_same() {
        let worker = EngineWorker::start(Arc::new(|| {}));
        worker.aside(Event::Devices(vec!["fallback".into()]), || panic!("as a test"));
        let event = worker.events.recv_timeout(Duration::from_secs(20));
        assert!(matches!(&event, Ok(Event::Devices(names)) if *names == ["fallback"]), "{event:?}");
    }

    #[test]
    fn two_adapters_of_one_name_can_be_told_apart() {
        let names = ["Card", "Other", "Card", "Card"].map(str::to_owned).to_vec();
        assert_eq!(distinct(names), ["Card", "Other", "Card #2", "Card #3"]);
    }

    #[test]
    fn stopping_a_reply_stops_no_load() {
        let shared = Shared::default();
        shared.current.store(3, Ordering::SeqCst);
        shared.stop_up_to.store(3, Ordering::SeqCst);
        assert!(shared.stopped());
        shared.loading.store(true, Ordering::SeqCst);
        assert!(!shared.stopped());
        shared.stop_loads_up_to.store(3, Ordering::SeqCst);
        assert!(shared.stopped() && !shared.outdated());
        shared.last_load.store(4, Ordering::SeqCst);
        assert!(shared.outdated());
    }
}
