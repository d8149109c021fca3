//! Which fields a request may have.

use serde_json::json;

use super::error::ApiError;
use super::fields::Fields;
use super::request::Kind;

/// Fields of both APIs that are read.
const READ: &[&str] = &[
    "model",
    "n",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "response_format",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "logprobs",
    "ignore_eos",
];
/// Fields of chats that are read.
const READ_IN_CHATS: &[&str] = &["messages", "max_completion_tokens", "top_logprobs"];
/// Fields of completions that are read.
const READ_IN_COMPLETIONS: &[&str] = &["prompt", "echo"];
/// Fields that do not change what a reply says.
const WITHOUT_EFFECT: &[&str] = &[
    "user",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
];

/// Refuses each field that would change the reply and is not done, rather than to answer as if it were not there.
pub(super) fn refuse_unsupported(kind: Kind, fields: &Fields) -> Result<(), ApiError> {
    let own = if kind == Kind::Chat { READ_IN_CHATS } else { READ_IN_COMPLETIONS };
    for name in fields.names() {
        let (neutral, message) = match name {
            name if [READ, own, WITHOUT_EFFECT].iter().any(|list| list.contains(&name)) => continue,
            "tools" | "functions" => {
                (vec![json!([])], "this server calls no tools; ask for the answer in the messages")
            }
            "tool_choice" | "function_call" => (vec![json!("none"), json!("auto")], "this server calls no tools"),
            "modalities" => (vec![json!(["text"])], "only text is supported"),
            "audio" => (Vec::new(), "only text is supported"),
            "suffix" => (vec![json!("")], "the model completes only at the end of a text"),
            "best_of" => (vec![json!(1)], "not supported; use n"),
            "store" => (vec![json!(false)], "this server stores nothing"),
            "reasoning_effort" => (vec![json!("none")], "the model does not reason before it answers"),
            "verbosity" => (vec![json!("medium")], "ask for a length in the messages"),
            _ => (Vec::new(), "this server does not know this field"),
        };
        fields.refuse(name, &neutral, message)?;
    }
    Ok(())
}
