//! The side of the downloads: it runs in a worker of the browser, the only place where files may be written piece by piece.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::download::Transfer;
use super::hub_client::{Client, Stop};
use super::script::post;
use super::{opfs, reason};
use crate::hub::{HubError, Name, Progress, Result, references, sentence, terms};

/// What the window asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Download, or go on with a download that was paused or failed.
    Start {
        name: Name,
        /// Where the hub is.
        hub: String,
        /// Whether the person accepted Gemma's terms.
        accepted: bool,
    },
    /// Stop a download, and keep what came.
    Pause(Name),
    /// Stop a download, and delete what came.
    Cancel(Name),
}

/// What the window is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// How far a download has come; about ten times a second.
    Progress(Name, Progress),
    /// The model is in the browser's file system.
    Done(Name),
    /// What came is kept.
    Paused(Name),
    /// What came is deleted.
    Cancelled(Name),
    /// The terms come before the download.
    AsksTerms(Name),
    /// The reason is a sentence. What came is kept.
    Failed(Name, String),
}

struct Running {
    stop: Stop,
    /// Whether what came is deleted once the download stopped.
    deletes: Cell<bool>,
    /// What starts again once it stopped: the person went on before the pause or the deletion took effect.
    again: RefCell<Option<Order>>,
}

thread_local! {
    static RUNNING: RefCell<HashMap<Name, Rc<Running>>> = RefCell::default();
}

/// Handles a message of the page: an order as JSON.
pub fn receive(message: &JsValue) {
    console_error_panic_hook::set_once();
    match serde_json::from_str(&message.as_string().unwrap_or_default()) {
        Ok(order) => handle(order),
        Err(error) => log::error!("the page sent what is no order: {error}"),
    }
}

fn handle(order: Order) {
    let name = match &order {
        Order::Start { name, .. } | Order::Pause(name) | Order::Cancel(name) => name.clone(),
    };
    let running = RUNNING.with_borrow(|all| all.get(&name).cloned());
    match (order, running) {
        (Order::Start { hub, accepted, .. }, None) => {
            let stop = Stop::new();
            let running = Running { stop: stop.clone(), deletes: Cell::new(false), again: RefCell::default() };
            RUNNING.with_borrow_mut(|all| all.insert(name.clone(), Rc::new(running)));
            spawn_local(run(name, Client { endpoint: hub, stop }, accepted));
        }
        (order @ Order::Start { .. }, Some(running)) => {
            if running.stop.stopped() {
                running.again.replace(Some(order));
            }
        }
        (order @ (Order::Pause(_) | Order::Cancel(_)), Some(running)) => {
            if matches!(order, Order::Cancel(_)) {
                running.deletes.set(true);
            }
            running.again.take();
            running.stop.stop();
        }
        (Order::Pause(_), None) => post(&Report::Paused(name)),
        // As if it had just stopped: what starts meanwhile waits until all is deleted.
        (Order::Cancel(_), None) => {
            let stop = Stop::new();
            stop.stop();
            let running = Running { stop, deletes: Cell::new(true), again: RefCell::default() };
            RUNNING.with_borrow_mut(|all| all.insert(name.clone(), Rc::new(running)));
            spawn_local(end(name, Err(HubError::Cancelled)));
        }
    }
}

async fn run(name: Name, client: Client, accepted: bool) {
    let result = download(&name, &client, accepted).await;
    end(name, result).await;
}

/// Tells how a download ended, or starts it again.
async fn end(name: Name, result: Result<()>) {
    let deletes = RUNNING.with_borrow(|all| all.get(&name).is_some_and(|running| running.deletes.get()));
    let report = match result {
        Ok(()) => Report::Done(name.clone()),
        Err(HubError::Cancelled) if deletes => forgotten(name.clone()).await,
        Err(HubError::Cancelled) => Report::Paused(name.clone()),
        Err(HubError::TermsNotAccepted { .. }) => Report::AsksTerms(name.clone()),
        Err(error) => Report::Failed(name.clone(), sentence(&error)),
    };
    let running = RUNNING.with_borrow_mut(|all| all.remove(&name));
    match running.and_then(|running| running.again.take()) {
        // For the window the download never ended.
        Some(order) if !matches!(report, Report::Failed(..)) => handle(order),
        _ => post(&report),
    }
}

async fn download(name: &Name, client: &Client, accepted: bool) -> Result<()> {
    let plan = client.plan_first(&references(name)?).await?;
    if plan.under_terms && !accepted {
        return Err(HubError::TermsNotAccepted { model: plan.reference.repo.to_string(), terms: terms::TERMS });
    }
    let report = |progress: &Progress| post(&Report::Progress(name.clone(), progress.clone()));
    Transfer { client, plan: &plan, name, report: &report }.run().await
}

/// Deletes what came of a download.
async fn forgotten(name: Name) -> Report {
    match opfs::forget(&name).await {
        Ok(()) => Report::Cancelled(name),
        Err(error) => {
            let text = format!("What came cannot be deleted: {}.", reason(&error));
            Report::Failed(name, text)
        }
    }
}
