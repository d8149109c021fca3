//! Saving a token: by command and by clicks, in a file and in a key store.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use lapidary_app::ui::App;

use crate::commands::{lapidary, run, with_guide};
use crate::page::{press, sees, until, window};
use crate::server::{Server, TOKEN};

const REPO: &str = "lapidary/guide-gemma";

/// A server whose model is only for the account of [`TOKEN`].
fn gated() -> Server {
    let server = with_guide();
    server.state().repos.get_mut(REPO).unwrap().gated = true;
    server
}

/// Runs `lapidary login` with this on standard input.
fn login(command: &mut Command, token: &str) -> (Option<i32>, String, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_token_is_saved_for_its_hub_and_used_until_it_is_forgotten() {
    let server = gated();
    let home = tempfile::tempdir().unwrap();
    let lapidary = |arguments: &[&str]| lapidary(&server, home.path(), arguments);
    let file = home.path().join("data/lapidary/keys.json");
    for (token, code, word) in
        [("hf_wrong", 1, "does not accept the token"), ("", 1, "no token"), ("a b", 1, "no token")]
    {
        let (status, _, stderr) = login(&mut lapidary(&["login"]), token);
        assert!(status == Some(code) && stderr.contains(word) && !stderr.contains("hf_wrong"), "{token}: {stderr}");
        assert!(!file.exists(), "what is refused is not kept");
    }
    let (code, stdout, stderr) = login(&mut lapidary(&["login"]), &format!("{TOKEN}\n"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("the token of somebody is kept in") && stdout.contains("keys.json"), "{stdout}");
    assert!(!stdout.contains(TOKEN) && !stderr.contains(TOKEN));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let (code, _, stderr) = run(&mut lapidary(&["pull", REPO, "--accept-terms"]));
    assert_eq!(code, Some(0), "{stderr}");
    // Another hub does not get it.
    let other = gated();
    let (code, _, stderr) =
        run(lapidary(&["pull", REPO]).env("HF_ENDPOINT", &other.address).env("HF_HOME", home.path().join("other")));
    assert!(code == Some(1) && stderr.contains("lapidary login"), "{stderr}");
    assert!(other.state().hub.iter().all(|seen| seen.token.is_none()));

    let (code, stdout, _) = run(&mut lapidary(&["logout"]));
    assert_eq!((code, stdout.as_str()), (Some(0), "the token is forgotten\n"));
    assert!(!fs::read_to_string(&file).unwrap().contains(TOKEN));
    let (_, stdout, _) = run(lapidary(&["logout"]).env("HF_TOKEN", "hf_x"));
    assert_eq!(stdout, "no token was saved\nHF_TOKEN is set, so downloads still use that token\n");
}

#[test]
fn a_token_is_saved_by_clicks_where_the_hub_asks_for_one() {
    let server = gated();
    let home = tempfile::tempdir().unwrap();
    lapidary_app::hub::terms::accept(&home.path().join("data")).unwrap();
    let mut window = window(&server, home.path());
    until(&mut window, "the guide is loaded", |window| window.state().state.loaded().is_some());
    press(&mut window, "Get a model");
    window.get_by_label("Search the hub").focus();
    window.run_steps(2);
    window.get_by_label("Search the hub").type_text(REPO);
    window.run_steps(2);
    press(&mut window, "Start the search of the hub");
    press(&mut window, &format!("Download {REPO}"));
    sees(&mut window, "only for accounts that accepted its terms");
    for (token, answer) in [("hf_wrong", "does not accept the token"), (TOKEN, "This is the token of somebody")] {
        let field = |window: &Harness<'static, App>| window.query_all_by_label("Hugging Face token").next().is_some();
        until(&mut window, "the field for the token", field);
        window.get_all_by_label("Hugging Face token").next().unwrap().focus();
        window.run_steps(2);
        window.get_all_by_label("Hugging Face token").next().unwrap().type_text(token);
        window.run_steps(2);
        press(&mut window, "Save the token");
        sees(&mut window, answer);
    }
    let kept = fs::read_to_string(home.path().join("data/keys.json")).unwrap();
    assert!(kept.contains(TOKEN) && !kept.contains("hf_wrong"), "{kept}");
    press(&mut window, &format!("Try again {REPO}"));
    sees(&mut window, "It is listed under");
}

/// A command in a session of its own that has an open key store; `None` where the programs for that are missing.
fn with_key_store(program: &Command, home: &Path) -> Option<Command> {
    let script =
        "echo -n password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1 && exec \"$0\" \"$@\"";
    let installed =
        |name: &str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if !installed("dbus-run-session") || !installed("gnome-keyring-daemon") {
        return None;
    }
    let mut command = Command::new("dbus-run-session");
    command.args(["--", "sh", "-c", script]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // The session brings its own address; the key store writes below these.
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("HOME", home).env("XDG_RUNTIME_DIR", home);
    Some(command)
}

#[test]
fn a_token_is_kept_in_the_key_store_where_there_is_one() {
    let server = gated();
    let home = tempfile::tempdir().unwrap();
    let lapidary = |arguments: &[&str]| with_key_store(&lapidary(&server, home.path(), arguments), home.path());
    let Some(mut command) = lapidary(&["login"]) else {
        eprintln!("SKIPPED: the key store of a Linux desktop, because dbus-run-session and gnome-keyring are not here");
        return;
    };
    let (code, stdout, stderr) = login(&mut command, TOKEN);
    assert!(code == Some(0) && stdout.contains("is kept in the system's key store"), "{stdout}{stderr}");
    let file = home.path().join("data/lapidary/keys.json");
    let listed = fs::read_to_string(&file).unwrap();
    assert!(listed.contains("null") && !listed.contains(TOKEN), "{listed}");
    let (code, _, stderr) = run(&mut lapidary(&["pull", REPO, "--accept-terms"]).unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stdout, stderr) = run(&mut lapidary(&["logout"]).unwrap());
    assert_eq!((code, stdout.as_str()), (Some(0), "the token is forgotten\n"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
}
