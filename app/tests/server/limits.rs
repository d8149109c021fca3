//! What one client can take from the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lapidary_app::server::Options;
use serde_json::json;

use crate::client::{begin, connect, read, send, wait_until_closed};
use crate::{Running, endless, options, question, with};

const RUNNING: &str = "lapidary_replies_running";
const WAITING: &str = "lapidary_requests_waiting";
const CANCELLED: &str = "lapidary_replies_cancelled_total";

#[test]
fn a_client_that_goes_away_frees_the_engine() {
    let server = Running::new();
    let stream = server.begin(&endless());
    server.wait_for(RUNNING, 1);
    drop(stream);
    server.wait_for(CANCELLED, 1);
    server.wait_for(RUNNING, 0);
    // The same without a stream, where the client has read nothing yet.
    let body = with(endless(), json!({"stream": false})).to_string();
    let stream = begin(server.address, "/v1/completions", &[], body.as_bytes(), false);
    server.wait_for(RUNNING, 1);
    drop(stream);
    server.wait_for(CANCELLED, 2);
    assert_eq!(server.metric("lapidary_replies_total"), 0, "neither reply was generated to its end");
}

#[test]
fn a_full_queue_says_when_to_try_again() {
    let server = Running::with(Options { parallel: 1, queue: 1, ..options() });
    let running = server.begin(&endless());
    server.wait_for(RUNNING, 1);
    let body = question("Hello").to_string();
    let mut waiting = begin(server.address, "/v1/chat/completions", &[], body.as_bytes(), false);
    server.wait_for(WAITING, 1);
    let refused = server.post("/v1/chat/completions", &question("Hello"));
    let error = refused.is_error(429, "queue_full");
    assert_eq!(error["type"], "rate_limit_error");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    drop(running);
    assert_eq!(read(&mut waiting).status, 200);
    assert_eq!(server.post("/v1/chat/completions", &question("Hello")).status, 200);
}

#[test]
fn a_client_that_goes_away_frees_its_place_in_the_queue() {
    let server = Running::with(Options { parallel: 1, queue: 1, ..options() });
    let _running = server.begin(&endless());
    server.wait_for(RUNNING, 1);
    let waiting = server.begin(&endless());
    server.wait_for(WAITING, 1);
    drop(waiting);
    server.wait_for(WAITING, 0);
    let _next = server.begin(&endless());
    server.wait_for(WAITING, 1);
}

#[test]
fn a_request_with_many_replies_does_not_keep_others_waiting() {
    let server = Running::new();
    let mut many = server.begin(&with(endless(), json!({"n": 16, "max_tokens": 64})));
    server.wait_for(RUNNING, 4);
    assert_eq!(server.post("/v1/chat/completions", &question("Hello")).status, 200);
    assert!(server.metric("lapidary_replies_total") < 16, "the other request has replies to come");
    let done = read(&mut many).events();
    assert_eq!(done.iter().filter(|event| !event["choices"][0]["finish_reason"].is_null()).count(), 16);
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let server = Running::new();
    let body = vec![b' '; 5 << 20];
    send(server.address, "POST", "/v1/completions", &[], &body).is_error(413, "body_too_large");
    // In chunks, without a length.
    let mut stream = connect(server.address);
    let head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..5 {
        stream.write_all(format!("{:x}\r\n", 1 << 20).as_bytes()).unwrap();
        stream.write_all(&body[..1 << 20]).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    read(&mut stream).is_error(413, "body_too_large");
    // One that asks first sends nothing.
    let mut stream = connect(server.address);
    let head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\
                Connection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    read(&mut stream).is_error(413, "body_too_large");
}

#[test]
fn too_many_connections_are_told_so_and_disturb_nobody() {
    let server = Running::new();
    let idle: Vec<TcpStream> = (0..256).map(|_| connect(server.address)).collect();
    server_is_full(&server);
    drop(idle);
    for _ in 0..100 {
        if send(server.address, "GET", "/health", &[], b"").status == 200 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the server does not recover");
}

fn server_is_full(server: &Running) {
    let refused = server.get("/health");
    refused.is_error(429, "too_many_connections");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[test]
fn heads_and_bodies_that_do_not_come_end_the_connection() {
    let server = Running::new();
    let mut head = connect(server.address);
    head.write_all(b"POST /v1/completions HTTP/1.1\r\nHost: lo").unwrap();
    let mut body = connect(server.address);
    body.write_all(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{").unwrap();
    // Others are answered meanwhile.
    assert_eq!(server.get("/health").status, 200);
    head.read_to_end(&mut Vec::new()).unwrap();
    let mut answer = Vec::new();
    body.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8(answer).unwrap().starts_with("HTTP/1.1 408 "));
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_server_that_stops_finishes_its_replies_and_takes_no_others() {
    let server = Running::with(Options { parallel: 1, ..options() });
    let running = server.begin(&endless());
    server.wait_for(RUNNING, 1);
    let mut last = server.begin(&with(endless(), json!({"max_tokens": 20})));
    server.wait_for(WAITING, 1);
    server.stop.stop();
    wait_until_closed(server.address);
    server.post("/v1/chat/completions", &question("Hello")).is_error(503, "stopping");
    drop(running);
    let events = read(&mut last).events();
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length");
}
