//! A loaded model, and the requests that it answers.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use lapidary_engine::load::ChatTemplate;
use lapidary_engine::scheduler::{self, Event, RequestId};
use lapidary_engine::{Engine, Error, ModelFiles, Result, Scheduler, SchedulerOptions, Speculation};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::failure;
use crate::file::sources;
use crate::post::post;
use crate::reply::Reply;
use crate::request::{self, Request};

/// Loads a model from an array of [`JsFile`](crate::file::JsFile). The name of their folder may be empty. `options` are those of [`request::Load`]. Posts its progress.
///
/// # Errors
/// The JSON of an error. Where a script could not read a file, the worker knows a better one.
#[wasm_bindgen]
pub async fn load(folder: String, files: js_sys::Array, options: String) -> Result<Model, JsValue> {
    open(&folder, &files, &options).await.map_err(|error| failure::to_js(&error))
}

async fn open(folder: &str, files: &js_sys::Array, options: &str) -> Result<Model> {
    let options = request::parse::<request::Load>("an option", options)?.options()?;
    let files = ModelFiles::from_sources(folder, sources(files)).await?;
    let mut last = None;
    let builder = Engine::from_files(files).options(options).tuning_folder(TUNING).on_progress(move |progress| {
        let percent = progress.done.saturating_mul(100) / progress.total.max(1);
        if last.replace(percent) != Some(percent) {
            post(&json!({ "progress": { "phase": "load", "done": progress.done, "total": progress.total } }));
        }
        true
    });
    let engine = builder.build().await?;
    // Reports a damaged tokenizer now rather than at the first prompt.
    engine.tokenizer()?;
    let options = SchedulerOptions { sequences: 1, cache_tokens: engine.context() };
    let mut scheduler = Scheduler::new(&engine, &options).await?;
    scheduler.speculate(Speculation::from_text())?;
    let work = Work { scheduler, replies: HashMap::new(), failure: None };
    Ok(Model(Rc::new(Shared { engine, inbox: RefCell::default(), work: RefCell::new(Some(work)) })))
}

/// The cache of the browser that holds the results of tuning.
const TUNING: &str = "lapidary-tuning";

/// A loaded model.
#[wasm_bindgen]
pub struct Model(Rc<Shared>);

struct Shared {
    engine: Engine,
    /// What the page wants that the scheduler does not know yet.
    inbox: RefCell<VecDeque<Message>>,
    /// `None` while it computes.
    work: RefCell<Option<Work>>,
}

/// A wish of the page, which knows a reply by its number.
enum Message {
    Submit(u32, Request),
    Cancel(u32),
}

struct Work {
    scheduler: Scheduler,
    /// The replies that are not complete.
    replies: HashMap<RequestId, Reply>,
    /// Why a step failed. No reply can go on after that.
    failure: Option<Value>,
}

#[wasm_bindgen]
impl Model {
    /// What the page may know of the model, as JSON.
    pub fn info(&self) -> String {
        let engine = &self.0.engine;
        let template = match engine.chat_template() {
            ChatTemplate::Gemma => "gemma",
            ChatTemplate::Other => "other",
            ChatTemplate::Missing => "none",
        };
        json!({ "model": engine.name(), "context": engine.context(), "chatTemplate": template }).to_string()
    }

    /// Queues a request, whose pieces are posted with this number until one has an end, or else an error.
    pub fn reply(&self, id: u32, request: &str) {
        match Request::parse(request) {
            Ok(request) => self.tell(Message::Submit(id, request)),
            Err(error) => fail(id, &error),
        }
    }

    /// Ends the request of this number, if there is one: nothing of it follows.
    pub fn cancel(&self, id: u32) {
        self.tell(Message::Cancel(id));
    }
}

impl Model {
    fn tell(&self, message: Message) {
        self.0.inbox.borrow_mut().push_back(message);
        if let Some(work) = self.0.work.take() {
            spawn_local(self.0.clone().compute(work));
        }
    }
}

impl Shared {
    /// Computes until there is no request.
    async fn compute(self: Rc<Self>, mut work: Work) {
        loop {
            while let Some(message) = self.next() {
                work.handle(&self.engine, message);
            }
            if work.scheduler.is_idle() {
                break;
            }
            match work.scheduler.step().await {
                Ok(events) => events.into_iter().for_each(|event| work.take(event)),
                Err(error) => {
                    for (id, reply) in work.replies.drain() {
                        work.scheduler.cancel(id);
                        fail(reply.id, &error);
                    }
                    work.failure = Some(failure::to_json(&error));
                }
            }
        }
        *self.work.borrow_mut() = Some(work);
    }

    fn next(&self) -> Option<Message> {
        self.inbox.borrow_mut().pop_front()
    }
}

impl Work {
    fn handle(&mut self, engine: &Engine, message: Message) {
        match message {
            Message::Submit(id, request) => {
                if let Some(error) = &self.failure {
                    post(&json!({ "id": id, "error": error }));
                } else if let Err(error) = self.submit(engine, id, request) {
                    fail(id, &error);
                }
            }
            Message::Cancel(id) => {
                let found = self.replies.iter().find(|(_, reply)| reply.id == id).map(|(request, _)| *request);
                if let Some(request) = found {
                    self.replies.remove(&request);
                    self.scheduler.cancel(request);
                }
            }
        }
    }

    fn submit(&mut self, engine: &Engine, id: u32, request: Request) -> Result<()> {
        let tokenizer = engine.tokenizer()?.clone();
        let prompt = request.ids(&tokenizer)?;
        let reply = Reply::new(id, tokenizer, prompt.len(), request.stop.clone(), request.logprobs.is_some());
        let wanted =
            scheduler::Request { logprobs: request.logprobs, ..scheduler::Request::new(prompt, request.sampling()) };
        self.replies.insert(self.scheduler.submit(wanted)?, reply);
        Ok(())
    }

    /// Passes what happened on to the page.
    fn take(&mut self, event: Event) {
        let request = event.id();
        let Some(reply) = self.replies.get_mut(&request) else { return };
        let is_over = match event {
            Event::Token { token, logprobs, .. } => match reply.push(token, logprobs.as_ref()) {
                Ok(stopped) => stopped,
                Err(error) => {
                    fail(reply.id, &error);
                    true
                }
            },
            Event::Finished { finish, .. } => {
                reply.finish(finish);
                true
            }
            Event::Failed { error, .. } => {
                fail(reply.id, &error);
                true
            }
            // Log-probabilities of the prompt, which nobody asks for.
            _ => false,
        };
        if is_over {
            self.replies.remove(&request);
            self.scheduler.cancel(request);
        }
    }
}

fn fail(id: u32, error: &Error) {
    post(&json!({ "id": id, "error": failure::to_json(error) }));
}
