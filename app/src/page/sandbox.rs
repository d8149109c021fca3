//! The window's handle to the sandbox: a worker of the browser in which libraries read what a model or a stranger wrote. A panic of
//! one would end the page. It ends the sandbox, which is started again, and what it was reading is shown as it is.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::Poll;

use egui::Context;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

use super::reason;
use super::sandbox_worker::{Done, Job};
use super::script::{Failure, Script};
use crate::ui::markdown::formulas::tex::{Formula, Picture};
use crate::ui::markdown::highlight::{Answer, Request};

/// The script of the sandbox.
const SCRIPT: &str = "sandbox.js";
/// After so many panics the sandbox is not started again.
const MAX_PANICS: u32 = 8;
/// The most pictures that are kept until they are taken.
const MAX_PICTURES: usize = 512;
/// What is told where a file of the page is missing.
const NOT_STARTED: &str = "a file of the page cannot be loaded; reload the page";

thread_local! {
    static SANDBOX: Rc<Sandbox> = Rc::default();
}

/// What the functions that the browser calls share with the window.
#[derive(Default)]
struct Sandbox {
    script: RefCell<Option<Script>>,
    panics: Cell<u32>,
    /// What was sent and is not done, in order. The sandbox does one after the other, so a panic is that of the first.
    jobs: RefCell<VecDeque<Job>>,
    pictures: RefCell<HashMap<Formula, Option<Picture>>>,
    answers: RefCell<Vec<Answer>>,
    done: Cell<u32>,
}

/// The picture of a formula, once the sandbox has drawn it; `None` if it cannot.
pub(crate) fn picture(ctx: &Context, formula: &Formula) -> Poll<Option<Picture>> {
    let sandbox = SANDBOX.with(Clone::clone);
    if let Some(picture) = sandbox.pictures.borrow_mut().remove(formula) {
        return Poll::Ready(picture);
    }
    let job = Job::Formula(formula.clone());
    if !sandbox.jobs.borrow().contains(&job) {
        sandbox.send(ctx, job);
    }
    // It may have failed at once.
    sandbox.pictures.borrow_mut().remove(formula).map_or(Poll::Pending, Poll::Ready)
}

/// Sends code to the sandbox, which colours it.
pub(crate) struct Colouring(Context);

impl Colouring {
    /// The window is drawn again after each answer.
    #[expect(clippy::unnecessary_wraps, reason = "that of the program may fail to start")]
    pub(crate) fn start(ctx: &Context) -> Option<Self> {
        Some(Self(ctx.clone()))
    }

    /// Sends code. Returns whether an answer comes.
    pub(crate) fn send(&self, request: Request) -> bool {
        SANDBOX.with(Clone::clone).send(&self.0, Job::Code(request));
        true
    }

    /// The answers that came.
    #[expect(clippy::unused_self, reason = "as that of the program")]
    pub(crate) fn answers(&self) -> impl Iterator<Item = Answer> {
        SANDBOX.with(|sandbox| sandbox.answers.take()).into_iter()
    }
}

/// How many formulas and pieces of code the sandbox has done, for programs that test the page.
pub(super) fn done() -> u32 {
    SANDBOX.with(|sandbox| sandbox.done.get())
}

/// The text of a PDF file. It has a sandbox of its own, because it may take long.
///
/// # Errors
/// Why it cannot be read, as the end of a sentence.
pub(super) async fn pdf_text(file: &File) -> Result<String, String> {
    let mut script = Err(JsValue::UNDEFINED);
    let mut start = |resolve: js_sys::Function, reject: js_sys::Function| {
        let resolve = move |json: &str| drop(resolve.call1(&JsValue::UNDEFINED, &json.into()));
        let fail = move |_: &web_sys::Worker, failure| {
            let reason = match failure {
                Failure::Start => NOT_STARTED,
                Failure::Internal => "it is not a readable PDF file",
            };
            drop(reject.call1(&JsValue::UNDEFINED, &reason.into()));
        };
        script = Script::start(SCRIPT, resolve, fail);
    };
    let answer = Promise::new(&mut start);
    let script = script.map_err(|error| reason(&error))?;
    script.post(file).map_err(|error| reason(&error))?;
    let json = JsFuture::from(answer).await.map_err(|failure| reason(&failure))?;
    let text: Result<String, String> =
        serde_json::from_str(&json.as_string().unwrap_or_default()).map_err(|error| error.to_string())?;
    text
}

impl Sandbox {
    fn send(self: &Rc<Self>, ctx: &Context, job: Job) {
        self.jobs.borrow_mut().push_back(job.clone());
        if self.panics.get() >= MAX_PANICS || self.post(ctx, &job).is_err() {
            self.give_up();
        }
    }

    fn post(self: &Rc<Self>, ctx: &Context, job: &Job) -> Result<(), JsValue> {
        let json = serde_json::to_string(job).map_err(|error| JsValue::from(error.to_string()))?;
        let mut script = self.script.borrow_mut();
        let script = match script.take().filter(|script| !script.has_failed()) {
            Some(running) => script.insert(running),
            None => script.insert(self.start(ctx)?),
        };
        script.post(&json.into())
    }

    fn start(self: &Rc<Self>, ctx: &Context) -> Result<Script, JsValue> {
        let (receiver, failed) = (self.clone(), self.clone());
        let (wake, ctx) = (ctx.clone(), ctx.clone());
        let receive = move |json: &str| match serde_json::from_str(json) {
            Ok(done) => {
                receiver.receive(done);
                wake.request_repaint();
            }
            Err(error) => log::error!("the sandbox sent what is no result: {error}"),
        };
        let fail = move |worker: &web_sys::Worker, failure| {
            worker.set_onmessage(None);
            worker.terminate();
            failed.fail(&ctx, failure);
            ctx.request_repaint();
        };
        Script::start(SCRIPT, receive, fail)
    }

    fn receive(&self, done: Done) {
        self.jobs.borrow_mut().pop_front();
        self.done.set(self.done.get() + 1);
        match done {
            Done::Formula(formula, picture) => self.keep(formula, picture),
            Done::Code(answer) => self.answers.borrow_mut().push(answer),
        }
    }

    /// Ends the job that the sandbox failed at, and starts another sandbox for the others.
    fn fail(self: &Rc<Self>, ctx: &Context, failure: Failure) {
        // What comes later is tried again.
        if failure == Failure::Start {
            log::warn!("formulas and code are shown as they are: {NOT_STARTED}");
            return self.give_up();
        }
        self.panics.set(self.panics.get() + 1);
        if self.panics.get() >= MAX_PANICS {
            return self.give_up();
        }
        if let Some(job) = self.jobs.borrow_mut().pop_front() {
            self.end(job);
        }
        let others = self.jobs.borrow().clone();
        if others.iter().any(|job| self.post(ctx, job).is_err()) {
            self.give_up();
        }
    }

    /// Keeps a picture until the window takes it. Of a formula that is no longer shown it never does.
    fn keep(&self, formula: Formula, picture: Option<Picture>) {
        let mut pictures = self.pictures.borrow_mut();
        if pictures.len() >= MAX_PICTURES {
            pictures.clear();
        }
        pictures.insert(formula, picture);
    }

    fn give_up(&self) {
        for job in self.jobs.take() {
            self.end(job);
        }
    }

    /// What was asked for is shown as it is.
    fn end(&self, job: Job) {
        match job {
            Job::Formula(formula) => self.keep(formula, None),
            Job::Code(request) => self.answers.borrow_mut().push(request.plain()),
        }
    }
}
