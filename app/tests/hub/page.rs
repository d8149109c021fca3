//! The window's page of models by clicks: a model is found on the hub, looked at, downloaded and talked to.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use lapidary_app::chats::Store;
use lapidary_app::hub::downloads::Downloads;
use lapidary_app::state::{Download, State};
use lapidary_app::ui::{App, apply_style};
use lapidary_app::worker::{EngineWorker, Load};

use crate::commands::with_guide;
use crate::server::Server;
use crate::transfer::with_file;

const REPO: &str = "lapidary/guide-gemma";

/// How long any step may take, on a busy machine that compiles shaders.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A window over the real engine, which finds the hub at the server.
pub(crate) fn window(server: &Server, home: &Path) -> Harness<'static, App> {
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
    let store = Store::open(None, wake.clone());
    let mut state = State::new(Box::new(EngineWorker::start(wake)), store, Load::default());
    let settings = server.settings(&home.join("cache"));
    state.set_downloads(Downloads::new(Some(settings), Some(home.join("data")), || {}));
    let draw = |ui: &mut egui::Ui, app: &mut App| {
        app.tick(ui.ctx());
        app.show(ui);
    };
    // So high that the new model's row is visible below those that the person who runs the test has used.
    let builder = Harness::builder().with_size([1200.0, 2400.0]).with_max_steps(64);
    builder.with_context_setup(apply_style).allow_missing_glyphs().build_ui_state(draw, App::new(state))
}

#[track_caller]
pub(crate) fn until(window: &mut Harness<'static, App>, what: &str, ready: impl Fn(&Harness<'static, App>) -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !ready(window) {
        assert!(Instant::now() < end, "timed out: {what}; {:?}", window.state().state.hub.search);
        std::thread::sleep(Duration::from_millis(5));
        window.step();
    }
}

#[track_caller]
pub(crate) fn press(window: &mut Harness<'static, App>, label: &str) {
    until(window, label, |window| window.query_all_by_label(label).next().is_some());
    window.get_all_by_label(label).next().unwrap().click();
    window.run_steps(4);
}

#[track_caller]
pub(crate) fn sees(window: &mut Harness<'static, App>, text: &str) {
    until(window, text, |window| window.query_all_by_label_contains(text).next().is_some());
}

#[test]
fn a_model_is_found_downloaded_and_talked_to_by_clicks() {
    let server = with_guide();
    let home = tempfile::tempdir().unwrap();
    let mut window = window(&server, home.path());
    until(&mut window, "the guide is loaded", |window| window.state().state.loaded().is_some());
    press(&mut window, "Get a model");
    sees(&mut window, "Gemma 2 2B");
    assert!(server.state().hub.is_empty(), "nothing is asked before the person asks");
    window.get_by_label("Search the hub").focus();
    window.run_steps(2);
    window.get_by_label("Search the hub").type_text(REPO);
    window.run_steps(2);
    press(&mut window, "Start the search of the hub");
    sees(&mut window, "files, 1");
    press(&mut window, &format!("Download {REPO}"));
    // The terms come before the first download.
    press(&mut window, "Accept and download");
    sees(&mut window, "It is listed under");

    // The list has the cache of the person who runs the test, and not this one.
    let snapshots = home.path().join("cache/models--lapidary--guide-gemma/snapshots");
    let path = fs::read_dir(snapshots).unwrap().next().unwrap().unwrap().path();
    press(&mut window, "Open a file…");
    window.get_by_label("Path").focus();
    window.run_steps(2);
    window.get_by_label("Path").type_text(path.to_str().unwrap());
    window.run_steps(2);
    press(&mut window, "Open");
    until(&mut window, "it is loaded", |window| {
        window.state().state.loaded().is_some_and(|loaded| loaded.is_file(Some(&path)))
    });
    press(&mut window, "On this machine");
    sees(&mut window, &format!("In use {REPO}"));
    press(&mut window, "Back to the chat");
    window.state_mut().state.settings.sampling.temperature = 0.0;
    window.state_mut().state.set_draft("How do I open a model?".into());
    press(&mut window, "Send");
    until(&mut window, "it answers", |window| {
        let state = &window.state().state;
        state.reply().is_none() && state.tree().is_some_and(|tree| tree.path().len() == 2)
    });
    let reply = window.state().state.tree().unwrap().branch().last().unwrap().text.clone();
    assert!(reply.contains("gguf"), "{reply}");
}

#[test]
fn every_download_that_asks_for_the_terms_starts_once_they_are_accepted() {
    let (server, content) = with_file(10_000);
    server.put("someone/gemma-other-GGUF", "gemma-other-Q4_K_M.gguf", &content, true);
    let home = tempfile::tempdir().unwrap();
    let mut window = window(&server, home.path());
    let names = ["someone/gemma-tiny-GGUF", "someone/gemma-other-GGUF"];
    for name in names {
        window.state_mut().state.start_download(name);
    }
    until(&mut window, "both ask for the terms", |window| window.state().state.hub.asks_terms.len() == 2);
    press(&mut window, "Accept and download");
    until(&mut window, "both are here", |window| {
        let active = &window.state().state.hub.active;
        names.iter().all(|name| active.get(*name) == Some(&Download::Done))
    });
}
