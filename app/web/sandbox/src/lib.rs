//! What the sandbox of the page calls. It is a program of its own, because the page opens faster without its libraries. Elsewhere this
//! crate is empty.
#![cfg(target_arch = "wasm32")]

use lapidary_app::page;
use wasm_bindgen::prelude::*;

/// Gives the sandbox a message of the page.
#[wasm_bindgen]
pub fn tell_sandbox(message: &JsValue) {
    page::sandbox_worker::receive(message);
}
