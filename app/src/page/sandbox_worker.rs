//! The side of the sandbox: it draws formulas, colours code and reads PDF files.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use syntect::dumps::from_uncompressed_data;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::File;

use super::engine::fetch;
use super::files::read_file;
use super::script::post;
use crate::ui::markdown::formulas::tex::{self, Formula, Picture};
use crate::ui::markdown::highlight::colourer::Colourer;
use crate::ui::markdown::highlight::{Answer, Request};
use crate::worker::pdf_text;

/// The grammars of languages, beside the page.
const GRAMMARS: &str = "grammars.bin";

/// What the window asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Draw a formula.
    Formula(Formula),
    /// Colour code.
    Code(Request),
}

/// What the window gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    /// A formula, and its picture if it can be drawn.
    Formula(Formula, Option<Picture>),
    /// Coloured code.
    Code(Answer),
}

thread_local! {
    static JOBS: RefCell<VecDeque<Job>> = const { RefCell::new(VecDeque::new()) };
    static IS_WORKING: Cell<bool> = const { Cell::new(false) };
}

/// Handles a message of the page: a job as JSON, or a PDF file.
pub fn receive(message: &JsValue) {
    console_error_panic_hook::set_once();
    if let Some(file) = message.dyn_ref::<File>() {
        let file = file.clone();
        spawn_local(async move {
            let text = read_file(&file).await.and_then(|bytes| pdf_text(&bytes));
            post(&text);
        });
        return;
    }
    match serde_json::from_str(&message.as_string().unwrap_or_default()) {
        Ok(job) => {
            JOBS.with_borrow_mut(|jobs| jobs.push_back(job));
            if !IS_WORKING.replace(true) {
                spawn_local(work());
            }
        }
        Err(error) => log::error!("the page sent what is no job: {error}"),
    }
}

/// Does one job after the other. The grammars are fetched for the first code.
async fn work() {
    thread_local! {
        static COLOURER: RefCell<Option<Colourer>> = const { RefCell::new(None) };
    }
    while let Some(job) = JOBS.with_borrow_mut(VecDeque::pop_front) {
        match job {
            Job::Formula(formula) => {
                let picture = tex::draw(&formula);
                post(&Done::Formula(formula, picture));
            }
            Job::Code(request) => {
                let colourer = match COLOURER.take() {
                    Some(colourer) => Ok(colourer),
                    None => colourer().await,
                };
                match colourer {
                    Ok(mut colourer) => {
                        post(&Done::Code(colourer.answer(&request)));
                        COLOURER.set(Some(colourer));
                    }
                    Err(reason) => {
                        log::warn!("code is not coloured: {reason}");
                        post(&Done::Code(request.plain()));
                    }
                }
            }
        }
    }
    IS_WORKING.set(false);
}

async fn colourer() -> Result<Colourer, String> {
    let grammars = from_uncompressed_data(&fetch(GRAMMARS).await?).map_err(|error| error.to_string())?;
    Ok(Colourer::new(grammars))
}
