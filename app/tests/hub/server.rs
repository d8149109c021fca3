//! A server that behaves like the hub: information about models, search, and files that it redirects to a second origin, as the
//! hub does with large files. What it should do wrong is set while it runs.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::json;

use lapidary_app::hub::{Cache, Client, HubSettings, Stop, Token};

pub(crate) use crate::files::noise;

use crate::files::File;
use crate::http::{self, Head, Listener, Stream};

pub(crate) const COMMIT: &str = "00112233445566778899aabbccddeeff00112233";
pub(crate) const TOKEN: &str = "hf_right";

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) range: Option<String>,
}

/// A repository.
#[derive(Clone, Default)]
pub(crate) struct Repo {
    pub(crate) files: BTreeMap<String, File>,
    /// Only accounts with access get files; the token [`TOKEN`] has it.
    pub(crate) gated: bool,
    /// Nobody without [`TOKEN`] sees it.
    pub(crate) private: bool,
    pub(crate) tags: Vec<String>,
}

/// What the server does wrong.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Statuses of the next requests of files, instead of an answer, with further headers.
    pub(crate) statuses: Vec<(u16, &'static str)>,
    /// The connection is cut after so many bytes of each body, as many times as there are numbers.
    pub(crate) cut_after: Vec<usize>,
    /// Ranges are ignored: every answer is the whole file with 200.
    pub(crate) no_ranges: bool,
    /// Every byte of a large body is another, as many times.
    pub(crate) corrupt: usize,
    /// The next bodies stop in the middle and never go on, while the connection stays.
    pub(crate) stall: usize,
    /// Bytes are sent in pieces of this size, with a pause after each.
    pub(crate) slow: Option<(usize, Duration)>,
    /// The body claims the right length but is a byte shorter, and the connection is closed.
    pub(crate) truncated: usize,
    /// Where large files are redirected to instead.
    pub(crate) redirect_to: Option<String>,
    /// A list of files that is no JSON.
    pub(crate) broken_list: bool,
    /// How long after its request a list of files comes.
    pub(crate) late_list: Duration,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) repos: BTreeMap<String, Repo>,
    pub(crate) faults: Faults,
    /// Requests of the hub itself.
    pub(crate) hub: Vec<Seen>,
    /// Requests of the second origin.
    pub(crate) storage: Vec<Seen>,
    /// Bytes of bodies that were sent.
    pub(crate) sent: u64,
}

/// The running server. It stops when it is dropped.
pub(crate) struct Server {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) address: String,
    _listeners: [Listener; 2],
}

/// Turns a TCP connection into what requests are read from and answers are written to.
pub(crate) type Accept = Arc<dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync>;

impl Server {
    pub(crate) fn new() -> Self {
        Self::with("http", Arc::new(|stream| Some(Box::new(stream))))
    }

    pub(crate) fn with(scheme: &str, accept: Accept) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let storage = serve(accept.clone(), state.clone(), None);
        let hub = serve(accept, state.clone(), Some(format!("{scheme}://{}", storage.address)));
        Self { state, address: format!("{scheme}://{}", hub.address), _listeners: [storage, hub] }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a file to a repository.
    pub(crate) fn put(&self, repo: &str, path: &str, content: &[u8], lfs: bool) {
        let mut state = self.state();
        let repo = state.repos.entry(repo.to_owned()).or_default();
        repo.files.insert(path.to_owned(), File { content: Arc::new(content.to_vec()), lfs });
    }

    /// Changes what the server does wrong.
    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    pub(crate) fn settings(&self, cache: &std::path::Path) -> HubSettings {
        HubSettings {
            endpoint: self.address.parse().unwrap(),
            cache: cache.to_owned(),
            token: None,
            offline: false,
            certificates: None,
            stall: Duration::from_millis(1500),
            first_wait: Duration::from_millis(5),
            attempts: 4,
            connections: 4,
        }
    }

    /// A client without a token, or with one.
    pub(crate) fn client(&self, cache: &Cache, token: Option<&str>) -> Client {
        let token = token.map(|token| Token::new(token, "HF_TOKEN").unwrap());
        let settings = HubSettings { token, ..self.settings(cache.root()) };
        Client::new(settings, Stop::default()).unwrap()
    }
}

/// Serves the hub itself if it has an address of its storage, and the storage otherwise.
fn serve(accept: Accept, state: Arc<Mutex<State>>, storage: Option<String>) -> Listener {
    Listener::start(move |stream| {
        if let Some(mut stream) = accept(stream) {
            answer_all(&mut *stream, &state, storage.as_deref());
        }
    })
}

/// Reads a request without a body; `None` if the connection is over.
fn read_request(stream: &mut dyn Stream) -> Option<Seen> {
    let head = Head::read(stream)?;
    Some(Seen { path: head.path()?, token: head.header("authorization"), range: head.header("range") })
}

/// Sends an answer; `None` if the connection is over.
fn respond(stream: &mut dyn Stream, status: u16, headers: &str, body: &[u8]) -> Option<()> {
    http::respond(stream, &format!("{status} Status"), headers, body).ok()
}

fn answer_all(stream: &mut dyn Stream, state: &Mutex<State>, storage: Option<&str>) {
    while let Some(seen) = read_request(stream) {
        let kept = match storage {
            Some(storage) => answer_as_hub(stream, state, storage, &seen),
            None => answer_as_storage(stream, state, &seen),
        };
        if kept.is_none() {
            return;
        }
    }
}

fn answer_as_hub(stream: &mut dyn Stream, state: &Mutex<State>, storage: &str, seen: &Seen) -> Option<()> {
    let mut guard = state.lock().unwrap();
    guard.hub.push(seen.clone());
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let right = seen.token.as_deref() == Some(&format!("Bearer {TOKEN}"));
    if seen.token.as_deref().is_some_and(|token| token == "Bearer hf_wrong") {
        drop(guard);
        return respond(stream, 401, "X-Error-Message: Invalid credentials in Authorization header\r\n", b"");
    }
    if parts == ["api", "whoami-v2"] {
        drop(guard);
        let body = json!({"type": "user", "name": "somebody"}).to_string();
        return respond(stream, if right { 200 } else { 401 }, "", body.as_bytes());
    }
    if parts == ["api", "models"] {
        let words = query.split('&').find_map(|pair| pair.strip_prefix("search=")).unwrap_or_default();
        let hits: Vec<_> = guard
            .repos
            .iter()
            .filter(|(name, _)| name.contains(words))
            .map(|(name, repo)| json!({"id": name, "downloads": 5, "likes": 1, "gated": false, "tags": repo.tags}))
            .collect();
        drop(guard);
        return respond(stream, 200, "", json!(hits).to_string().as_bytes());
    }
    let (name, rest) = match parts.as_slice() {
        ["api", "models", org, name, rest @ ..] => (format!("{org}/{name}"), ("api", rest.to_vec())),
        [org, name, rest @ ..] => (format!("{org}/{name}"), ("file", rest.to_vec())),
        _ => {
            drop(guard);
            return respond(stream, 404, "", b"");
        }
    };
    let known = guard.repos.get(&name).filter(|repo| !repo.private || right).cloned();
    let Some(repo) = known else {
        drop(guard);
        // The hub does not tell whether it exists.
        return respond(stream, if right { 404 } else { 401 }, "X-Error-Code: RepoNotFound\r\n", b"");
    };
    match (rest.0, rest.1.as_slice()) {
        ("api", ["revision", revision]) if matches!(*revision, "main" | COMMIT) => {
            let (broken, late) = (guard.faults.broken_list, guard.faults.late_list);
            drop(guard);
            thread::sleep(late);
            let siblings: Vec<_> = repo
                .files
                .iter()
                .map(|(path, file)| {
                    let size = file.content.len();
                    match file.lfs {
                        true => json!({"rfilename": path, "size": size, "blobId": "0".repeat(40),
                            "lfs": {"sha256": file.sha256(), "size": size, "pointerSize": 130}}),
                        false => json!({"rfilename": path, "size": size, "blobId": file.git_sha1()}),
                    }
                })
                .collect();
            let gated = if repo.gated { json!("manual") } else { json!(false) };
            let info = json!({"id": name, "sha": COMMIT, "gated": gated, "tags": repo.tags, "siblings": siblings});
            let body = if broken { "<html>".to_owned() } else { info.to_string() };
            respond(stream, 200, "Content-Type: application/json\r\n", body.as_bytes())
        }
        ("api", ["revision", _]) => {
            drop(guard);
            respond(stream, 404, "X-Error-Code: RevisionNotFound\r\n", b"")
        }
        ("file", ["resolve", revision, path @ ..]) if matches!(*revision, "main" | COMMIT) => {
            if repo.gated && !right {
                drop(guard);
                let status = if seen.token.is_some() { 403 } else { 401 };
                return respond(
                    stream,
                    status,
                    "X-Error-Code: GatedRepo\r\nX-Error-Message: Access is restricted\r\n",
                    b"",
                );
            }
            if let Some((status, headers)) = guard.faults.statuses.pop() {
                drop(guard);
                return respond(stream, status, headers, b"");
            }
            let path = path.join("/");
            let Some(file) = repo.files.get(&path) else {
                drop(guard);
                return respond(stream, 404, "X-Error-Code: EntryNotFound\r\n", b"");
            };
            let etag = if file.lfs { file.sha256() } else { file.git_sha1() };
            let commit = format!("X-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\n");
            if file.lfs {
                let to =
                    guard.faults.redirect_to.clone().unwrap_or_else(|| format!("{storage}/{name}/{path}?signed=1"));
                drop(guard);
                let size = file.content.len();
                let headers =
                    format!("{commit}X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\nLocation: {to}\r\n");
                return respond(stream, 302, &headers, b"Found. Redirecting");
            }
            drop(guard);
            send_file(stream, state, file, seen, &format!("{commit}ETag: \"{etag}\"\r\n"))
        }
        _ => {
            drop(guard);
            respond(stream, 404, "", b"")
        }
    }
}

fn answer_as_storage(stream: &mut dyn Stream, state: &Mutex<State>, seen: &Seen) -> Option<()> {
    let file = {
        let mut state = state.lock().unwrap();
        state.storage.push(seen.clone());
        let path = seen.path.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
        let mut parts = path.splitn(3, '/');
        let repo = format!("{}/{}", parts.next()?, parts.next()?);
        state.repos.get(&repo)?.files.get(parts.next()?)?.clone()
    };
    send_file(stream, state, &file, seen, "ETag: \"another\"\r\nAccept-Ranges: bytes\r\n")
}

fn send_file(stream: &mut dyn Stream, state: &Mutex<State>, file: &File, seen: &Seen, headers: &str) -> Option<()> {
    let faults = {
        let mut state = state.lock().unwrap();
        let faults = state.faults.clone();
        state.faults.cut_after.pop();
        state.faults.corrupt = faults.corrupt.saturating_sub(1);
        state.faults.stall = faults.stall.saturating_sub(1);
        state.faults.truncated = faults.truncated.saturating_sub(1);
        faults
    };
    let content = &file.content;
    let range = seen.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let range = range.filter(|_| !faults.no_ranges);
    let (status, start, end) = match range {
        None => (200, 0, content.len()),
        Some((start, end)) => {
            let start: usize = start.parse().ok()?;
            let end = end.parse().map_or(content.len(), |end: usize| content.len().min(end + 1));
            if start >= content.len() {
                return respond(stream, 416, &format!("Content-Range: bytes */{}\r\n", content.len()), b"");
            }
            (206, start, end)
        }
    };
    let mut body = content[start..end].to_vec();
    if faults.corrupt > 0 {
        body.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{headers}", body.len());
    if status == 206 {
        head += &format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, content.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    let mut closes = false;
    if faults.truncated > 0 {
        body.pop();
        closes = true;
    }
    if let Some(cut) = faults.cut_after.last() {
        body.truncate(*cut);
        closes = true;
    }
    if faults.stall > 0 {
        body.truncate(body.len() / 2);
    }
    let (piece, pause) = faults.slow.unwrap_or((64 << 10, Duration::ZERO));
    for piece in body.chunks(piece) {
        stream.write_all(piece).ok()?;
        stream.flush().ok()?;
        state.lock().unwrap().sent += piece.len() as u64;
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    if faults.stall > 0 {
        thread::sleep(Duration::from_secs(20));
    }
    if closes { None } else { Some(()) }
}
