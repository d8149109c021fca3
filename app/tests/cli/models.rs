//! Which model a command takes, and what it says about models that cannot chat.

use std::fs;
use std::path::Path;

use crate::piped::piped;
use crate::{default_model, guide, lapidary, refuses, tiny};

#[test]
fn without_a_model_the_guide_answers() {
    let home = tempfile::tempdir().unwrap();
    let (status, stdout, stderr) = answer(&[], home.path(), "Hello\nHow do I open a model?\nThanks\n");
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{stdout}");
    let replies: Vec<&str> = stdout.lines().collect();
    for (reply, word) in replies.iter().zip(["guide", "drop", "welcome"]) {
        assert!(reply.to_lowercase().contains(word), "{stdout}");
    }
    assert_eq!(replies.len(), 3, "{stdout}");
}

#[test]
fn naming_the_guide_makes_it_the_default_again() {
    let home = tempfile::tempdir().unwrap();
    let with = |arguments: &[&str]| {
        let output = lapidary(arguments).env("XDG_DATA_HOME", home.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(default_model(home.path()), "guide");
    with(&["run", "-m", &tiny(), "--tokens", "2", "--max-tokens", "1"]);
    assert!(default_model(home.path()).ends_with("tiny-random-gemma2"));
    with(&["run", "-m", "guide", "--max-tokens", "1", "Hello"]);
    assert_eq!(default_model(home.path()), "guide");
}

#[test]
fn a_model_that_was_used_stays_in_the_list() {
    let home = tempfile::tempdir().unwrap();
    let with = |arguments: &[&str]| {
        let mut command = lapidary(arguments);
        let command = command.env("XDG_DATA_HOME", home.path()).env("HF_HUB_CACHE", home.path().join("no cache"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    with(&["run", "-m", &tiny(), "--tokens", "2", "--max-tokens", "1"]);
    with(&["run", "-m", "guide", "--max-tokens", "1", "Hello"]);
    let list = with(&["models"]);
    assert!(list.contains("(built in, the default)") && list.contains("tiny-random-gemma2 (used before)"), "{list}");
}

/// What is answered to lines on standard input.
fn answer(arguments: &[&str], home: &Path, lines: &str) -> (Option<i32>, String, String) {
    piped(lapidary(arguments).env("XDG_DATA_HOME", home), lines)
}

#[test]
fn a_model_can_be_named_without_a_command() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [&[guide().as_str()][..], &["-m", &guide()], &["--model", "guide"]] {
        let (status, stdout, stderr) = answer(arguments, home.path(), "Hello\n");
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        assert!(stdout.to_lowercase().contains("guide"), "{stdout}");
    }
}

#[test]
fn a_name_that_is_neither_command_nor_file_is_explained() {
    refuses(&["chta"], 2, &["'chta'", "a similar command exists: 'chat'", "--help"]);
    refuses(&["xyzzy"], 2, &["there is no command, no file and no model 'xyzzy'", "--help"]);
    refuses(&["no-such.gguf"], 1, &["no-such.gguf", "there is no such file"]);
    refuses(&["-m", "/no/such/model"], 1, &["/no/such/model"]);
    refuses(&["guide", "guide"], 2, &["guide"]);
    refuses(&[env!("CARGO_MANIFEST_DIR")], 1, &["config.json"]);
}

/// The guide without what makes it a chat model.
fn base_model(folder: &Path) -> String {
    for entry in fs::read_dir(guide()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    fs::remove_file(folder.join("tokenizer_config.json")).unwrap();
    fs::write(folder.join("generation_config.json"), r#"{"eos_token_id": 1}"#).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_base_model_says_so_and_completes_text() {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = base_model(folder.path());
    let few = ["--max-tokens", "3", "--temperature", "0"];
    let (status, _, stderr) = answer(&[&["run", "-m", &model, "Hello"], &few[..]].concat(), home.path(), "");
    assert_eq!(status, Some(0));
    assert!(stderr.contains("has no chat template") && stderr.contains("--raw"), "{stderr}");
    let (_, _, stderr) = answer(&[&["chat", "-m", &model], &few[..]].concat(), home.path(), "Hello\n");
    assert!(stderr.contains("has no chat template") && stderr.contains("chat --raw"), "{stderr}");

    let (status, _, stderr) = answer(&[&["run", "--raw", "-m", &model, "Hello"], &few[..]].concat(), home.path(), "");
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let turns = "What is\n/undo\nWhat is\n/foo bar\n/model\n";
    let (status, stdout, stderr) = answer(&[&["chat", "--raw", "-m", &model], &few[..]].concat(), home.path(), turns);
    assert_eq!(status, Some(0), "{stderr}");
    let completions: Vec<&str> = stdout.lines().collect();
    assert!(completions.len() == 2 && completions[0] == completions[1], "greedy, and /undo forgets: {stdout}");
    assert!(stderr.contains("unknown command /foo") && stderr.contains("/model does not work with --raw"), "{stderr}");
}

#[test]
fn another_template_than_gemmas_is_mentioned() {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = base_model(folder.path());
    fs::write(folder.path().join("chat_template.jinja"), "[INST] {{ messages[0].content }} [/INST]").unwrap();
    let (_, _, stderr) = answer(&["run", "-m", &model, "--max-tokens", "1", "Hello"], home.path(), "");
    assert!(stderr.contains("has a chat template that is not Gemma's"), "{stderr}");
}

#[test]
fn a_chat_goes_on_after_a_model_without_turns_could_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = base_model(folder.path());
    let tokenizer = folder.path().join("tokenizer.json");
    let json = fs::read_to_string(&tokenizer).unwrap().replace("<start_of_turn>", "<another_piece>");
    fs::write(&tokenizer, json).unwrap();
    let (status, stdout, stderr) = answer(&["chat", "-m", &model], home.path(), "Hello\nHello\n");
    assert_eq!((status, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert_eq!(stderr.matches("/model loads another").count(), 2, "{stderr}");
}

#[test]
fn models_of_ollama_are_listed_and_opened_by_their_names_there() {
    let home = tempfile::tempdir().unwrap();
    let ollama = home.path().join("ollama");
    let digits = "0123456789abcdef".repeat(4);
    let blob = ollama.join(format!("blobs/sha256-{digits}"));
    let manifest = ollama.join("manifests/registry.ollama.ai/library/guide-gemma/small");
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    let layer = format!(r#"{{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:{digits}"}}"#);
    fs::write(manifest, format!(r#"{{"layers": [{layer}]}}"#)).unwrap();
    let with = |arguments: &[&str]| {
        let mut command = lapidary(arguments);
        let command = command.env("XDG_DATA_HOME", home.path()).env("HF_HUB_CACHE", home.path().join("no cache"));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, stderr) = with(&["quantize", "guide", "--weights", "q8_0", "-o", blob.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stderr}");
    let folder = ollama.to_str().unwrap();
    let prompt = ["run", "-m", "guide-gemma:small", "--max-tokens", "1", "Hello"];
    assert_eq!(with(&prompt).0, Some(1), "it is not known yet");
    let (code, stdout, stderr) = with(&["models", "--add", folder]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("guide-gemma:small (in Ollama's folder)"), "{stdout}");
    let (code, _, stderr) = with(&prompt);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = with(&["fit", "guide-gemma:small", "--no-speed"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stdout, stderr) = with(&["models", "--remove", folder]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("in Ollama's folder"), "{stdout}");
    assert_eq!(with(&prompt).0, Some(1), "it is forgotten");
    let (code, _, stderr) = with(&["models", "--remove", folder]);
    assert!(code == Some(1) && stderr.contains("no folder was added"), "{stderr}");
    let (code, _, stderr) = with(&["models", "--add", "/no/such/folder"]);
    assert!(code == Some(1) && stderr.contains("/no/such/folder"), "{stderr}");
    // The variable does the same without being remembered.
    let mut command = lapidary(&["models"]);
    let command = command.env("XDG_DATA_HOME", home.path().join("other")).env("LAPIDARY_MODELS", folder);
    let listed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(listed.contains("guide-gemma:small"), "{listed}");
}
