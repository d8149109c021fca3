//! The window's worker with a model of a server.

use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lapidary_app::chats::Role;
use lapidary_app::endpoint::{Address, Keys, ServerModel};
use lapidary_app::secrets::Secrets;
use lapidary_app::worker::{Command, EngineWorker, Event, Load, Overflow, Remedy, Worker};
use lapidary_engine::{Finish, Sampling};

use crate::server::{Server, begin, end, list, piece, respond};

/// The next event.
#[track_caller]
pub(crate) fn next(worker: &mut EngineWorker) -> Event {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match worker.event() {
            Some(event) => return event,
            None => thread::sleep(Duration::from_millis(2)),
        }
        assert!(Instant::now() < end, "no event came");
    }
}

/// A worker for which the server's model is loaded.
pub(crate) fn worker(server: &Server, keys: Keys) -> EngineWorker {
    let mut worker = EngineWorker::with_keys(Arc::new(|| {}), keys);
    let model = ServerModel { address: server.address.clone(), model: "gemma".into() };
    worker.send(Command::Load(Load { server: Some(model.clone()), ..Load::default() }));
    let Event::Loaded(loaded) = next(&mut worker) else { panic!("it is not loaded") };
    assert_eq!((loaded.name, loaded.load.server.as_ref()), (model.author(), Some(&model)));
    worker
}

pub(crate) fn generate(turns: &[(Role, &str)], plain: bool) -> Command {
    let turns = turns.iter().map(|(role, text)| (*role, (*text).to_owned())).collect();
    let (system, sampling, overflow) = ("Be brief.".into(), Sampling::default(), Overflow::Ask);
    Command::Generate { reply: 7, turns, system, plain, sampling, overflow }
}

#[test]
fn a_reply_grows_and_ends() {
    let server = Server::replying(&(piece("One ") + &piece("two") + &end("length") + "data: [DONE]\n\n"));
    let mut worker = worker(&server, Keys::default());
    worker.send(generate(&[(Role::User, "Count.")], false));
    for expected in ["One ", "two"] {
        assert!(matches!(next(&mut worker), Event::ReplyText(7, text) if text == expected), "{expected}");
    }
    let event = next(&mut worker);
    assert!(matches!(event, Event::Ended { reply: 7, finish: Some(Finish::MaxTokens), .. }), "{event:?}");
    assert_eq!(server.seen().last().unwrap().body["messages"][0]["content"], "Be brief.");
}

#[test]
fn a_stop_closes_the_connection() {
    let server = Server::new(|_, stream| {
        begin(stream)?;
        loop {
            stream.write_all(piece("on ").as_bytes())?;
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut worker = worker(&server, Keys::default());
    worker.send(generate(&[(Role::User, "Go on.")], false));
    assert!(matches!(next(&mut worker), Event::ReplyText(7, _)));
    worker.send(Command::Stop);
    let end = loop {
        match next(&mut worker) {
            Event::ReplyText(..) => {}
            event => break event,
        }
    };
    assert!(matches!(end, Event::Ended { reply: 7, finish: None, .. }), "{end:?}");
    server.wait_for_gone_client();
}

#[test]
fn what_a_server_cannot_do_is_said() {
    let server = Server::replying("");
    let mut worker = worker(&server, Keys::default());
    let half = [(Role::User, "Hello"), (Role::Model, "Hi th")];
    for (command, words) in [
        (generate(&half, false), "cannot continue a reply"),
        (generate(&[(Role::User, "Once upon")], true), "answers in turns"),
        (generate(&[(Role::User, "Hello")], false), "ended before the reply did"),
    ] {
        worker.send(command);
        let event = next(&mut worker);
        let Event::Failed(7, problem) = event else { panic!("{event:?}") };
        assert!(problem.sentence.contains(words), "no {words:?} in {}", problem.sentence);
        assert_eq!(problem.remedy, Remedy::Retry);
    }
    worker.send(Command::Profile);
    assert!(matches!(next(&mut worker), Event::Profile(Err(reason)) if reason.contains("runs on a server")));
    worker.send(Command::CountTokens(Vec::new()));
    assert!(matches!(next(&mut worker), Event::TokensCounted(counts) if counts.is_empty()));
}

#[test]
fn a_typed_key_is_kept_once_the_server_accepts_it() {
    let server = Server::new(|seen, stream| match seen.key.as_deref() {
        Some("Bearer right") => respond(stream, "200 OK", "", &list(&["gemma"])),
        _ => respond(stream, "401 Unauthorized", "", ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(Secrets::in_folder(Some(folder.path().to_owned())), |_| None);
    let mut worker = EngineWorker::with_keys(Arc::new(|| {}), keys.clone());
    let address = server.address.to_string();
    let mut find = |address: &str, key: Option<&str>| {
        worker.send(Command::FindServer { address: address.into(), key: key.map(|key| Keys::typed(key).unwrap()) });
        let event = next(&mut worker);
        let Event::ServerFound { address: typed, found } = event else { panic!("{event:?}") };
        assert_eq!(typed, address);
        found
    };
    let refused = find(&address, Some("wrong")).unwrap_err();
    assert!(refused.contains("does not accept the key"), "{refused}");
    let refused = find(&address, None).unwrap_err();
    assert!(refused.contains("wants a key"), "a refused key is not kept: {refused}");
    let refused = find("ftp://x", None).unwrap_err();
    assert!(refused.contains("names no server"), "{refused}");
    let found = (Address::parse(&address).unwrap(), vec!["gemma".to_owned()]);
    assert_eq!(find(&address, Some("right")), Ok(found.clone()));
    assert_eq!(find(&address, None), Ok(found));
    worker.send(Command::ForgetServer(server.address.clone()));
    assert!(matches!(next(&mut worker), Event::ServerForgotten(Ok(()))));
    assert!(keys.find(&server.address).unwrap().is_none());
}
