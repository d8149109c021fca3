//! Many clients at once, of which some go away.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{begin, send};
use crate::process::{KEY, Process, start};

/// Seconds of the load, in place of [`SECONDS`].
const VARIABLE: &str = "LAPIDARY_LOAD_SECONDS";
const SECONDS: u64 = 10;
const CLIENTS: u64 = 12;

/// How requests ended.
#[derive(Default)]
struct Outcomes {
    complete: AtomicU64,
    left: AtomicU64,
    refused: AtomicU64,
}

#[test]
fn no_reply_is_lost_under_load_and_the_server_is_idle_after_it() {
    let seconds = std::env::var(VARIABLE).map_or(SECONDS, |text| text.parse().unwrap());
    let server = start(&["--api-key", "secret", "--parallel", "4", "--queue", "6"]);
    let outcomes = Outcomes::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (outcomes, address) = (&outcomes, server.address);
            scope.spawn(move || {
                let mut random = client.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                while Instant::now() < end {
                    one_request(address, &mut random, outcomes);
                }
            });
        }
    });
    let [complete, left, refused] =
        [&outcomes.complete, &outcomes.left, &outcomes.refused].map(|count| count.load(Ordering::Relaxed));
    println!("{complete} replies were complete, {left} clients left, {refused} requests were refused");
    assert!(complete > 0 && left > 0);
    let idle = |name: &str| wait_for_zero(&server, name);
    idle("lapidary_replies_running");
    idle("lapidary_requests_waiting");
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
    let answer = send(address, "POST", "/v1/completions", &[KEY], &body(seed, tokens, stream));
    if answer.status == 429 {
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
