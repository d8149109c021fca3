//! Replies that go well.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use lapidary_app::chats::Role;
use lapidary_app::endpoint::{ChatRequest, EndpointError};
use lapidary_app::hub::Stop;
use lapidary_engine::{Finish, Sampling};
use serde_json::json;

use crate::server::{Server, ask, begin, end, list, piece, read_reply, respond};

#[test]
fn a_reply_arrives_piece_by_piece_with_its_counts() {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}});
    let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
    let events = format!(
        ": keep-alive\r\n\r\ndata: {role}\r\n\r\n{}{}{}data: {usage}\n\ndata: [DONE]\n\n",
        piece("Grüß "),
        piece("Gott 𝄞"),
        end("stop")
    );
    let server = Server::replying(&events);
    let client = server.client(Some("sk-right"));
    let mut stream = ask(&client).unwrap();
    assert_eq!(stream.next_piece().unwrap().as_deref(), Some("Grüß "));
    let (rest, error) = read_reply(&mut stream);
    assert!(rest == "Gott 𝄞" && error.is_none(), "{rest} {error:?}");
    assert_eq!(stream.finish(), Some(Finish::Stop));
    let timings = stream.timings().unwrap();
    assert_eq!((timings.prefill_tokens, timings.decode_tokens), (11, 1));
    let seen = &server.seen()[0];
    assert_eq!((seen.path.as_str(), seen.key.as_deref()), ("/v1/chat/completions", Some("Bearer sk-right")));
    assert_eq!(seen.body["messages"], json!([{"role": "user", "content": "Hello?"}]));
    assert_eq!((&seen.body["model"], &seen.body["stream"]), (&json!("gemma"), &json!(true)));
}

#[test]
fn servers_may_end_a_reply_in_several_ways() {
    let text = piece("Yes");
    for (events, finish) in [
        (format!("{text}{}", end("length")), Finish::MaxTokens),
        (format!("{text}{}", end("eos")), Finish::Stop),
        (format!("{text}data: [DONE]\n\n"), Finish::Stop),
        (format!("{text}{}data:[DONE]", end("tool_calls")), Finish::Stop),
    ] {
        let server = Server::replying(&events);
        let mut stream = ask(&server.client(None)).unwrap();
        let (said, error) = read_reply(&mut stream);
        assert!(said == "Yes" && error.is_none(), "{events}: {said} {error:?}");
        assert_eq!(stream.finish(), Some(finish), "{events}");
        assert_eq!(stream.timings(), None, "no tokens were counted");
    }
}

#[test]
fn other_shapes_of_chunks_are_understood() {
    let chunk = |delta: serde_json::Value| format!("data: {}\n\n", json!({"choices": [{"delta": delta}]}));
    let events = [
        chunk(json!({"reasoning_content": "Hm."})),
        chunk(json!({"content": [{"type": "text", "text": "A"}, {"type": "thinking"}]})),
        chunk(json!({"content": null, "refusal": "B"})),
        format!("data: {}\n\n", json!({"choices": [{"index": 1, "delta": {"content": "no"}}]})),
        format!("data: {}\n\n", json!({"choices": null, "usage": null, "error": null})),
        "data: [DONE]\n\n".into(),
    ];
    let server = Server::replying(&events.concat());
    let (said, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    assert!(said == "AB" && error.is_none(), "{said} {error:?}");
}

#[test]
fn servers_that_refuse_unknown_names_get_the_penalty_under_one_name() {
    let server = Server::new(|seen, stream| {
        if seen.body.get("repeat_penalty").is_some() {
            let body = r#"{"error": {"message": "repeat_penalty: this server does not know this field"}}"#;
            return respond(stream, "400 Bad Request", "", body);
        }
        begin(stream)?;
        stream.write_all((piece("Yes") + "data: [DONE]\n\n").as_bytes())
    });
    let sampling = Sampling { repetition_penalty: 1.5, ..Sampling::greedy() };
    let turns = [(Role::User, "Hello?".to_owned())];
    let request = ChatRequest { model: "gemma", system: "", turns: &turns, sampling: &sampling, alternatives: 0 };
    let (said, error) = read_reply(&mut server.client(None).chat(&request).unwrap());
    assert!(said == "Yes" && error.is_none(), "{said} {error:?}");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].body["repetition_penalty"], json!(1.5));
}

#[test]
fn models_are_listed() {
    let server = Server::new(|_, stream| {
        let long = "x".repeat(10_000);
        respond(stream, "200 OK", "", &list(&["b", "a", "a", "two\nlines", "", &long]))
    });
    assert_eq!(server.client(Some("k")).models().unwrap(), ["a", "b"]);
    assert_eq!(server.seen()[0].path, "/v1/models");
    assert_eq!(server.seen()[0].key.as_deref(), Some("Bearer k"));
}

#[test]
fn stopping_closes_the_connection() {
    let server = Server::new(|_, stream| {
        begin(stream)?;
        loop {
            stream.write_all(piece("more ").as_bytes())?;
            thread::sleep(Duration::from_millis(5));
        }
    });
    let stop = Stop::default();
    let client = server.stoppable_client(None, &stop);
    let mut stream = ask(&client).unwrap();
    assert_eq!(stream.next_piece().unwrap().as_deref(), Some("more "));
    stop.stop();
    let (_, error) = read_reply(&mut stream);
    assert!(matches!(error, Some(EndpointError::Stopped)), "{error:?}");
    server.wait_for_gone_client();
}

#[test]
fn stopping_ends_the_wait_for_the_first_word() {
    let server = Server::new(|_, _| {
        thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let stop = Stop::default();
    let client = server.stoppable_client(None, &stop);
    let stopper = stop.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stopper.stop();
    });
    let begun = Instant::now();
    let error = ask(&client).err();
    assert!(matches!(error, Some(EndpointError::Stopped)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "before nothing has come for too long");
}
