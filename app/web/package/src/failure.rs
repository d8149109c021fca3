//! Errors as the page gets them.

use lapidary_engine::Error;
use serde_json::{Value, json};
use wasm_bindgen::JsValue;

/// The code of an error, for programs to compare; `index.d.ts` lists them.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Io { .. } => "read",
        Error::BadFile { .. }
        | Error::Config { .. }
        | Error::MissingTensor { .. }
        | Error::TensorShape { .. }
        | Error::Tokenizer { .. } => "bad_model",
        // The GPU works, but its limits do not allow this model.
        Error::Unsupported { .. } | Error::Adapter { .. } => "unsupported",
        Error::NoAdapter { .. } => "no_webgpu",
        Error::OutOfMemory { .. } => "out_of_memory",
        Error::DeviceLost { .. } => "device_lost",
        Error::Gpu { .. } | Error::NoToken { .. } => "gpu",
        Error::EmptyPrompt | Error::Setting { .. } | Error::TokenOutOfRange { .. } => "bad_argument",
        Error::ContextFull { .. } | Error::CacheFull { .. } => "context_full",
        _ => "internal",
    }
}

/// An error with its code and message.
pub(crate) fn to_json(error: &Error) -> Value {
    json!({ "code": code(error), "message": error.to_string() })
}

/// What a function that the worker calls fails with.
pub(crate) fn to_js(error: &Error) -> JsValue {
    to_json(error).to_string().into()
}
