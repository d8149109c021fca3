//! Many clients at once, of which some go away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{begin, connect, read, request, send};
use crate::process::{KEY, Process, start};

/// The seconds of the load and the number of clients, where a variable does not set them.
const SECONDS: (&str, u64) = ("LAPIDARY_LOAD_SECONDS", 10);
const CLIENTS: (&str, u64) = ("LAPIDARY_LOAD_CLIENTS", 12);

/// More milliseconds than an answer takes on a slow machine.
const MOST_WAIT: u64 = 90_000;
/// More MiB than memory grows by without a leak.
const MOST_GROWTH: u64 = 512;

/// How requests ended.
#[derive(Default)]
struct Outcomes {
    complete: AtomicU64,
    left: AtomicU64,
    refused: AtomicU64,
    /// Milliseconds of the longest wait for a complete answer, and for a refusal.
    longest: AtomicU64,
    longest_refusal: AtomicU64,
}

#[test]
fn no_reply_is_lost_under_load_and_the_server_is_idle_after_it() {
    let number = |(name, default)| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seconds, clients) = (number(SECONDS), number(CLIENTS));
    let server = start(&["--api-key", "secret", "--parallel", "4", "--queue", "6"]);
    let outcomes = Outcomes::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    let early = thread::scope(|scope| {
        for client in 0..clients {
            let (outcomes, address) = (&outcomes, server.address);
            scope.spawn(move || {
                let mut random = client.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                while Instant::now() < end {
                    one_request(address, &mut random, outcomes);
                }
            });
        }
        // The caches of all replies at once have been used by then, so that what memory grows by later is not theirs.
        thread::sleep(Duration::from_secs(seconds.min(20) / 2));
        server.resident()
    });
    let Outcomes { complete, left, refused, longest, longest_refusal } = outcomes;
    let [complete, left, refused] = [complete, left, refused].map(AtomicU64::into_inner);
    println!("{complete} replies were complete, {left} clients left, {refused} requests were refused");
    let (longest, longest_refusal) = (longest.into_inner(), longest_refusal.into_inner());
    println!("the longest wait for a whole reply was {longest} ms, for a refusal {longest_refusal} ms");
    assert!(complete > 0 && left > 0);
    assert!(longest < MOST_WAIT && longest_refusal < MOST_WAIT, "an answer came too late");
    let idle = |name: &str| wait_for_zero(&server, name);
    idle("lapidary_replies_running");
    idle("lapidary_requests_waiting");
    let late = server.resident();
    println!("resident memory in MiB: {early:?} soon after the start, {late:?} at the end");
    if let (Some(early), Some(late)) = (early, late) {
        assert!(late < early + MOST_GROWTH, "memory grew from {early} to {late} MiB");
    }
    let answer = send(server.address, "POST", "/v1/completions", &[KEY], &body(3, 4, false));
    assert_eq!(answer.json()["usage"]["completion_tokens"], 4);
}

fn next(random: &mut u64, below: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % below
}

fn body(seed: u64, tokens: u64, stream: bool) -> Vec<u8> {
    let prompt = format!("Number {seed} of the guide says that");
    json!({"prompt": prompt, "max_tokens": tokens, "temperature": 1, "seed": seed, "ignore_eos": true, "stream": stream,
        "stream_options": {"include_usage": true}})
    .to_string()
    .into_bytes()
}

fn one_request(address: SocketAddr, random: &mut u64, outcomes: &Outcomes) {
    let (seed, tokens) = (next(random, 1000), 1 + next(random, 60));
    let (leaves, stream) = (next(random, 4) == 0, next(random, 2) == 0);
    if leaves {
        let mut connection = begin(address, "/v1/completions", &[KEY], &body(seed, 2000, stream), stream);
        let mut some = vec![0; next(random, 2000) as usize];
        connection.set_read_timeout(Some(Duration::from_millis(1 + next(random, 300)))).unwrap();
        let _ = connection.read(&mut some);
        outcomes.left.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let asked = Instant::now();
    let answer = send(address, "POST", "/v1/completions", &[KEY], &body(seed, tokens, stream));
    let waited = asked.elapsed().as_millis() as u64;
    if answer.status == 429 {
        outcomes.longest_refusal.fetch_max(waited, Ordering::Relaxed);
        assert!(answer.header("retry-after").is_some());
        outcomes.refused.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(20));
        return;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    let usage: Value =
        if stream { answer.events().pop().unwrap()["usage"].clone() } else { answer.json()["usage"].clone() };
    assert_eq!(usage["completion_tokens"], tokens, "{answer:?}");
    outcomes.complete.fetch_add(1, Ordering::Relaxed);
    outcomes.longest.fetch_max(waited, Ordering::Relaxed);
}

/// Ten thousand connections that send nothing take all places that the server has. Who has one keeps it, others are told to come
/// back, and the places are free again after [`IDLE`].
#[test]
#[ignore = "opens 10,000 connections"]
fn ten_thousand_idle_connections_disturb_no_client_that_is_served() {
    const COUNT: usize = 10_000;
    /// How long the server lets a connection be silent, with some to spare.
    const IDLE: Duration = Duration::from_secs(30);
    allow_open_files(COUNT as u64 + 1000);
    let server = start(&["--api-key", "secret"]);
    let address = server.address;
    let mut kept = connect(address);
    is_healthy(&mut kept);
    let mut reply = begin(address, "/v1/completions", &[KEY], &body(1, 300, true), true);
    let (before, begun) = (server.resident(), Instant::now());
    let opened = AtomicBool::new(false);
    let (idle, slowest) = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !opened.load(Ordering::Relaxed) {
                let asked = Instant::now();
                is_healthy(&mut kept);
                slowest = slowest.max(asked.elapsed());
                thread::sleep(Duration::from_millis(20));
            }
            slowest
        });
        let idle: Vec<TcpStream> = (0..COUNT).map(|_| connect(address)).collect();
        opened.store(true, Ordering::Relaxed);
        (idle, client.join().unwrap())
    });
    println!(
        "{COUNT} connections were opened in {:?}; the slowest answer beside them took {slowest:?}",
        begun.elapsed()
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let full = begun.elapsed();
    let status = |address| {
        let mut stream = connect(address);
        stream.write_all(&request("GET", "/health", &[KEY], b"")).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        std::str::from_utf8(&bytes).ok()?.split(' ').nth(1)?.parse::<u16>().ok()
    };
    // While many are refused at once, some of them are closed without a word.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&Some(200)) {
        assert!(begun.elapsed() < full + IDLE, "{statuses:?}");
        statuses.push(status(address));
        thread::sleep(Duration::from_millis(100));
    }
    println!(
        "a new client was told to come back {} times, and was served after {:?}",
        statuses.len() - 1,
        begun.elapsed()
    );
    assert!(statuses.contains(&Some(429)), "the limit was never reached: {statuses:?}");
    let events = read(&mut reply).events();
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 300);
    let during = server.resident();
    drop(idle);
    println!("resident memory in MiB: {before:?} before, {during:?} with {COUNT} connections");
    assert_eq!(send(address, "POST", "/v1/completions", &[KEY], &body(3, 4, false)).status, 200);
}

/// Lets this process open as many files, where the system permits it.
fn allow_open_files(count: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return;
    }
    assert!(limit.maximum.is_none_or(|most| most >= count), "ulimit -Hn must be at least {count}");
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), ..limit }).unwrap();
}

/// Asks over a connection that stays open.
fn is_healthy(connection: &mut TcpStream) {
    let (name, value) = KEY;
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        let mut some = [0; 1024];
        let count = connection.read(&mut some).unwrap();
        assert!(count > 0, "it was closed: {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
}

fn wait_for_zero(server: &Process, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = send(server.address, "GET", "/metrics", &[KEY], b"").body;
        if text.lines().any(|line| line == format!("{name} 0")) {
            return;
        }
        assert!(Instant::now() < deadline, "{text}");
        thread::sleep(Duration::from_millis(20));
    }
}
