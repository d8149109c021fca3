//! A server that answers as a test says, one connection per request.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use lapidary_app::chats::Role;
use lapidary_app::endpoint::{Address, ChatRequest, Client, EndpointError, Keys, ReplyStream};
use lapidary_app::hub::Stop;
use lapidary_engine::Sampling;

use crate::http::{self, Head, Listener};

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

/// The running server. It stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: Address,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many answers ended because the client had gone.
    gone: Arc<Mutex<usize>>,
    _listener: Listener,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gone = Arc::new(Mutex::new(0));
        let (all, count) = (seen.clone(), gone.clone());
        let listener = Listener::start(move |mut stream| {
            let Some(request) = read(&mut stream) else { return };
            all.lock().unwrap().push(request.clone());
            if answer(&request, &mut stream).is_err() {
                *count.lock().unwrap() += 1;
            }
        });
        let address = Address::parse(&listener.address.to_string()).unwrap();
        Self { address, seen, gone, _listener: listener }
    }

    /// A server of one model that sends these bytes as the body of every reply.
    pub(crate) fn replying(events: &str) -> Self {
        let events = events.to_owned();
        Self::new(move |seen, stream| match seen.path.as_str() {
            "/v1/models" => respond(stream, "200 OK", "", &list(&["gemma"])),
            _ => {
                begin(stream)?;
                stream.write_all(events.as_bytes())
            }
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a client has gone before its answer was complete.
    #[track_caller]
    pub(crate) fn wait_for_gone_client(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while *self.gone.lock().unwrap() == 0 {
            assert!(Instant::now() < end, "the connection stays open");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A client that waits a second and a half, without a key or with one.
    pub(crate) fn client(&self, key: Option<&str>) -> Client {
        self.stoppable_client(key, &Stop::default())
    }

    pub(crate) fn stoppable_client(&self, key: Option<&str>, stop: &Stop) -> Client {
        let key = key.map(|key| Keys::typed(key).unwrap());
        Client::with_key(&self.address, key, stop, Duration::from_millis(1500)).unwrap()
    }
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let head = Head::read(stream)?;
    let length = head.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Seen { path: head.path()?, key: head.header("authorization"), body })
}

/// Sends an answer with a body, and says that the connection ends.
pub(crate) fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> io::Result<()> {
    http::respond(stream, status, &format!("Connection: close\r\n{headers}"), body.as_bytes())
}

/// Sends the head of a reply, whose body ends with the connection.
pub(crate) fn begin(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n")
}

/// The event of a piece of text.
pub(crate) fn piece(text: &str) -> String {
    let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// The event of the end of a reply.
pub(crate) fn end(reason: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

/// The body of a list of models.
pub(crate) fn list(names: &[&str]) -> String {
    let models: Vec<Value> = names.iter().map(|name| json!({"id": name, "object": "model"})).collect();
    json!({"object": "list", "data": models}).to_string()
}

/// Asks "Hello?" of the model "gemma".
pub(crate) fn ask(client: &Client) -> Result<ReplyStream, EndpointError> {
    let turns = [(Role::User, "Hello?".to_owned())];
    client.chat(&ChatRequest {
        model: "gemma",
        system: "",
        turns: &turns,
        sampling: &Sampling::greedy(),
        alternatives: 0,
    })
}

/// The text of a whole reply, and the error that it ended with.
pub(crate) fn read_reply(stream: &mut ReplyStream) -> (String, Option<EndpointError>) {
    let mut text = String::new();
    loop {
        match stream.next_piece() {
            Ok(Some(piece)) => text.push_str(&piece),
            Ok(None) => return (text, None),
            Err(error) => return (text, Some(error)),
        }
    }
}
