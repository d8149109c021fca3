//! The window's model for other programs.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lapidary_app::chats::Role;
use lapidary_app::endpoint::Keys;
use lapidary_app::hub::Token;
use lapidary_app::secrets::Secrets;
use lapidary_app::worker::{Command, EngineWorker, Event, Load, Overflow, Served, Worker};
use lapidary_engine::Sampling;

use crate::client::send;
use crate::question;

const CHAT: &str = "/v1/chat/completions";

/// The first event that `wanted` takes.
#[track_caller]
fn event<T>(worker: &mut EngineWorker, wanted: impl Fn(Event) -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match worker.event().map(&wanted) {
            Some(Some(found)) => return found,
            Some(None) => {}
            None => thread::sleep(Duration::from_millis(2)),
        }
        assert!(Instant::now() < end, "the event did not come");
    }
}

fn serving(event: Event) -> Option<Result<Option<Served>, String>> {
    if let Event::Serving(outcome) = event { Some(outcome) } else { None }
}

/// Waits until the model is served.
fn address(worker: &mut EngineWorker) -> (SocketAddr, bool) {
    let served = event(worker, |event| serving(event)?.unwrap());
    let address = served.address.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/v1")).unwrap();
    (address.parse().unwrap(), served.has_key)
}

/// Whether this process has a handler of SIGTERM.
#[cfg(target_os = "linux")]
fn catches_sigterm() -> bool {
    const SIGTERM: u32 = 15;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (SIGTERM - 1)) != 0
}

#[test]
fn other_programs_use_the_model_of_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(Secrets::in_folder(Some(folder.path().to_owned())), |_| None);
    let mut worker = EngineWorker::with_keys(Arc::new(|| {}), keys);
    // Asked for before there is a model.
    worker.send(Command::Serve(Some(0)));
    worker.send(Command::Load(Load::default()));
    let (first, has_key) = address(&mut worker);
    assert!(!has_key);
    // Beside a reply of the window.
    let turns = vec![(Role::User, "What is RMSNorm?".to_owned())];
    let (system, sampling, overflow) = (String::new(), Sampling::greedy(), Overflow::Ask);
    worker.send(Command::Generate { reply: 7, turns, system, plain: false, sampling, overflow });
    let answer = send(first, "POST", CHAT, &[], question("What is RMSNorm?").to_string().as_bytes()).json();
    let (mut text, mut lines) = (String::new(), Vec::new());
    loop {
        match event(&mut worker, Some) {
            Event::ReplyText(7, piece) => text += &piece,
            Event::Answered(line) => lines.push(line),
            Event::Ended { reply: 7, .. } => break,
            _ => {}
        }
    }
    assert!(text.len() > 20);
    assert_eq!(answer["choices"][0]["message"]["content"], text);
    if lines.is_empty() {
        lines.push(event(&mut worker, |event| if let Event::Answered(line) = event { Some(line) } else { None }));
    }
    assert_eq!(lines, ["POST /v1/chat/completions 200"]);

    // Only the command serves until SIGTERM: the window must end at it, also after its server has.
    #[cfg(target_os = "linux")]
    assert!(!catches_sigterm());

    // A key counts from the next start on.
    worker.send(Command::SaveServingKey(Some(Token::new("sesame", "the test").unwrap())));
    event(&mut worker, |event| if let Event::ServingKeySaved(saved) = event { saved.ok() } else { None });
    worker.send(Command::Serve(Some(0)));
    let (second, has_key) = address(&mut worker);
    assert!(has_key);
    assert_eq!(send(second, "GET", "/v1/models", &[], b"").status, 401);
    assert_eq!(send(second, "GET", "/v1/models", &[("Authorization", "Bearer sesame")], b"").status, 200);
    assert!(TcpStream::connect(first).is_err(), "the first server has ended");

    // Another model is served in place of the one before.
    worker.send(Command::Load(Load { context: Some(512), ..Load::default() }));
    assert_eq!(event(&mut worker, serving), Ok(None));
    let (third, _) = address(&mut worker);
    let models = send(third, "GET", "/v1/models", &[("Authorization", "Bearer sesame")], b"").json();
    assert_eq!((&models["data"][0]["id"], &models["data"][0]["max_model_len"]), (&"guide".into(), &512.into()));
    worker.send(Command::Serve(None));
    assert_eq!(event(&mut worker, serving), Ok(None));
    assert!(TcpStream::connect(third).is_err());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    worker.send(Command::Serve(Some(taken.local_addr().unwrap().port())));
    let refused = event(&mut worker, serving).unwrap_err();
    assert!(
        refused.starts_with("Cannot listen at 127.0.0.1:") && refused.ends_with("; choose another port."),
        "{refused}"
    );
}
