//! Downloads as the window starts, pauses and cancels them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lapidary_app::hub::downloads::{Command, Downloads, Event};
use lapidary_app::hub::{HubError, terms};

use crate::server::Server;
use crate::transfer::with_file;

const NAME: &str = "someone/gemma-tiny-GGUF";

fn downloads(server: &Server, home: &Path) -> Downloads {
    let settings = server.settings(&home.join("cache"));
    Downloads::new(Some(settings), Some(home.join("data")), || {})
}

/// The next event that is not progress, and the bytes that progress told of before it.
fn next(downloads: &mut Downloads) -> (Event, u64) {
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < Duration::from_secs(20) {
        match downloads.event() {
            Some(Event::Progress(name, progress)) => {
                assert_eq!(name, NAME);
                done = progress.done;
            }
            Some(event) => return (event, done),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("no event came");
}

/// Waits until some bytes came.
fn wait_for_bytes(downloads: &mut Downloads) {
    loop {
        match downloads.event() {
            Some(Event::Progress(_, progress)) if progress.done > 10_000 => return,
            Some(Event::Progress(..)) => {}
            Some(event) => panic!("{event:?}"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Starts a download, and pauses it after some bytes.
fn start_and_pause(downloads: &mut Downloads) {
    downloads.send(Command::Start(NAME.into()));
    wait_for_bytes(downloads);
    downloads.send(Command::Pause(NAME.into()));
    assert!(matches!(next(downloads).0, Event::Paused(_)));
}

#[test]
fn a_download_is_paused_continued_and_done() {
    let (server, content) = with_file(1 << 20);
    let home = tempfile::tempdir().unwrap();
    let mut downloads = downloads(&server, home.path());
    downloads.send(Command::Start(NAME.into()));
    let (event, _) = next(&mut downloads);
    assert!(matches!(event, Event::Failed(_, HubError::TermsNotAccepted { .. })), "{event:?}");
    terms::accept(&home.path().join("data")).unwrap();

    server.faults(|faults| faults.slow = Some((10_000, Duration::from_millis(20))));
    downloads.send(Command::Start(NAME.into()));
    start_and_pause(&mut downloads);
    server.faults(|faults| faults.slow = None);
    let before = server.state().sent;
    downloads.send(Command::Start(NAME.into()));
    let (event, done) = next(&mut downloads);
    let Event::Done(_, path) = event else { panic!("{event:?}") };
    assert!(fs::read(path).unwrap() == content && done == content.len() as u64);
    assert!(server.state().sent - before < content.len() as u64);
}

#[test]
fn a_cancelled_download_leaves_nothing() {
    let (server, _) = with_file(1 << 20);
    let home = tempfile::tempdir().unwrap();
    terms::accept(&home.path().join("data")).unwrap();
    let blobs = home.path().join("cache/models--someone--gemma-tiny-GGUF/blobs");
    let left = || fs::read_dir(&blobs).unwrap().count();
    server.faults(|faults| faults.slow = Some((10_000, Duration::from_millis(20))));
    let mut downloads = downloads(&server, home.path());
    downloads.send(Command::Start(NAME.into()));
    wait_for_bytes(&mut downloads);
    downloads.send(Command::Cancel(NAME.into()));
    assert!(matches!(next(&mut downloads).0, Event::Cancelled(_)));
    assert_eq!(left(), 0);
    // Also one that is paused.
    start_and_pause(&mut downloads);
    assert_eq!(left(), 1);
    downloads.send(Command::Cancel(NAME.into()));
    assert!(matches!(next(&mut downloads).0, Event::Cancelled(_)));
    assert_eq!(left(), 0);
    // And one that goes on, before the hub has answered.
    start_and_pause(&mut downloads);
    server.faults(|faults| faults.late_list = Duration::from_secs(1));
    let before = server.state().hub.len();
    downloads.send(Command::Start(NAME.into()));
    while server.state().hub.len() == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.faults(|faults| faults.late_list = Duration::ZERO);
    downloads.send(Command::Cancel(NAME.into()));
    assert!(matches!(next(&mut downloads).0, Event::Cancelled(_)));
    assert_eq!(left(), 0);
}

#[test]
fn a_download_of_which_nothing_came_is_cancelled_without_the_hub() {
    let (server, _) = with_file(1 << 20);
    let home = tempfile::tempdir().unwrap();
    server.faults(|faults| faults.late_list = Duration::from_secs(60));
    let mut downloads = downloads(&server, home.path());
    downloads.send(Command::Start(NAME.into()));
    downloads.send(Command::Cancel(NAME.into()));
    assert!(matches!(next(&mut downloads).0, Event::Cancelled(_)));
}

#[test]
fn a_plan_tells_what_would_come_and_search_what_there_is() {
    let (server, content) = with_file(50_000);
    let home = tempfile::tempdir().unwrap();
    let mut downloads = downloads(&server, home.path());
    downloads.send(Command::Plan(NAME.into()));
    let (event, _) = next(&mut downloads);
    let Event::Planned(_, Ok(planned)) = event else { panic!("{event:?}") };
    assert_eq!((planned.plan.total(), planned.present), (content.len() as u64, 0));
    assert!(planned.no_room.is_none());
    downloads.send(Command::Search("tiny".into()));
    let (event, _) = next(&mut downloads);
    assert!(matches!(&event, Event::Found(words, Ok(found)) if words == "tiny" && found.len() == 1), "{event:?}");
}
