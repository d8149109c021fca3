//! In place of `hub::address`: browsers parse addresses themselves.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = URL)]
    type Url;
    #[wasm_bindgen(constructor, js_class = "URL", catch)]
    fn new(text: &str) -> Result<Url, JsValue>;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    fn protocol(this: &Url) -> String;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    fn hostname(this: &Url) -> String;
    #[wasm_bindgen(method, getter, js_class = "URL")]
    fn pathname(this: &Url) -> String;
}

/// The parts of an address that name a model.
pub(super) struct Address {
    pub(super) scheme: String,
    pub(super) host: String,
    /// With its escapes.
    pub(super) path: String,
}

impl Address {
    /// # Errors
    /// That the text is no address.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let url = Url::new(text).map_err(|_| "it is no address".to_owned())?;
        let scheme = url.protocol().trim_end_matches(':').to_owned();
        Ok(Self { scheme, host: url.hostname(), path: url.pathname() })
    }
}
