//! The models in the browser's own file system for this page: what the script beside this file does with them.

use std::path::{Path, PathBuf};

use js_sys::{Array, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;
use web_sys::File;

use super::reason;
use crate::hub::Name;

#[wasm_bindgen(module = "/src/page/opfs.js")]
extern "C" {
    #[wasm_bindgen(js_name = list, catch)]
    async fn list_models() -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = remove, catch)]
    async fn remove_model(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn forget(name: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = recordOf, catch)]
    async fn record_of(path: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = sizeOf, catch)]
    async fn size_of(path: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = room, catch)]
    async fn room_left() -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = writeText, catch)]
    pub(super) async fn write_text(path: &str, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = hasAccepted, catch)]
    fn has_accepted_terms(terms: &str) -> Result<bool, JsValue>;
    #[wasm_bindgen(js_name = accept, catch)]
    fn accept_terms(terms: &str) -> Result<(), JsValue>;

    /// The part of a model that is here, open for writing.
    #[derive(Clone)]
    pub(super) type Part;
    #[wasm_bindgen(static_method_of = Part, js_name = open, catch)]
    async fn open_part(path: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn size(this: &Part) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn read(this: &Part, bytes: &Uint8Array, at: f64) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn write(this: &Part, bytes: &Uint8Array, at: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn truncate(this: &Part, size: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    pub(super) fn close(this: &Part);
    #[wasm_bindgen(method, catch)]
    pub(super) async fn finish(this: &Part) -> Result<(), JsValue>;
}

/// What is kept beside a model that is complete, and beside a part from before its first byte comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What was asked for.
    pub(super) name: Name,
    /// The size that the file must have, in bytes.
    pub(super) size: u64,
    /// The SHA-256 that it must have, in hexadecimal.
    pub(super) sha256: String,
}

/// A model in the browser's file system.
pub(super) struct Stored {
    /// `owner/repository/file.gguf`, where the file may be in folders.
    pub(super) path: PathBuf,
    /// What was asked for.
    pub(super) name: Name,
    /// `None` while it is not complete.
    pub(super) file: Option<File>,
}

/// Whether the path is that of a model in the browser's file system, and not the name of a chosen file.
pub(crate) fn is_stored(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder != Path::new(""))
}

/// All models, also those that are not complete.
///
/// # Errors
/// The browser's reason.
pub(super) async fn list() -> Result<Vec<Stored>, String> {
    let found = list_models().await.map_err(|error| reason(&error))?;
    let stored = |row: JsValue| {
        let row: Array = row.dyn_into().ok()?;
        let file = row.get(2).dyn_into().ok();
        Some(Stored { path: row.get(0).as_string()?.into(), name: row.get(1).as_string()?, file })
    };
    Ok(Array::from(&found).iter().filter_map(stored).collect())
}

/// Deletes a model that is complete, or a part whose path ends in `.part`.
///
/// # Errors
/// The browser's reason.
pub(super) async fn remove(path: &str) -> Result<(), String> {
    remove_model(path).await.map_err(|error| reason(&error))
}

/// What is kept beside a model, or beside a part whose path ends in `.part`, if there is something readable.
pub(super) async fn record(path: &str) -> Result<Option<Record>, JsValue> {
    Ok(record_of(path).await?.as_string().and_then(|json| serde_json::from_str(&json).ok()))
}

/// Bytes of a model that is complete.
pub(super) async fn complete_size(path: &str) -> Result<Option<u64>, JsValue> {
    Ok(size_of(path).await?.as_f64().map(|bytes| bytes as u64))
}

/// Bytes that the browser still takes for this page, if it tells.
pub(super) async fn room() -> Option<u64> {
    room_left().await.ok()?.as_f64().map(|bytes| bytes as u64)
}

impl Part {
    /// Opens the part, or begins one. In a worker only.
    pub(super) async fn open(path: &str) -> Result<Self, JsValue> {
        Ok(Self::open_part(path).await?.unchecked_into())
    }
}

/// Whether the person accepted these terms.
pub(crate) fn has_accepted(terms: &str) -> bool {
    has_accepted_terms(terms).unwrap_or(false)
}

/// Remembers that the person accepts these terms.
///
/// # Errors
/// The browser's reason.
pub(crate) fn accept(terms: &str) -> Result<(), String> {
    accept_terms(terms).map_err(|error| reason(&error))
}
