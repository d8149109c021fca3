//! Replies that go wrong: what came is kept, and the message says what to do.

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use lapidary_app::endpoint::{Address, Client, EndpointError};
use lapidary_app::hub::Stop;

use crate::server::{Server, ask, begin, end, piece, read_reply, respond};

/// The error of a server that answers every request so.
fn error_of(status: &'static str, headers: &'static str, body: &'static str, key: Option<&str>) -> String {
    let server = Server::new(move |_, stream| respond(stream, status, headers, body));
    ask(&server.client(key)).err().expect("an error").to_string()
}

/// The text and the error of a reply of these events.
fn reply_of(events: &str) -> (String, EndpointError) {
    let server = Server::replying(events);
    let (said, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    (said, error.expect("an error"))
}

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "no {word:?} in {message}");
    }
}

#[test]
fn a_connection_that_is_cut_keeps_what_came() {
    let (said, error) = reply_of(&piece("Half a "));
    assert_eq!(said, "Half a ");
    assert!(matches!(error, EndpointError::Cut { .. }), "{error}");
    // Also in the middle of a chunk of the transfer.
    let server = Server::new(|_, stream| {
        let text = piece("Half a ");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        write!(stream, "{head}{:x}\r\n{text}\r\nffff\r\ndata: {{\"cho", text.len())
    });
    let (said, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    assert_eq!(said, "Half a ");
    assert!(matches!(error, Some(EndpointError::Cut { .. })), "{error:?}");
}

#[test]
fn a_missing_and_a_wrong_key_are_told_apart() {
    let body = r#"{"error": {"message": "Incorrect API key provided: sk-…", "code": "invalid_api_key"}}"#;
    says(&error_of("401 Unauthorized", "", body, None), &["wants a key", "LAPIDARY_ENDPOINT_KEY"]);
    let message = error_of("401 Unauthorized", "", body, Some("sk-secret"));
    says(&message, &["does not accept the key", "the field for the key"]);
    assert!(!message.contains("sk-secret"), "{message}");
}

#[test]
fn a_missing_model_and_a_missing_api_are_told_apart() {
    let body = r#"{"error": {"message": "The model `gemma` does not exist.", "code": 404}}"#;
    says(&error_of("404 Not Found", "", body, None), &["has no model gemma", "does not exist", "choose another"]);
    let message = error_of("404 Not Found", "", r#"{"detail": "Not Found"}"#, None);
    says(&message, &["no OpenAI-compatible API at http://127.0.0.1", "/v1/chat/completions", "ends with /v1"]);
    says(&error_of("404 Not Found", "", "<html>", None), &["no OpenAI-compatible API"]);
}

#[test]
fn each_status_says_what_to_do() {
    let busy = r#"{"error": {"message": "Rate limit reached", "type": "requests"}}"#;
    let message = error_of("429 Too Many Requests", "Retry-After: 17\r\n", busy, None);
    says(&message, &["Rate limit reached", "try again in 17 seconds"]);
    let dated = "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n";
    says(&error_of("429 Too Many Requests", dated, "", None), &["try again later"]);
    let page = "<html><body><h1>Bad gateway</h1></body></html>";
    let message = error_of("500 Internal Server Error", "Content-Type: text/html\r\n", page, None);
    says(&message, &["fails with status 500", "try again"]);
    assert!(!message.contains("html"), "{message}");
    let long = r#"{"error": {"message": "maximum context length is 4096 tokens"}}"#;
    says(&error_of("400 Bad Request", "", long, None), &["status 400", "context length", "begin a new chat"]);
    says(&error_of("403 Forbidden", "", "", None), &["refuses access"]);
}

#[test]
fn an_endless_error_is_read_in_part() {
    let server = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[b'x'; 65536])?;
        }
    });
    says(&ask(&server.client(None)).err().expect("an error").to_string(), &["status 500"]);
    server.wait_for_gone_client();
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let server = Server::new(|_, stream| {
        begin(stream)?;
        stream.write_all(piece("Well").as_bytes())?;
        thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let (said, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    assert_eq!(said, "Well");
    says(&error.expect("an error").to_string(), &["nothing came from 127.0.0.1", "for 1 seconds"]);
    let server = Server::new(|_, _| {
        thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    assert!(matches!(ask(&server.client(None)).err(), Some(EndpointError::Stalled { .. })));
}

#[test]
fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let other = Server::replying("data: [DONE]\n\n");
    let target = format!("{}/chat/completions?a=secret", other.address);
    let server =
        Server::new(move |_, stream| respond(stream, "307 Temporary Redirect", &format!("Location: {target}\r\n"), ""));
    let client = server.client(Some("sk-secret"));
    for error in [ask(&client).err(), client.models().err()] {
        let message = error.expect("an error").to_string();
        says(&message, &["redirects to http://127.0.0.1", "not followed"]);
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(other.seen().is_empty());
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn an_endless_line_is_given_up() {
    let server = Server::new(|_, stream| {
        begin(stream)?;
        stream.write_all(piece("So ").as_bytes())?;
        stream.write_all(b"data: ")?;
        loop {
            stream.write_all(&[b'x'; 65536])?;
        }
    });
    let (said, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    assert_eq!(said, "So ");
    says(&error.expect("an error").to_string(), &["a line of the reply does not end"]);
    server.wait_for_gone_client();
}

#[test]
fn an_endless_reply_is_cut_off() {
    let server = Server::new(|_, stream| {
        begin(stream)?;
        let text = piece(&"x".repeat(500_000));
        loop {
            stream.write_all(text.as_bytes())?;
        }
    });
    let (said, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    assert_eq!(said.len() / 500_000, (16 << 20) / 500_000);
    says(&error.expect("an error").to_string(), &["more than 16 MB"]);
    server.wait_for_gone_client();
}

#[test]
fn what_is_no_stream_of_chunks_is_reported_after_what_came() {
    let begun = piece("Well, ");
    for (rest, words) in [
        ("data: {\"choices\": [\n\n", "no chunk"),
        ("data: <html>\n\n", "no chunk"),
        ("data: {\"error\": {\"message\": \"out of memory\"}}\n\n", "out of memory"),
        ("data: {\"error\": \"overloaded\"}\n\n", "overloaded"),
        (&end("content_filter"), "content filter"),
        ("<html>\n\n", "ended before the reply did"),
    ] {
        let (said, error) = reply_of(&format!("{begun}{rest}"));
        assert_eq!(said, "Well, ", "{rest}");
        says(&error.to_string(), &[words]);
    }
    let server = Server::new(|_, stream| {
        begin(stream)?;
        stream.write_all(b"data: {\"choices\": [{\"delta\": {\"content\": \"\xff\"}}]}\n\n")
    });
    let (_, error) = read_reply(&mut ask(&server.client(None)).unwrap());
    says(&error.expect("an error").to_string(), &["not UTF-8"]);
}

#[test]
fn what_is_no_api_is_recognized() {
    for (kind, body) in [("text/html", "<html>Sign in</html>"), ("application/json", "{}")] {
        let server =
            Server::new(move |_, stream| respond(stream, "200 OK", &format!("Content-Type: {kind}\r\n"), body));
        let client = server.client(None);
        says(&ask(&client).err().expect("an error").to_string(), &["makes no sense", "check that the address"]);
        says(&client.models().expect_err("an error").to_string(), &["no OpenAI-compatible API", "/v1/models"]);
    }
    let server = Server::new(|_, stream| respond(stream, "200 OK", "", &"[".repeat(100_000)));
    says(&server.client(None).models().expect_err("an error").to_string(), &["no OpenAI-compatible API"]);
    let server = Server::new(|_, stream| respond(stream, "200 OK", "", &" ".repeat(5 << 20)));
    says(&server.client(None).models().expect_err("an error").to_string(), &["more than 4 MB"]);
}

#[test]
fn nobody_listening_is_reported() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = Address::parse(&port.to_string()).unwrap();
    let client = Client::with_key(&address, None, &Stop::default(), Duration::from_millis(1500)).unwrap();
    says(&client.models().expect_err("an error").to_string(), &["cannot reach 127.0.0.1", "that the server runs"]);
}
