//! What replies hold.

use std::collections::BTreeSet;

use lapidary_app::chat_ability::completion_ids;
use lapidary_engine::Sampling;
use lapidary_engine::template::{Role, Turn, render};
use serde_json::{Value, json};

use crate::{Running, engine, question, with};

const QUESTION: &str = "How do I open a model?";

/// The prompt's tokens and the reply that the engine gives without a server.
pub(crate) fn expected(text: &str) -> (Vec<u32>, String) {
    let turns = [Turn { role: Role::User, text: text.into() }];
    let prompt = render(engine().tokenizer().unwrap(), None, &turns).unwrap();
    let mut chat = engine().chat();
    let mut reply = chat.send(text, &Sampling::greedy()).unwrap();
    let mut all = String::new();
    while let Some(piece) = reply.next_blocking().unwrap() {
        all += &piece;
    }
    (prompt, all)
}

/// Asserts that two values are equal, but for numbers, which differ where one was computed with more of the prompt in the cache.
#[track_caller]
fn nearly_equal(a: &Value, b: &Value) {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| nearly_equal(a, b));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{a:?} and {b:?}");
            a.values().zip(b.values()).for_each(|(a, b)| nearly_equal(a, b));
        }
        (Value::Number(a), Value::Number(b)) => {
            assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-4, "{a} and {b}");
        }
        (a, b) => assert_eq!(a, b),
    }
}

#[test]
fn a_chat_gets_the_engines_reply_with_its_tokens_counted() {
    let server = Running::new();
    let (prompt, text) = expected(QUESTION);
    let reply = server.post("/v1/chat/completions", &question(QUESTION)).json();
    assert_eq!(reply["object"], "chat.completion");
    assert_eq!(reply["model"], "guide");
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": text, "refusal": null}));
    assert_eq!(choice["finish_reason"], "stop");
    let usage = &reply["usage"];
    assert_eq!(usage["prompt_tokens"], prompt.len());
    let tokens = usage["completion_tokens"].as_u64().unwrap();
    assert!(tokens > 1 && tokens < text.len() as u64);
    assert_eq!(usage["total_tokens"], prompt.len() as u64 + tokens);
    let again = server.post("/v1/chat/completions", &question(QUESTION)).json();
    assert_eq!(again["choices"], reply["choices"]);
}

#[test]
fn a_stream_has_the_same_text_in_pieces() {
    let server = Running::new();
    let (prompt, text) = expected(QUESTION);
    let body = with(question(QUESTION), json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = server.post("/v1/chat/completions", &body).events();
    let (usage, events) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["prompt_tokens"], prompt.len());
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk" && event["usage"].is_null()));
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let last = &events[events.len() - 1]["choices"][0];
    assert_eq!((&last["finish_reason"], &last["delta"]), (&json!("stop"), &json!({})));
    let pieces: Vec<&str> =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(pieces.len() > 5);
    assert_eq!(pieces.concat(), text);
}

#[test]
fn a_stop_string_ends_the_reply_before_itself() {
    let server = Running::new();
    let (_, text) = expected(QUESTION);
    // It begins and ends within tokens.
    let middle = text.char_indices().nth(text.chars().count() / 2).unwrap().0;
    let end = text[middle..].char_indices().nth(12).unwrap().0 + middle;
    let stop = &text[middle..end];
    let before = &text[..text.find(stop).unwrap()];
    let body = with(question(QUESTION), json!({"stop": ["never said", stop]}));
    let reply = server.post("/v1/chat/completions", &body).json();
    assert_eq!(reply["choices"][0]["message"]["content"], before);
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    let events = server.post("/v1/chat/completions", &with(body, json!({"stream": true}))).events();
    let pieces = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), before);
}

#[test]
fn equal_seeds_give_equal_replies_and_each_of_several_has_its_own() {
    let server = Running::new();
    let ask = |fields: Value| {
        let fields = with(json!({"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_tokens": 24}), fields);
        let reply = server.post("/v1/chat/completions", &with(question("Hello"), fields)).json();
        let choices = reply["choices"].as_array().unwrap().clone();
        choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let two = ask(json!({"seed": 7, "n": 2}));
    assert_eq!(two.len(), 2);
    assert_ne!(two[0], two[1]);
    assert_eq!(ask(json!({"seed": 7}))[0], two[0]);
    assert_eq!(ask(json!({"seed": 8}))[0], two[1]);
}

#[test]
fn completions_take_texts_and_token_ids() {
    let server = Running::new();
    let ids = engine().tokenizer().unwrap().encode("The guide").unwrap();
    let ids = [vec![engine().tokenizer().unwrap().bos_id()], ids].concat();
    let ask = |prompt: Value| {
        let reply = server.post("/v1/completions", &json!({"prompt": prompt, "max_tokens": 8})).json();
        let choices = reply["choices"].as_array().unwrap().clone();
        assert_eq!(reply["object"], "text_completion");
        assert!(choices.iter().enumerate().all(|(index, choice)| choice["index"] == index));
        choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let text = ask(json!("The guide"));
    assert_eq!(text.len(), 1);
    assert_eq!(ask(json!(ids)), text);
    assert_eq!(ask(json!([ids])), text);
    let both = ask(json!(["A model", "The guide"]));
    assert_eq!(both.len(), 2);
    assert_eq!(both[1], text[0]);
    let limited = server.post("/v1/completions", &json!({"prompt": "A", "max_tokens": 1, "ignore_eos": true})).json();
    assert_eq!(limited["choices"][0]["finish_reason"], "length");
    assert_eq!(limited["usage"]["completion_tokens"], 1);
}

#[test]
fn an_echo_has_the_log_probabilities_of_the_prompt() {
    let server = Running::new();
    let prompt = "Lapidary runs Gemma";
    let body = json!({"prompt": prompt, "max_tokens": 1, "logprobs": 3, "echo": true, "ignore_eos": true});
    let reply = server.post("/v1/completions", &body).json();
    let choice = &reply["choices"][0];
    assert!(choice["text"].as_str().unwrap().starts_with(prompt), "{choice}");
    let numbers = choice["logprobs"]["token_logprobs"].as_array().unwrap();
    let ids = completion_ids(engine().tokenizer().unwrap(), prompt).unwrap();
    assert_eq!(numbers.len(), ids.len() + 1);
    assert!(numbers[0].is_null() && choice["logprobs"]["top_logprobs"][0].is_null());
    let mut session = engine().session_blocking().unwrap();
    session
        .logits_blocking(&ids, 0, |position, logits| {
            let Some(next) = ids.get(position + 1) else { return true };
            let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            let logprob = f64::from(logits[*next as usize]) - sum.ln();
            let served = numbers[position + 1].as_f64().unwrap();
            assert!((served - logprob).abs() < 1e-6, "{served} and {logprob} at {position}");
            true
        })
        .unwrap();
    // Greedily, the token chosen is the most probable one.
    let last = numbers[ids.len()].as_f64().unwrap();
    let top = choice["logprobs"]["top_logprobs"][ids.len()].as_object().unwrap();
    assert_eq!(top.len(), 3);
    assert!(top.values().all(|other| other.as_f64().unwrap() <= last));
    let nothing = json!({"prompt": prompt, "max_tokens": 0, "echo": true, "logprobs": 0});
    let reply = server.post("/v1/completions", &nothing).json();
    assert_eq!(reply["choices"][0]["text"], prompt);
    assert_eq!(reply["choices"][0]["logprobs"]["tokens"].as_array().unwrap().len(), ids.len());
}

/// As EleutherAI's `lm-eval` scores the ends of texts: it sends context and end as token ids, and reads what lies between the
/// context and the one token that is generated.
#[test]
fn ends_of_texts_are_scored_in_batches() {
    let server = Running::new();
    let ids = |text: &str| completion_ids(engine().tokenizer().unwrap(), text).unwrap();
    let texts = [("Gemma 2 has", " 42 layers"), ("To open a model,", " drop it on the window.")];
    let prompts: Vec<Vec<u32>> = texts.iter().map(|(start, end)| ids(&format!("{start}{end}"))).collect();
    let body = json!({"model": "guide", "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234,
        "echo": true});
    let reply = server.post("/v1/completions", &body).json();
    for ((index, prompt), (start, _)) in prompts.iter().enumerate().zip(texts) {
        let numbers = reply["choices"][index]["logprobs"]["token_logprobs"].as_array().unwrap();
        assert_eq!(numbers.len(), prompt.len() + 1);
        let served = &numbers[ids(start).len()..numbers.len() - 1];
        let served: f64 = served.iter().map(|number| number.as_f64().unwrap()).sum();
        let mut expected = 0.0;
        let mut session = engine().session_blocking().unwrap();
        let sink = |position: usize, logits: &[f32]| {
            if position + 1 >= ids(start).len() && position + 1 < prompt.len() {
                let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
                expected += f64::from(logits[prompt[position + 1] as usize]) - sum.ln();
            }
            true
        };
        session.logits_blocking(prompt, 0, sink).unwrap();
        assert!((served - expected).abs() < 1e-4 && expected < -0.01, "{served} and {expected}");
    }
}

#[test]
fn log_probabilities_of_a_chat_spell_the_reply() {
    let server = Running::new();
    let body = with(question(QUESTION), json!({"logprobs": true, "top_logprobs": 2}));
    let reply = server.post("/v1/chat/completions", &body).json();
    let choice = &reply["choices"][0];
    let content = choice["logprobs"]["content"].as_array().unwrap();
    let bytes = content.iter().flat_map(|token| token["bytes"].as_array().unwrap().clone());
    let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().unwrap() as u8).collect();
    assert_eq!(
        String::from_utf8(bytes).unwrap().trim_start(),
        choice["message"]["content"].as_str().unwrap().trim_start()
    );
    assert!(content.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2));
    assert!(content.iter().all(|token| token["logprob"].as_f64().unwrap() <= 0.0));
    // What OpenAI's API lacks: ids, and the token that ended the reply.
    let tokenizer = engine().tokenizer().unwrap();
    let ids: Vec<u32> = content.iter().map(|token| token["id"].as_u64().unwrap() as u32).collect();
    assert_eq!(tokenizer.decode(&ids).unwrap(), choice["message"]["content"].as_str().unwrap());
    let end = &choice["logprobs"]["end"];
    assert_eq!((&end["token"], &end["top_logprobs"][0]["id"]), (&json!("<end_of_turn>"), &end["id"]));
    assert!(engine().stop_ids().contains(&(end["id"].as_u64().unwrap() as u32)), "{end}");
    let cut = server.post("/v1/chat/completions", &with(body, json!({"max_tokens": 3}))).json();
    assert!(cut["choices"][0]["logprobs"].get("end").is_none(), "{cut}");
}

#[test]
fn log_probabilities_come_with_the_pieces_of_a_stream() {
    let server = Running::new();
    let body = with(question(QUESTION), json!({"logprobs": true, "top_logprobs": 1}));
    let reply = server.post("/v1/chat/completions", &body).json();
    let whole = reply["choices"][0]["logprobs"]["content"].clone();
    let events = server.post("/v1/chat/completions", &with(body, json!({"stream": true}))).events();
    let lists = events.iter().filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array());
    nearly_equal(&json!(lists.flatten().collect::<Vec<_>>()), &whole);
    nearly_equal(&events.last().unwrap()["choices"][0]["logprobs"]["end"], &reply["choices"][0]["logprobs"]["end"]);
    let body = json!({"prompt": "The guide", "max_tokens": 6, "logprobs": 1, "echo": true, "ignore_eos": true});
    let whole = server.post("/v1/completions", &body).json()["choices"][0].clone();
    let events = server.post("/v1/completions", &with(body, json!({"stream": true}))).events();
    for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        let lists = events.iter().filter_map(|event| event["choices"][0]["logprobs"][name].as_array());
        nearly_equal(&json!(lists.flatten().collect::<Vec<_>>()), &whole["logprobs"][name]);
    }
    let texts = events.iter().filter_map(|event| event["choices"][0]["text"].as_str());
    assert_eq!(texts.collect::<String>(), whole["text"].as_str().unwrap());
    // Each token's text is at its offset.
    let (tokens, offsets) = (&whole["logprobs"]["tokens"], whole["logprobs"]["text_offset"].as_array().unwrap());
    for (index, offset) in offsets.iter().enumerate().skip(1) {
        let rest: String = whole["text"].as_str().unwrap().chars().skip(offset.as_u64().unwrap() as usize).collect();
        assert!(rest.starts_with(tokens[index].as_str().unwrap()), "{whole}");
    }
}

#[test]
fn log_probabilities_end_where_a_stop_string_begins() {
    let server = Running::new();
    let body = with(question(QUESTION), json!({"logprobs": true}));
    let whole = server.post("/v1/chat/completions", &body).json()["choices"][0].clone();
    let tokens = whole["logprobs"]["content"].as_array().unwrap();
    let stop = tokens[4..6].iter().map(|token| token["token"].as_str().unwrap()).collect::<String>();
    let reply = server.post("/v1/chat/completions", &with(body, json!({"stop": stop}))).json()["choices"][0].clone();
    nearly_equal(&reply["logprobs"]["content"], &json!(tokens[..4]));
}

#[test]
fn biases_and_penalties_change_which_tokens_are_chosen() {
    let server = Running::new();
    let ask = |fields: Value| {
        let body =
            json!({"prompt": "The guide", "max_tokens": 12, "ignore_eos": true, "temperature": 0, "logprobs": 0});
        let reply = server.post("/v1/completions", &with(body, fields)).json();
        let tokens = reply["choices"][0]["logprobs"]["tokens"].as_array().unwrap().clone();
        tokens.iter().map(|token| token.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let id = engine().tokenizer().unwrap().encode(" a").unwrap()[0];
    let piece = engine().tokenizer().unwrap().piece(id).unwrap().replace('▁', " ");
    let plain = ask(json!({}));
    assert!(plain.iter().any(|token| *token != piece));
    assert_eq!(ask(json!({"logit_bias": {id.to_string(): 100}})), vec![piece.clone(); 12]);
    let first = engine().tokenizer().unwrap().id(&plain[0].replace(' ', "▁")).unwrap();
    assert_ne!(ask(json!({"logit_bias": {first.to_string(): -100}}))[0], plain[0]);
    // Of two tokens that exclude all others, penalties make each give way to the other, and rewards repeat the first.
    let other = engine().tokenizer().unwrap().encode(" the").unwrap()[0];
    let two = json!({id.to_string(): 100, other.to_string(): 100});
    let different = |penalty: i32| {
        let tokens = ask(json!({"logit_bias": two, "frequency_penalty": penalty, "presence_penalty": penalty}));
        tokens.into_iter().collect::<BTreeSet<String>>().len()
    };
    assert_eq!((different(2), different(-2)), (2, 1));
}

#[test]
fn system_messages_are_put_before_the_question() {
    let server = Running::new();
    let chat = |messages: Value| server.post("/tokenize", &json!({"messages": messages})).json();
    let folded = chat(json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]));
    let written = chat(json!([{"role": "user", "content": "Be brief.\n\nHello"}]));
    assert_eq!(folded["tokens"], written["tokens"]);
}

#[test]
fn tokens_become_the_same_text_again() {
    let server = Running::new();
    let text = "Grüße, <start_of_turn> & 你好";
    let tokens = server.post("/tokenize", &json!({"prompt": text, "add_special_tokens": false})).json();
    let ids = engine().tokenizer().unwrap().encode(text).unwrap();
    assert_eq!(tokens["tokens"], json!(ids));
    assert_eq!(tokens["count"], ids.len());
    assert_eq!(server.post("/detokenize", &json!({"tokens": ids})).json()["prompt"], text);
    let info = server.get("/tokenizer_info").json();
    assert_eq!((&info["bos_token"], &info["eos_token"]), (&json!("<bos>"), &json!("<eos>")));
    let with_bos = server.post("/tokenize", &json!({"prompt": text})).json();
    assert_eq!(with_bos["tokens"][0], engine().tokenizer().unwrap().bos_id());
}

#[test]
fn the_model_is_listed_and_the_numbers_are_counted() {
    let server = Running::new();
    let models = server.get("/v1/models").json();
    assert_eq!(models["data"][0]["id"], "guide");
    assert_eq!(server.get("/v1/models/guide").json(), models["data"][0]);
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    let reply = server.post("/v1/completions", &json!({"prompt": "A", "max_tokens": 5, "ignore_eos": true})).json();
    assert_eq!(reply["usage"]["completion_tokens"], 5);
    assert_eq!(server.metric("lapidary_reply_tokens_total"), 5);
    assert_eq!(server.metric("lapidary_replies_total"), 1);
    let line = "lapidary_http_requests_total{path=\"/v1/completions\",status=\"200\"} 1";
    assert!(server.get("/metrics").body.contains(line));
}
