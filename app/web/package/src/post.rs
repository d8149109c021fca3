//! Messages to the page.

use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The worker's own function, which sends a message to the page.
    #[wasm_bindgen(js_name = postMessage)]
    fn post_message(message: &str);
}

/// Sends a message to the page as JSON.
pub(crate) fn post(message: &Value) {
    post_message(&message.to_string());
}

/// Tells the page of a panic: nothing works after it. To be called before all else.
#[wasm_bindgen]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        post(&json!({ "ended": format!("the engine failed because of an internal error: {panic}") }));
    }));
}
