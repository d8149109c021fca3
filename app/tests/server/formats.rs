//! Replies that must be JSON.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Running, question, with};

const CHAT: &str = "/v1/chat/completions";

fn with_schema(schema: Value) -> Value {
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
    with(question("How do I open a model?"), json!({"response_format": format, "max_tokens": 400}))
}

#[test]
fn a_reply_obeys_its_schema() {
    let server = Running::new();
    let schema = json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 12},
            "kind": {"enum": ["file", "folder"]},
            "count": {"type": "integer", "minimum": 3, "maximum": 7},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2, "maxItems": 2},
        },
        "required": ["title", "kind", "count", "tags"],
        "additionalProperties": false,
        "$defs": {"tag": {"type": "string", "pattern": "^[a-f]{4}$"}},
    });
    for sampling in [json!({}), json!({"temperature": 1.5, "top_k": 0, "top_p": 1.0, "seed": 5, "n": 2})] {
        let reply = server.post(CHAT, &with(with_schema(schema.clone()), sampling)).json();
        for choice in reply["choices"].as_array().unwrap() {
            assert_eq!(choice["finish_reason"], "stop", "{reply}");
            let content: Value = serde_json::from_str(choice["message"]["content"].as_str().unwrap()).unwrap();
            assert!(content["title"].as_str().unwrap().chars().count() <= 12);
            assert!(["file", "folder"].contains(&content["kind"].as_str().unwrap()));
            assert!((3..=7).contains(&content["count"].as_u64().unwrap()));
            let tags = content["tags"].as_array().unwrap();
            let is_tag = |tag: &Value| tag.as_str().unwrap().chars().all(|c| ('a'..='f').contains(&c));
            assert!(tags.len() == 2 && tags.iter().all(is_tag), "{content}");
            assert_eq!(content.as_object().unwrap().len(), 4);
        }
    }
}

#[test]
fn a_json_object_begins_as_one() {
    let server = Running::new();
    let body = with(
        question("How do I open a model?"),
        json!({"response_format": {"type": "json_object"}, "max_tokens": 300}),
    );
    let reply = server.post(CHAT, &body).json();
    let (choice, text) = (&reply["choices"][0], reply["choices"][0]["message"]["content"].as_str().unwrap());
    assert!(text.trim_start().starts_with('{'), "{reply}");
    if choice["finish_reason"] == "stop" {
        assert!(serde_json::from_str::<Value>(text).unwrap().is_object());
    }
}

#[test]
fn bad_schemas_are_refused_in_time_and_the_server_goes_on() {
    let server = Running::new();
    let mut deep = json!({"type": "string"});
    (0..60).for_each(|_| deep = json!({"type": "array", "items": deep}));
    let many = (0..20_000).map(|number| format!("word {number}")).collect::<Vec<_>>();
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let wide: Vec<Value> =
        (0..40).map(|i| json!({"anyOf": [pattern(&format!("a{{{i},}}b")), {"minLength": i}]})).collect();
    let bombs = [
        deep,
        json!({"enum": many}),
        json!({"$ref": "#/$defs/missing"}),
        json!({"$ref": "https://example.com/schema.json"}),
        json!({"type": "no such type"}),
        json!({"type": "string", "pattern": "("}),
        json!([1]),
        json!(7),
        pattern("((((a{1,100}){1,100}){1,100}){1,100})"),
        pattern("(.*a.{1000}){1000}"),
        json!({"type": "string", "minLength": 2_000_000_000u64}),
        json!({"type": "array", "minItems": 2_000_000_000u64, "items": {"type": "integer"}}),
        json!({"allOf": wide}),
        json!({"type": "integer", "minimum": 1e300, "maximum": 2e300}),
    ];
    for bomb in bombs {
        let shown: String = bomb.to_string().chars().take(80).collect();
        let started = Instant::now();
        let answer = server.post(CHAT, &with(with_schema(bomb), json!({"max_tokens": 4})));
        println!("{shown}: {} in {:?}", answer.status, started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(10), "{shown}");
        if answer.status != 200 {
            answer.is_error(400, "invalid_value");
        }
    }
    for schema in [json!({"$ref": "#/$defs/missing"}), json!({"type": "string", "pattern": "("}), json!(7)] {
        assert_eq!(
            server.post(CHAT, &with_schema(schema)).is_error(400, "invalid_value")["param"],
            "response_format.json_schema.schema"
        );
    }
    let body = with(question("Hello"), json!({"response_format": {"type": "xml"}}));
    assert_eq!(server.post(CHAT, &body).is_error(400, "invalid_value")["param"], "response_format");
    assert_eq!(server.post(CHAT, &question("Hello")).status, 200);
}
