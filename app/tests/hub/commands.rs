//! `lapidary pull`, `fit` and `chat` as a person uses them, against the server.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::server::{COMMIT, Server, TOKEN};

/// The program with a home of its own.
pub(crate) fn lapidary(server: &Server, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapidary"));
    command.args(arguments).stdin(Stdio::null()).env("HF_ENDPOINT", &server.address);
    for variable in [
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_HUB_OFFLINE",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "ALL_PROXY",
        "all_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "DISPLAY",
        "WAYLAND_DISPLAY",
    ] {
        command.env_remove(variable);
    }
    // The key store of the person who runs the tests stays closed.
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").env_remove("HF_TOKEN_PATH");
    command.env("HF_HOME", home.join("hf")).env("XDG_DATA_HOME", home.join("data"));
    command
}

/// Exit code, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Puts the guide's files on the server.
pub(crate) fn with_guide() -> Server {
    let server = Server::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guide/model");
    for (name, lfs) in [
        ("config.json", false),
        ("generation_config.json", false),
        ("tokenizer_config.json", false),
        ("tokenizer.json", true),
        ("model.safetensors", true),
    ] {
        server.put("lapidary/guide-gemma", name, &fs::read(folder.join(name)).unwrap(), lfs);
    }
    server
}

#[test]
fn what_was_pulled_answers_by_the_same_name() {
    let server = with_guide();
    let home = tempfile::tempdir().unwrap();
    let name = "lapidary/guide-gemma";
    let (code, stdout, stderr) = run(&mut lapidary(&server, home.path(), &["pull", name]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("--accept-terms") && stderr.contains("ai.google.dev/gemma/terms"), "{stderr}");
    assert!(server.state().storage.is_empty(), "nothing comes before the terms are accepted");

    let (code, stdout, stderr) = run(&mut lapidary(&server, home.path(), &["pull", name, "--accept-terms"]));
    assert_eq!(code, Some(0), "{stderr}");
    let path = Path::new(stdout.trim());
    assert!(path.starts_with(home.path().join("hf/hub/models--lapidary--guide-gemma")), "{stdout}");
    assert!(path.join("GEMMA_NOTICE.txt").exists());

    let prompt = "How do I open a model?";
    let of_guide = run(&mut lapidary(&server, home.path(), &["run", "-m", "guide", "--temperature", "0", prompt]));
    let pulled = run(&mut lapidary(&server, home.path(), &["run", "-m", name, "--temperature", "0", prompt]));
    assert_eq!(pulled.0, Some(0), "{}", pulled.2);
    assert_eq!(pulled.1, of_guide.1);
    // Accepted once, and found without the network.
    let (code, again, stderr) = run(lapidary(&server, home.path(), &["pull", name]).env("HF_HUB_OFFLINE", "1"));
    assert_eq!((code, again.as_str()), (Some(0), stdout.as_str()), "{stderr}");
    let (code, list, _) = run(&mut lapidary(&server, home.path(), &["models"]));
    assert!(code == Some(0) && list.contains("lapidary/guide-gemma"), "{list}");
}

#[test]
fn a_name_of_the_catalogue_alone_opens_what_was_pulled() {
    let server = Server::new();
    let home = tempfile::tempdir().unwrap();
    let repo = home.path().join("hf/hub/models--bartowski--gemma-2-2b-it-GGUF");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    let refuses = |name: &str, code: i32, word: &str| {
        let (status, stdout, stderr) = run(&mut lapidary(&server, home.path(), &[name]));
        assert_eq!((status, stdout.as_str()), (Some(code), ""), "{name}: {stderr}");
        assert!(stderr.contains(word), "{name}: {stderr}");
    };
    refuses("gemma-2-2b-it", 1, "lapidary pull gemma-2-2b-it");
    refuses("gemma-2-2b-itt", 2, "no model");
    let file = snapshot.join("gemma-2-2b-it-Q8_0.gguf");
    let arguments = ["quantize", "guide", "--weights", "q8_0", "-o", file.to_str().unwrap()];
    let (code, _, stderr) = run(&mut lapidary(&server, home.path(), &arguments));
    assert_eq!(code, Some(0), "{stderr}");
    // Without a display and without input, a chat in the terminal begins and ends.
    let full = "bartowski/gemma-2-2b-it-GGUF:gemma-2-2b-it-Q8_0.gguf";
    for name in ["gemma-2-2b-it", "bartowski/gemma-2-2b-it-GGUF", full] {
        let (code, _, stderr) = run(&mut lapidary(&server, home.path(), &[name]));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{name}");
    }
    // As the server calls it.
    let (code, list, _) = run(&mut lapidary(&server, home.path(), &["models"]));
    assert!(code == Some(0) && list.contains(&format!("{full} (")), "{list}");
    assert!(server.state().hub.is_empty());
}

#[test]
fn a_dry_run_tells_size_and_fit_and_downloads_nothing() {
    let server = with_guide();
    let home = tempfile::tempdir().unwrap();
    let arguments = ["pull", "lapidary/guide-gemma", "--dry-run", "--json"];
    let (code, stdout, stderr) = run(&mut lapidary(&server, home.path(), &arguments));
    assert_eq!(code, Some(0), "{stderr}");
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let weights =
        fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("guide/model/model.safetensors")).unwrap().len();
    assert!(object["bytes"].as_u64().unwrap() > weights);
    assert_eq!(object["bytes_present"], 0);
    assert!(object["fit"]["rows"][0]["bytes"].as_u64().unwrap() > weights, "{object}");
    assert!(object["fit"]["tokens_per_s"].as_f64().unwrap() > 0.0);
    assert!(server.state().sent < weights / 4, "only headers came: {}", server.state().sent);
    assert!(!home.path().join("hf/hub").exists());
}

#[test]
fn a_pull_that_cannot_work_says_why() {
    let server = with_guide();
    server.state().repos.get_mut("lapidary/guide-gemma").unwrap().gated = true;
    let home = tempfile::tempdir().unwrap();
    let refuses = |arguments: &[&str], code: i32, word: &str| {
        let (status, stdout, stderr) = run(&mut lapidary(&server, home.path(), arguments));
        assert_eq!((status, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(word) && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    };
    refuses(&["pull"], 2, "NAME");
    refuses(&["pull", "nonsense"], 2, "catalogue");
    refuses(&["pull", "gemma-2-2b:q4_k_m"], 2, "gemma-2-2b:bf16");
    refuses(&["pull", "a/../b"], 2, "names no model");
    refuses(&["pull", "nobody/nothing", "--accept-terms"], 1, "no repository");
    refuses(&["pull", "lapidary/guide-gemma", "--accept-terms"], 1, "HF_TOKEN");
    refuses(&["chat", "-m", "nobody/nothing"], 1, "lapidary pull");
    let mut command = lapidary(&server, home.path(), &["pull", "lapidary/guide-gemma", "--accept-terms"]);
    let (code, _, stderr) = run(command.env("HTTPS_PROXY", "::not a proxy::"));
    assert!(code == Some(1) && stderr.contains("HTTPS_PROXY"), "{stderr}");
    let (code, _, stderr) = run(command.env_remove("HTTPS_PROXY").env("HF_TOKEN", TOKEN));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains(TOKEN));
}

#[test]
fn the_saved_token_of_other_programs_is_used() {
    let server = with_guide();
    server.state().repos.get_mut("lapidary/guide-gemma").unwrap().gated = true;
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("hf")).unwrap();
    fs::write(home.path().join("hf/token"), format!("{TOKEN}\n")).unwrap();
    let arguments = ["pull", "lapidary/guide-gemma", "--accept-terms"];
    let (code, _, stderr) = run(&mut lapidary(&server, home.path(), &arguments));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(server.state().storage.iter().all(|seen| seen.token.is_none()));
}

#[test]
fn the_catalogue_is_listed() {
    let server = Server::new();
    let home = tempfile::tempdir().unwrap();
    let (code, stdout, _) = run(&mut lapidary(&server, home.path(), &["pull", "--list"]));
    assert!(code == Some(0) && stdout.contains("gemma-2-2b-it") && stdout.contains("gemma-3-27b-it"), "{stdout}");
    assert!(server.state().hub.is_empty());
}
