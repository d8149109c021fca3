//! What the scripts of the page call. Elsewhere this crate is empty.
#![cfg(target_arch = "wasm32")]

use lapidary_app::page;
use wasm_bindgen::prelude::*;

/// Draws the window into a canvas from now on.
///
/// # Errors
/// The reason why the browser cannot draw, as it gives it.
#[wasm_bindgen]
pub async fn open_window(canvas: web_sys::HtmlCanvasElement) -> Result<(), JsValue> {
    page::open(canvas).await
}

/// What the window shows, as JSON.
#[wasm_bindgen]
pub fn window_state() -> String {
    page::state()
}

/// Where the controls of the window are, as JSON.
#[wasm_bindgen]
pub fn window_controls() -> String {
    page::controls::list()
}

/// Saves what is not saved yet. Returns why something cannot be saved, if that is so.
#[wasm_bindgen]
pub fn leave_page() -> Option<String> {
    page::leave()
}

/// Gives the downloads a message of the page, in a worker.
#[wasm_bindgen]
pub fn tell_downloads(message: &JsValue) {
    page::download_worker::receive(message);
}

/// Starts the engine, in a worker.
#[wasm_bindgen]
pub fn start_engine() {
    page::engine::start();
}

/// Gives the engine a message of the page.
#[wasm_bindgen]
pub fn tell_engine(message: &JsValue) {
    page::engine::receive(message);
}
