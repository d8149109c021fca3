//! The files of a model, which scripts read.

use std::io;
use std::ops::Range;

use js_sys::Uint8Array;
use lapidary_engine::load::{ReadFuture, Source};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// An object with a name, a size in bytes and a function that reads a range of bytes: see `module/sources.js`.
    pub(crate) type JsFile;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn name(this: &JsFile) -> String;

    #[wasm_bindgen(method, getter)]
    fn size(this: &JsFile) -> f64;

    #[wasm_bindgen(method, catch)]
    async fn read(this: &JsFile, start: f64, end: f64) -> Result<JsValue, JsValue>;
}

/// A file that is read range by range, so that only what is being loaded is in memory.
pub(crate) struct FileSource(pub(crate) JsFile);

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.0.size() as u64
    }

    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        Box::pin(async move {
            // Exact: files are far smaller than 2^53 bytes. The worker keeps the error of a script itself.
            let bytes = self.0.read(range.start as f64, range.end as f64).await;
            let bytes = bytes.ok().and_then(|bytes| bytes.dyn_into::<Uint8Array>().ok());
            bytes.map(|bytes| bytes.to_vec().into()).ok_or_else(|| io::Error::other("it cannot be read"))
        })
    }
}

/// The files of an array of [`JsFile`] by name.
pub(crate) fn sources(files: &js_sys::Array) -> Vec<(String, Box<dyn Source>)> {
    let source = |file: JsValue| {
        let file: JsFile = file.unchecked_into();
        (file.name(), Box::new(FileSource(file)) as Box<dyn Source>)
    };
    files.iter().map(source).collect()
}
