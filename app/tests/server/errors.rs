//! Bad requests are refused in OpenAI's shape, and the server goes on.

use serde_json::{Value, json};

use crate::client::send;
use crate::{Running, engine, question, with};

const CHAT: &str = "/v1/chat/completions";
const COMPLETION: &str = "/v1/completions";

#[test]
fn wrong_values_name_their_field() {
    let server = Running::new();
    let chat = |name: &'static str, value: Value| (CHAT, name, with(question("Hello"), json!({name: value})));
    let completion =
        |name: &'static str, value: Value| (COMPLETION, name, with(json!({"prompt": "Hello"}), json!({name: value})));
    let cases = [
        chat("messages", json!("Hello")),
        chat("messages", json!([])),
        chat("messages", Value::Null),
        chat("temperature", json!("hot")),
        chat("temperature", json!(-1)),
        chat("temperature", json!(1e300)),
        chat("top_p", json!(1.5)),
        chat("n", json!(0)),
        chat("n", json!(1_000_000)),
        chat("max_tokens", json!(0)),
        chat("max_tokens", json!(-5)),
        chat("max_completion_tokens", json!(1e18)),
        chat("seed", json!("x")),
        chat("stop", json!([1])),
        chat("stop", json!("")),
        chat("stop", json!(vec!["x"; 1000])),
        chat("stream", json!("yes")),
        chat("stream_options", json!(true)),
        chat("top_logprobs", json!(3)),
        chat("presence_penalty", json!(3)),
        chat("frequency_penalty", json!("much")),
        chat("logit_bias", json!({"999999999": 1})),
        completion("prompt", json!({})),
        completion("prompt", json!([])),
        completion("prompt", json!([1, "x"])),
        completion("prompt", json!([-1])),
        completion("prompt", json!([4_294_967_296u64])),
        completion("prompt", json!([4_294_967_295u64])),
        completion("prompt", json!(vec!["x"; 1000])),
        completion("logprobs", json!(1000)),
        completion("echo", json!(1)),
    ];
    for (path, name, body) in cases {
        let answer = server.post(path, &body);
        let error = answer.is_error(400, "invalid_value");
        assert_eq!(error["param"], name, "{body} gave {answer:?}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let role = json!({"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]});
    assert_eq!(server.post(CHAT, &role).is_error(400, "invalid_value")["param"], "messages[1].role");
    assert_eq!(server.post(CHAT, &question("Hello")).status, 200);
}

#[test]
fn what_is_not_supported_is_refused_and_not_ignored() {
    let server = Running::new();
    for (name, value) in [
        ("tools", json!([{"type": "function"}])),
        ("tool_choice", json!("required")),
        ("store", json!(true)),
        ("max_token", json!(5)),
        ("prompt", json!("Hello")),
    ] {
        let body = with(question("Hello"), json!({name: value}));
        assert_eq!(server.post(CHAT, &body).is_error(400, "unsupported_parameter")["param"], name);
    }
    let image = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]});
    let error = server.post(CHAT, &image).is_error(400, "unsupported_parameter");
    assert_eq!(error["param"], "messages[0].content");
    // The values that change nothing are sent by many clients.
    let neutral = json!({"tools": [], "response_format": {"type": "text"}, "user": "somebody", "max_tokens": 1});
    assert_eq!(server.post(CHAT, &with(question("Hello"), neutral)).status, 200);
}

#[test]
fn bodies_that_are_no_request_are_refused() {
    let server = Running::new();
    let deep = "[".repeat(100_000);
    for body in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"prompt\": \"\xc3\x28\"}", b"{\"n\": 1e999}", deep.as_bytes()]
    {
        send(server.address, "POST", COMPLETION, &[], body).is_error(400, "invalid_json");
    }
}

#[test]
fn unknown_models_and_paths_are_not_found() {
    let server = Running::new();
    let body = with(question("Hello"), json!({"model": "gpt-4"}));
    assert_eq!(server.post(CHAT, &body).is_error(404, "model_not_found")["param"], "model");
    server.get("/v1/models/gpt-4").is_error(404, "model_not_found");
    server.get("/v1/nothing").is_error(404, "unknown_path");
    server.get(CHAT).is_error(405, "wrong_method");
}

#[test]
fn a_prompt_longer_than_the_context_is_refused() {
    let server = Running::new();
    let context = engine().context();
    let answer = server.post(COMPLETION, &json!({"prompt": vec![5; context + 1]}));
    answer.is_error(400, "context_length_exceeded");
    // One that fills it gets the one token that still has a place.
    let body = json!({"prompt": vec![5; context], "max_tokens": 9, "ignore_eos": true});
    let reply = server.post(COMPLETION, &body).json();
    assert_eq!(reply["usage"]["completion_tokens"], 1);
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
}
