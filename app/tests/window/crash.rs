//! The program is killed during a reply: no sent message is lost, and at most the last second of the reply.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lapidary_app::chats::{Role, Store, StoreEvent, Tree};
use lapidary_app::state::{Model, State};
use lapidary_app::worker::Load;

use crate::script::{Script, ScriptedWorker};

const PATH_VARIABLE: &str = "LAPIDARY_CRASH_TEST";
const KILLS: u64 = 20;

/// The program that is killed. It sends messages, receives 100 events per second of 5 bytes each, and prints what a user
/// would have seen and when.
#[test]
#[ignore = "run by killed_during_a_reply"]
fn child_process() {
    let Some(path) = std::env::var_os(PATH_VARIABLE) else { return };
    let script = Arc::new(Mutex::new(Script::default()));
    script.lock().unwrap().replies.extend((0..1000).map(|_| "word ".repeat(60)));
    let store = Store::open(Some(path.into()), Arc::new(|| {}));
    let mut state = State::new(Box::new(ScriptedWorker(script.clone())), store, Load::default());
    while !matches!(state.model, Model::Ready(_)) {
        state.tick();
        std::thread::sleep(Duration::from_millis(1));
    }
    for number in 0.. {
        state.set_draft(format!("message {number}"));
        state.send();
        println!("sent {number}");
        while state.reply().is_some() {
            // One event: the script sends one whenever it is polled, and none while `bytes_per_event` is 0.
            script.lock().unwrap().bytes_per_event = 5;
            state.tick_once();
            script.lock().unwrap().bytes_per_event = 0;
            state.tick();
            let shown = state.tree().unwrap().branch().last().map_or(0, |message| message.text.len());
            println!("shown {shown}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn killed_during_a_reply() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..KILLS {
        let path = folder.path().join(format!("{kill}/chats.sqlite"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_process", "--ignored", "--nocapture"])
            .env(PATH_VARIABLE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (mut sent, mut shown) = (0, Vec::new());
        let mut end = None;
        for line in lines {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("sent ") {
                sent = number.parse::<usize>().unwrap() + 1;
                shown.clear();
                // At a random time after the first message.
                end.get_or_insert_with(|| Instant::now() + Duration::from_millis(100 + random % 1400));
            } else if let Some(bytes) = line.strip_prefix("shown ") {
                shown.push((Instant::now(), bytes.parse::<usize>().unwrap()));
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                child.kill().unwrap();
                break;
            }
        }
        let killed = Instant::now();
        child.wait().unwrap();
        let (sent_found, reply) = read(&path);
        // The last message may not have reached the disk. Earlier ones were answered, so they had.
        assert!(sent_found + 1 >= sent && sent > 0, "kill {kill}: {sent_found} of {sent} messages");
        let second_ago =
            shown.iter().filter(|(at, _)| killed - *at > Duration::from_secs(1)).map(|(_, shown)| *shown).max();
        if sent_found == sent {
            let least = second_ago.unwrap_or(0);
            assert!(reply >= least, "kill {kill}: {reply} bytes of the reply, {least} were shown a second before");
        }
        if sent_found < sent {
            let young = shown.first().is_none_or(|(at, _)| killed - *at < Duration::from_secs(1));
            assert!(young, "kill {kill}: a message was not saved for a second");
        }
    }
}

/// The number of sent messages, and the bytes of the last reply.
fn read(path: &std::path::Path) -> (usize, usize) {
    let store = Store::open(Some(path.to_owned()), Arc::new(|| {}));
    let wait = || {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(event) = store.event() {
                return event;
            }
            assert!(Instant::now() < end, "the database does not open");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let StoreEvent::Opened { chats, .. } = wait() else { panic!("the database does not open clean") };
    let Some(chat) = chats.first() else { return (0, 0) };
    store.load(chat.id);
    let StoreEvent::Messages(_, messages) = wait() else { panic!("the messages cannot be read") };
    // A chat and the message that ends its branch are saved in one transaction.
    let ends = |leaf| messages.iter().any(|message| message.id == leaf);
    assert!(chat.leaf.is_none_or(ends), "the last message is missing");
    let tree = Tree::new(messages, chat.leaf);
    let sent = tree.messages().filter(|message| message.role == Role::User).count();
    let reply =
        tree.branch().last().filter(|message| message.role == Role::Model).map_or(0, |message| message.text.len());
    (sent, reply)
}
