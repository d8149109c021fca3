//! A plain HTTP client, which can also misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// An answer, with its body whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The objects of a stream, whose last line must be `[DONE]`.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), Some("text/event-stream"), "{self:?}");
        let mut lines: Vec<&str> =
            self.body.split("\n\n").filter(|line| !line.is_empty() && !line.starts_with(':')).collect();
        assert_eq!(lines.pop(), Some("data: [DONE]"), "{self:?}");
        lines.iter().map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()).collect()
    }

    /// Asserts that it is an error in OpenAI's shape.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json()["error"].clone();
        assert_eq!(error["code"], code, "{self:?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        assert!(error["type"].is_string() && error.as_object().unwrap().contains_key("param"), "{self:?}");
        error
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

/// The bytes of a request. The headers given come before those that are needed, unless one is a host.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [text.as_bytes(), body].concat()
}

/// Sends a request and reads the answer.
pub(crate) fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(&request(method, path, headers, body)).unwrap();
    read(&mut stream)
}

/// Begins a request and returns its connection, with `wait` once the first bytes of its answer are there.
pub(crate) fn begin(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8], wait: bool) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(&request("POST", path, headers, body)).unwrap();
    if wait {
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    }
    stream
}

/// Waits until a server refuses new requests.
pub(crate) fn wait_until_closed(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = send(address, "GET", "/health", &[], b"");
        if answer.status != 200 {
            answer.is_error(503, "stopping");
            return;
        }
        assert!(Instant::now() < deadline, "it takes requests");
    }
}

/// Reads an answer up to the end of the connection.
pub(crate) fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    match answer.header("transfer-encoding") {
        Some("chunked") => Answer { body: without_chunks(body), ..answer },
        _ => answer,
    }
}

fn without_chunks(mut body: &str) -> String {
    let mut text = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").unwrap_or_else(|| panic!("the stream is cut off after {text:?}"));
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return text;
        }
        text += &rest[..size];
        body = rest[size..].strip_prefix("\r\n").unwrap();
    }
}
