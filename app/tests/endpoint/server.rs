//! A server that answers as a test says, one connection per request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use lapidary_app::chats::Role;
use lapidary_app::endpoint::{Address, ChatRequest, Client, EndpointError, Keys, ReplyStream};
use lapidary_app::hub::Stop;
use lapidary_engine::Sampling;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

type Answer = dyn Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// The running server. It stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: Address,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many answers ended because the client had gone.
    gone: Arc<Mutex<usize>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Seen, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = Address::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = Self { address, seen: Arc::default(), gone: Arc::default(), stopped: Arc::default() };
        let answer: Arc<Answer> = Arc::new(answer);
        let (seen, gone, stopped) = (server.seen.clone(), server.gone.clone(), server.stopped.clone());
        thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let Ok((mut stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let (answer, seen, gone) = (answer.clone(), seen.clone(), gone.clone());
                thread::spawn(move || {
                    let Some(request) = read(&mut stream) else { return };
                    seen.lock().unwrap().push(request.clone());
                    if answer(&request, &mut stream).is_err() {
                        *gone.lock().unwrap() += 1;
                    }
                });
            }
        });
        server
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

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let (mut path, mut key, mut length) = (None, None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            _ if path.is_none() => path = line.split(' ').nth(1).map(str::to_owned),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => key = Some(value.to_owned()),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { path: path?, key, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// Sends an answer with a body.
pub(crate) fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Sends the head of a reply, whose body ends with the connection.
pub(crate) fn begin(stream: &mut TcpStream) -> std::io::Result<()> {
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
    client.chat(&ChatRequest { model: "gemma", system: "", turns: &turns, sampling: &Sampling::greedy() })
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
