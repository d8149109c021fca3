//! The window of Lapidary as a page in a browser.
//!
//! The page draws and keeps the chats, in IndexedDB. The engine is in a worker of the browser, to which [`worker`] sends the
//! commands of [`crate::worker`]; [`engine`] is that worker's side. Another worker, [`download_worker`], downloads models, and
//! [`sandbox_worker`] draws formulas, colours code and reads PDF files. The other modules do here what the program does with the
//! system. The files in the folder `instead` are no modules of this one: each stands in place of the module with its path, where that
//! module is declared.

pub mod controls;
mod download;
pub(crate) mod download_handle;
pub mod download_worker;
pub mod engine;
pub(crate) mod files;
mod hub_client;
pub(crate) mod opfs;
pub(crate) mod sandbox;
pub mod sandbox_worker;
mod script;
pub(crate) mod storage;
mod worker;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use wasm_bindgen::JsValue;
use web_sys::HtmlCanvasElement;

use crate::chats::Store;
use crate::state::{Download, Model, State};
use crate::ui::{App, apply_style};
use crate::worker::Load;
use download_handle::Downloads;
use worker::PageWorker;

thread_local! {
    /// The content of the page, which both the browser's frames and [`state`] look at.
    static APP: RefCell<Option<Rc<RefCell<App>>>> = const { RefCell::new(None) };
}

/// Draws the window into a canvas from now on.
///
/// # Errors
/// The reason why the browser cannot draw, as it gives it.
pub async fn open(canvas: HtmlCanvasElement) -> Result<(), JsValue> {
    let create = |creation: &eframe::CreationContext<'_>| {
        apply_style(&creation.egui_ctx);
        let ctx = creation.egui_ctx.clone();
        controls::of(&ctx);
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || wake(&ctx));
        let worker = PageWorker::start(wake.clone());
        let downloads = Downloads::new(wake.clone());
        let mut state = State::new(Box::new(worker), Store::open(wake), Load::default());
        state.set_downloads(downloads);
        let mut app = App::new(state);
        app.use_system_dialogs();
        let app = Rc::new(RefCell::new(app));
        APP.set(Some(app.clone()));
        Ok(Box::new(Window(app)) as Box<dyn eframe::App>)
    };
    eframe::WebRunner::new().start(canvas, eframe::WebOptions::default(), Box::new(create)).await
}

/// Lets the window handle new events: in the next frame, or at once while the page is hidden and has no frames.
fn wake(ctx: &egui::Context) {
    ctx.request_repaint();
    let hidden = web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden());
    let app = if hidden { APP.with_borrow(Clone::clone) } else { None };
    // The events of a window that is busy are handled when it is done.
    if let Some(app) = &app
        && let Ok(mut app) = app.try_borrow_mut()
    {
        app.state.tick();
    }
}

/// Saves what waits for a pause in typing or for the next second of a reply. To be called when the page is hidden or left. Returns why
/// something cannot be saved, if that is so.
pub fn leave() -> Option<String> {
    let app = APP.with_borrow(Clone::clone)?;
    let mut app = app.try_borrow_mut().ok()?;
    app.state.save_now();
    app.state.unsaved_reason()
}

/// What the window shows, as JSON, for programs that test the page: the status of the model, the messages of the open chat, and
/// the titles of all chats, the downloads and models, and the rest that decides what a key does.
pub fn state() -> String {
    let app = APP.with_borrow(Clone::clone);
    let Some(app) = app.as_ref().and_then(|app| app.try_borrow().ok()) else { return "null".into() };
    let state = &app.state;
    let model = match &state.model {
        Model::None => json!({ "status": "none" }),
        Model::Loading { name, progress } => json!({ "status": "loading", "name": name, "progress": progress }),
        Model::Ready(loaded) => json!({ "status": "ready", "name": loaded.name, "driver": loaded.driver }),
        Model::Failed(problem) => json!({ "status": "failed", "reason": problem.sentence }),
    };
    let messages: Vec<_> = state.tree().map_or_else(Vec::new, |tree| {
        let message = |message: &crate::chats::Message| {
            json!({ "role": message.role, "text": message.text, "status": message.status, "speed": message.speed })
        };
        tree.branch().map(message).collect()
    });
    let chats: Vec<_> = state.visible_chats().into_iter().map(|chat| chat.shown_title().to_owned()).collect();
    let downloads: serde_json::Map<_, _> =
        state.hub.active.iter().map(|(name, download)| (name.clone(), download_state(download))).collect();
    let models: Vec<_> = state.models.iter().flatten().map(|model| (&model.path, model.bytes)).collect();
    let notices: Vec<_> = state.notices.iter().map(|notice| notice.text.clone()).collect();
    json!({
        "model": model,
        "replying": state.reply().is_some(),
        "messages": messages,
        "draft": state.draft(),
        "attached": state.attachments().iter().map(|file| &file.text).collect::<Vec<_>>(),
        "dialog": app.has_dialog(),
        "chats": chats,
        "saved": matches!(state.opened, Some(Ok(()))) && state.unsaved_reason().is_none(),
        "notices": notices,
        "formulasAndCode": sandbox::done(),
        "downloads": downloads,
        "models": models,
    })
    .to_string()
}

fn download_state(download: &Download) -> serde_json::Value {
    match download {
        Download::Running(progress) => json!({ "status": "running", "progress": progress }),
        Download::Paused => json!({ "status": "paused" }),
        Download::Failed(problem) => json!({ "status": "failed", "reason": problem.sentence }),
        Download::Done => json!({ "status": "done" }),
    }
}

struct Window(Rc<RefCell<App>>);

impl eframe::App for Window {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.0.borrow_mut().tick(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.0.borrow_mut().show(ui);
    }
}

/// The text of an error of the browser.
pub(crate) fn reason(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| "the browser gives no reason".into())
}
