//! The guide's answers name commands, options, keys, labels, paths and variables. All of them exist in the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::run;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the corpus that has topics.
#[derive(Deserialize)]
struct Topics {
    topic: Vec<Topic>,
}

#[derive(Deserialize)]
struct Topic {
    id: String,
    answer: String,
    more: Option<String>,
    #[serde(default)]
    follow: Vec<FollowUp>,
}

#[derive(Deserialize)]
struct FollowUp {
    answer: String,
}

/// All answers, each with its topic.
fn answers() -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for file in fs::read_dir(here("guide/corpus")).unwrap() {
        let file = file.unwrap().path();
        // These hold phrasings of questions.
        if ["later", "offtopic", "patterns", "phrasings"]
            .iter()
            .any(|name| file.file_stem().is_some_and(|s| s == *name))
        {
            continue;
        }
        let topics: Topics = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for topic in topics.topic {
            let followed = topic.follow.into_iter().map(|follow| follow.answer);
            answers.extend(
                [topic.answer].into_iter().chain(topic.more).chain(followed).map(|text| (topic.id.clone(), text)),
            );
        }
    }
    assert!(answers.len() > 200, "{}", answers.len());
    answers
}

/// The sources of the window, the command line and the page, without unit tests.
fn sources() -> String {
    fn add(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, text);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "html" || e == "ts" || e == "mjs") {
                let file = fs::read_to_string(&path).unwrap();
                text.push_str(file.split("#[cfg(test)]\nmod tests {").next().unwrap());
            }
        }
    }
    let mut text = String::new();
    for folder in ["src", "web", "../engine/src"] {
        add(&here(folder), &mut text);
    }
    text
}

/// The words of a text, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let edges = |c: char| matches!(c, '.' | ',' | ';' | ':' | '?' | '!' | '(' | ')' | '"' | '“' | '”' | '\'');
    // A comma may be a key: Ctrl+, stays whole.
    text.split_whitespace().map(move |word| match word.strip_suffix(|c| edges(c) && c != ',') {
        Some(key) if key.ends_with("+,") => key,
        _ if word.ends_with("+,") => word,
        _ => word.trim_start_matches(|c| edges(c) && c != '.').trim_end_matches(edges),
    })
}

/// The commands, each with its options, as the help texts list them.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let options = |arguments: &[&str]| -> BTreeSet<String> {
        let (_, help, _) = run(arguments);
        let options = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        options.filter(|word| word.starts_with('-')).map(str::to_owned).collect()
    };
    let (_, help, _) = run(&["--help"]);
    let listed = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // The lines that continue a description are indented further.
    let names =
        listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    let mut commands: BTreeMap<_, _> = names.map(|name| (name.to_owned(), options(&[name, "--help"]))).collect();
    for (command, inner) in [("chats", "list"), ("chats", "show"), ("chats", "export"), ("desktop", "install")] {
        let more = options(&[command, inner, "--help"]);
        commands.get_mut(command).unwrap().extend(more);
    }
    commands.insert(String::new(), options(&["--help"]));
    assert!(commands.len() > 15 && commands["run"].contains("--seed"), "{commands:?}");
    commands
}

/// Options of other programs that answers name.
const OTHER_OPTIONS: &[&str] = &["--web"];

#[test]
fn commands_and_options_exist() {
    let commands = commands();
    let mut wrong = Vec::new();
    for (topic, answer) in answers() {
        let mut named = vec![""];
        let mut before = "";
        for word in words(&answer) {
            if (before == "lapidary" || before == "./run.sh") && word.starts_with(|c: char| c.is_ascii_lowercase()) {
                match commands.get_key_value(word) {
                    Some((name, _)) => named.push(name),
                    None => wrong.push(format!("{topic}: lapidary {word}")),
                }
            }
            before = word;
        }
        for option in words(&answer).filter(|word| word.starts_with("--") && word.len() > 2) {
            let option = option.split('=').next().unwrap();
            // Without a command, it may be an option of any.
            let mut known = commands.iter().filter(|(name, _)| named.len() == 1 || named.contains(&name.as_str()));
            if !known.any(|(_, options)| options.contains(option)) && !OTHER_OPTIONS.contains(&option) {
                wrong.push(format!("{topic}: {option} of {named:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn labels_are_those_of_the_window() {
    let sources = sources();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (topic, answer) in answers() {
        for quoted in answer.split('“').skip(1) {
            let label = quoted.split('”').next().unwrap();
            count += 1;
            if !sources.contains(&format!("\"{label}\"")) && !sources.contains(&format!(">{label}<")) {
                wrong.push(format!("{topic}: {label}"));
            }
        }
    }
    assert!(count > 50, "only {count} labels are in curly quotes");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Keys that text fields and terminals know by themselves.
const KEYS_ELSEWHERE: &[&str] = &["Ctrl+C", "Ctrl+D", "Ctrl+V", "Ctrl+X", "Ctrl+A"];

#[test]
fn keys_are_listed_in_the_settings() {
    let page = fs::read_to_string(here("src/ui/settings/keyboard.rs")).unwrap();
    let listed: BTreeSet<&str> = page.split('"').skip(1).step_by(2).flat_map(str::split_whitespace).collect();
    let wrong: Vec<_> = answers()
        .iter()
        .flat_map(|(topic, answer)| {
            let is_key = |word: &&str| {
                let digits = word.strip_prefix('F').is_some_and(|n| n.parse::<u8>().is_ok());
                digits || ["Ctrl+", "Shift+", "Alt+", "Cmd+"].iter().any(|modifier| word.starts_with(modifier))
            };
            let keys =
                words(answer).filter(is_key).filter(|key| !listed.contains(key) && !KEYS_ELSEWHERE.contains(key));
            keys.map(move |key| format!("{topic}: {key}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn variables_and_paths_exist() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (topic, answer) in answers() {
        for word in words(&answer) {
            let variable = word.split('=').next().unwrap();
            let is_variable = ["LAPIDARY_", "HF_", "OPENAI_"].iter().any(|prefix| variable.starts_with(prefix));
            // A command of the terminal's chat, or a path of the server.
            let is_path = word.starts_with('/') && word.len() > 1;
            if (is_variable || is_path) && !sources.contains(&format!("\"{variable}\"")) {
                wrong.push(format!("{topic}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
