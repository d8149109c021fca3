//! The file of results in a browser, which has no folders: the folder's path is the name of a cache.

use std::path::Path;

use wasm_bindgen::prelude::*;

use super::remembered::FILE;

#[wasm_bindgen(module = "/src/tune/browser.js")]
extern "C" {
    #[wasm_bindgen(js_name = read, catch)]
    async fn read_cache(cache: &str, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = write, catch)]
    async fn write_cache(cache: &str, name: &str, text: &str) -> Result<(), JsValue>;
}

/// The text of the file; empty if there is none.
pub(super) async fn read(folder: &Path) -> String {
    let text = read_cache(&folder.to_string_lossy(), FILE).await;
    text.ok().and_then(|text| text.as_string()).unwrap_or_default()
}

/// Replaces the file, unless the browser keeps nothing for this page.
pub(super) async fn write(folder: &Path, text: &str) -> Result<(), String> {
    write_cache(&folder.to_string_lossy(), FILE, text).await.map_err(|error| format!("{error:?}"))
}
