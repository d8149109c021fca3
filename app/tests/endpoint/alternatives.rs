//! What a server's model might have said in place of a word.

use std::io::Write;
use std::sync::Arc;

use lapidary_app::chats::Role;
use lapidary_app::endpoint::{Address, Client, Keys, STALL, ServerModel};
use lapidary_app::guide;
use lapidary_app::hub::Stop as HubStop;
use lapidary_app::worker::{Candidate, Command, EngineWorker, Event, Load, NextToken, Overflow, Worker};
use lapidary_engine::{Engine, Sampling};
use serde_json::{Value, json};

use crate::running::{Running, options};
use crate::server::{Server, begin, end, list, piece, respond};
use crate::worker::{generate, next, worker};

/// Another Lapidary that serves the guide.
fn other() -> Running {
    let engine = Engine::from_files(guide::files().unwrap()).build_blocking().unwrap();
    Running::start(&engine, options())
}

/// A worker with a model; `None` for the guide on this machine.
fn loaded(server: Option<ServerModel>) -> EngineWorker {
    let mut worker = EngineWorker::with_keys(Arc::new(|| {}), Keys::default());
    worker.send(Command::Load(Load { server, ..Load::default() }));
    loop {
        match next(&mut worker) {
            Event::Loaded(_) => return worker,
            Event::NotLoaded(problem) => panic!("{problem:?}"),
            _ => {}
        }
    }
}

/// The whole reply to a command, which has the id 7, and whether it ended well.
fn reply(worker: &mut EngineWorker, command: Command) -> (String, bool) {
    worker.send(command);
    let mut text = String::new();
    loop {
        match next(worker) {
            Event::ReplyText(7, piece) => text.push_str(&piece),
            Event::Ended { .. } => return (text, true),
            Event::Failed(..) => return (text, false),
            _ => {}
        }
    }
}

fn alternatives(worker: &mut EngineWorker, question: &str, before: &str) -> Result<Vec<Candidate>, String> {
    let turns = vec![(Role::User, question.to_owned()), (Role::Model, before.to_owned())];
    worker.send(Command::Alternatives { message: 7, at: before.len(), turns, system: String::new(), plain: false });
    match next(worker) {
        Event::Alternatives { message: 7, list, .. } => list,
        event => panic!("{event:?}"),
    }
}

#[test]
fn they_are_those_that_the_model_has_itself() {
    const QUESTION: &str = "How do I open a model?";
    let server = other();
    let address = Address::parse(&server.address.to_string()).unwrap();
    let mut there = loaded(Some(ServerModel { address, model: guide::NAME.into() }));
    let mut here = loaded(None);
    let sampling = Sampling { max_tokens: Some(40), ..Sampling::greedy() };
    let turns = vec![(Role::User, QUESTION.to_owned())];
    let command =
        Command::Generate { reply: 7, turns, system: String::new(), plain: false, sampling, overflow: Overflow::Ask };
    let (text, ended) = reply(&mut there, command);
    assert!(ended && text.len() > 40, "{text}");
    let spaces = text.match_indices(' ').map(|(at, _)| at);
    let mut compared = 0;
    for at in [0].into_iter().chain(spaces.take(8)) {
        let served = alternatives(&mut there, QUESTION, &text[..at]).unwrap();
        let own = alternatives(&mut here, QUESTION, &text[..at]).unwrap();
        assert_eq!(served.len(), own.len());
        // Greedily, the first one was said.
        assert!(matches!(&served[0].0, NextToken::Text(said) if text[at..].starts_with(said.as_str())), "{served:?}");
        for ((_, one), (_, other)) in served.iter().zip(&own) {
            assert!((one - other).abs() < 1e-3, "at {at} of {text}: {served:?} and {own:?}");
        }
        assert_eq!(served[0], (own[0].0.clone(), served[0].1));
        compared += 1;
    }
    assert!(compared > 5, "{text}");
}

/// The event of a token with its alternatives.
fn scored(text: &str, others: &[(&str, f64)]) -> String {
    let top: Vec<Value> = others.iter().map(|(token, p)| json!({"token": token, "logprob": p.ln()})).collect();
    let token = json!({"token": text, "logprob": -1.0, "bytes": text.as_bytes(), "top_logprobs": top});
    let choice = json!({"index": 0, "delta": {"content": text}, "logprobs": {"content": [token]}});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

#[test]
fn a_server_that_refuses_log_probabilities_still_answers() {
    for (status, body) in [
        ("400 Bad Request", r#"{"error": {"message": "Bad request"}}"#),
        ("422 Unprocessable Entity", ""),
        ("403 Forbidden", r#"{"error": {"message": "You are not allowed to request logprobs from this model."}}"#),
        ("500 Internal Server Error", r#"{"error": {"message": "logprobs is not supported"}}"#),
    ] {
        let server = Server::new(move |seen, stream| match seen.path.as_str() {
            "/v1/models" => respond(stream, "200 OK", "", &list(&["gemma"])),
            _ if seen.body.get("logprobs").is_some() || seen.body.get("top_logprobs").is_some() => {
                respond(stream, status, "", body)
            }
            _ => {
                begin(stream)?;
                stream.write_all((piece("Yes.") + &end("stop")).as_bytes())
            }
        });
        let mut worker = worker(&server, Keys::default());
        for _ in 0..2 {
            let reply = reply(&mut worker, generate(&[(Role::User, "Hello")], false));
            assert_eq!(reply, ("Yes.".into(), true), "{status}");
        }
        let asked: Vec<bool> = server
            .seen()
            .iter()
            .filter(|seen| seen.path != "/v1/models")
            .map(|seen| seen.body["logprobs"] == true)
            .collect();
        assert_eq!(asked, [true, false, false], "{status}");
        let reason = alternatives(&mut worker, "Hello", "").unwrap_err();
        assert!(reason.contains("none for this word"), "{reason}");
    }
}

/// As llama-cpp-python's server does without `--logits_all true`.
#[test]
fn a_server_that_breaks_off_over_them_is_asked_without_from_then_on() {
    let event = "data: {\"error\": {\"message\": \"logprobs is not supported\"}}\n\n";
    for broken in ["0\r\n\r\n".to_owned(), format!("{:x}\r\n{event}\r\n0\r\n\r\n", event.len())] {
        // It says that the connection stays open, and closes it.
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let broken = format!("{head}{broken}");
        let server = Server::new(move |seen, stream| match seen.path.as_str() {
            "/v1/models" => respond(stream, "200 OK", "", &list(&["gemma"])),
            _ if seen.body.get("logprobs").is_some() => stream.write_all(broken.as_bytes()),
            _ => {
                begin(stream)?;
                stream.write_all((piece("Yes.") + &end("stop")).as_bytes())
            }
        });
        let mut worker = worker(&server, Keys::default());
        for _ in 0..2 {
            assert_eq!(reply(&mut worker, generate(&[(Role::User, "Hello")], false)), ("Yes.".into(), true));
        }
        let chats = server.seen().into_iter().filter(|seen| seen.path != "/v1/models");
        let asked: Vec<bool> = chats.map(|seen| seen.body["logprobs"] == true).collect();
        assert_eq!(asked, [true, false, false]);
    }
}

#[test]
fn a_reply_that_was_cut_has_them_too() {
    let server = Server::replying(
        &(scored("The", &[("The", 0.75), ("A", 0.25)]) + &scored(" cat", &[(" cat", 0.5), (" dog", 0.5)])),
    );
    let mut worker = worker(&server, Keys::default());
    assert_eq!(reply(&mut worker, generate(&[(Role::User, "Hello")], false)), ("The cat".into(), false));
    let text = |text: &str| NextToken::Text(text.to_owned());
    let first = alternatives(&mut worker, "Hello", "").unwrap();
    assert_eq!(first, [(text("The"), 0.75), (text("A"), 0.25)]);
    let second = alternatives(&mut worker, "Hello", "The").unwrap();
    assert_eq!(second, [(text(" cat"), 0.5), (text(" dog"), 0.5)]);
}

/// Such as llama-cpp-python's, which gives log-probabilities only with `--logits_all true`:
///
///     python -m llama_cpp.server --model guide.gguf --logits_all true
///     LAPIDARY_PEER=http://127.0.0.1:8000/v1 cargo test --release --workspace --test endpoint -- --ignored --nocapture peer
#[test]
#[ignore = "needs a server at LAPIDARY_PEER"]
fn a_peer_answers_and_its_alternatives_are_those_of_its_words() {
    let address = Address::parse(&std::env::var("LAPIDARY_PEER").unwrap()).unwrap();
    let model = Client::with_key(&address, None, &HubStop::default(), STALL).unwrap().models().unwrap().remove(0);
    let mut worker = loaded(Some(ServerModel { address, model }));
    let sampling = Sampling { max_tokens: Some(40), ..Sampling::greedy() };
    let turns = vec![(Role::User, "How do I open a model?".to_owned())];
    let command =
        Command::Generate { reply: 7, turns, system: String::new(), plain: false, sampling, overflow: Overflow::Ask };
    let (text, ended) = reply(&mut worker, command);
    assert!(ended && text.len() > 20, "{text}");
    let (mut found, mut known) = (0, 0);
    for (at, _) in text.match_indices(' ') {
        match alternatives(&mut worker, "", &text[..at]) {
            Ok(list) => {
                println!("in place of {:?}: {list:?}", text[at..].chars().take(12).collect::<String>());
                known += 1;
                found +=
                    usize::from(list.iter().any(
                        |(token, _)| matches!(token, NextToken::Text(said) if text[at..].starts_with(said.as_str())),
                    ));
            }
            Err(reason) => println!("{reason}"),
        }
    }
    println!("{text}\nof {known} words with alternatives, {found} are among them");
    assert_eq!(found, known);
}
