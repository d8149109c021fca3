//! `lapidary batch`: requests from a file, results to another.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{lapidary, signal, wait};
use crate::replies::expected;
use crate::{Running, question, with};

const QUESTIONS: [&str; 12] = [
    "How do I open a model?",
    "What is RoPE?",
    "What is Gemma 2?",
    "Where are my chats?",
    "How do I export a chat?",
    "What is a KV cache?",
    "Which weight formats are there?",
    "How do I stop a reply?",
    "What is soft-capping?",
    "How do I download a model?",
    "Does Lapidary need Python?",
    "What is a sliding window?",
];

/// A batch's files in a folder that is removed at the end.
pub(crate) struct Files {
    _folder: TempDir,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
}

impl Files {
    pub(crate) fn new(input: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, output) = (folder.path().join("prompts.jsonl"), folder.path().join("replies.jsonl"));
        fs::write(&path, input).unwrap();
        Self { _folder: folder, input: path, output }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = lapidary();
        command.args(["batch", "-m", "guide"]).arg(&self.input).arg("-o").arg(&self.output).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end. Returns its exit code and all that it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        finish(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// The results by their `custom_id`, of which none may be there twice.
    pub(crate) fn results(&self) -> BTreeMap<String, Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
        let mut results = BTreeMap::new();
        for line in text.lines() {
            let result: Value = serde_json::from_str(line).unwrap();
            assert_eq!(result["error"], Value::Null);
            let id = result["custom_id"].as_str().unwrap().to_owned();
            assert!(results.insert(id, result).is_none(), "doubled: {line}");
        }
        results
    }

    /// Starts it and waits until it has written at least one more line.
    pub(crate) fn start_and_wait_for_a_result(&self, arguments: &[&str]) -> Child {
        let before = self.text().lines().count();
        let child = self.command(arguments).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.text().lines().count() <= before {
            assert!(Instant::now() < deadline, "no result comes");
            thread::sleep(Duration::from_millis(5));
        }
        child
    }
}

/// Waits for a process, which prints little.
fn finish(mut child: Child) -> (Option<i32>, String) {
    let status = wait(&mut child, Duration::from_secs(120));
    let output = child.wait_with_output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (status.code(), String::from_utf8(printed).unwrap())
}

fn content(result: &Value) -> &Value {
    assert_eq!(result["response"]["status_code"], 200, "{result}");
    &result["response"]["body"]["choices"][0]["message"]["content"]
}

fn texts(results: &BTreeMap<String, Value>) -> BTreeMap<&String, &Value> {
    results.iter().map(|(id, result)| (id, content(result))).collect()
}

/// Lines of OpenAI's batch files with replies of this many tokens.
pub(crate) fn openai_lines(tokens: usize) -> String {
    let line = |(index, text): (usize, &&str)| {
        let body = with(question(text), json!({"max_tokens": tokens, "ignore_eos": true}));
        let id = format!("request {index}");
        format!("{}\n", json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body}))
    };
    QUESTIONS.iter().enumerate().map(line).collect()
}

#[test]
fn lines_of_text_get_the_replies_that_the_server_gives() {
    let files = Files::new(QUESTIONS.join("\n"));
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.starts_with("12 requests, 12 of them now, 0 failed; "), "{printed}");
    let results = files.results();
    assert_eq!(results.len(), QUESTIONS.len());
    let server = Running::new();
    for (index, text) in QUESTIONS.iter().enumerate() {
        let result = &results[&(index + 1).to_string()];
        assert_eq!(result["line"], index + 1);
        let reply = server.post("/v1/chat/completions", &question(text)).json();
        assert_eq!(content(result), &reply["choices"][0]["message"]["content"]);
        assert_eq!(result["response"]["body"]["usage"], reply["usage"]);
    }
    // Again there is nothing to do.
    let before = files.text();
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.starts_with("12 requests, 0 of them now, 0 failed; "), "{printed}");
    assert_eq!(files.text(), before);
}

#[test]
fn a_line_that_is_refused_gets_the_servers_error_and_the_others_are_answered() {
    let line = |id: &str, url: &str, body: Value| {
        json!({"custom_id": id, "method": "POST", "url": url, "body": body}).to_string().into_bytes()
    };
    let (chat, completion) = ("/v1/chat/completions", "/v1/completions");
    let changed = |fields: Value| with(question("Hello"), fields);
    let lines = [
        line("good", chat, question("What is RoPE?")),
        line("hot", chat, changed(json!({"temperature": 99}))),
        line("tools", chat, changed(json!({"tools": [{"type": "function"}]}))),
        line("stream", chat, changed(json!({"stream": true}))),
        line("model", chat, changed(json!({"model": "gpt-4"}))),
        line("path", "/v1/embeddings", question("Hello")),
        line("text", completion, json!({"prompt": "Lapidary", "max_tokens": 3})),
        b"{\"custom_id\": \"broken\"".to_vec(),
        b"{\"messages\": \"\xff\"}".to_vec(),
        json!({"custom_id": "extra", "url": chat, "body": question("Hello"), "priority": 1}).to_string().into_bytes(),
        json!({"custom_id": 7, "url": chat, "body": question("Hello")}).to_string().into_bytes(),
        question(&"x".repeat(3 << 20)).to_string().into_bytes(),
        b"[1]".to_vec(),
        json!({"prompt": "Lapidary", "max_tokens": 2}).to_string().into_bytes(),
        question("What is Gemma 2?").to_string().into_bytes(),
    ];
    let files = Files::new(lines.join(&b'\n'));
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("11 of 15 requests failed"), "{printed}");
    let results = files.results();
    assert_eq!(results.len(), lines.len());
    let errors = [
        ("hot", 400, "invalid_value"),
        ("tools", 400, "unsupported_parameter"),
        ("stream", 400, "unsupported_parameter"),
        ("model", 404, "model_not_found"),
        ("path", 400, "invalid_value"),
        ("8", 400, "invalid_json"),
        ("9", 400, "invalid_json"),
        ("extra", 400, "unsupported_parameter"),
        ("11", 400, "invalid_value"),
        ("12", 413, "body_too_large"),
        ("13", 400, "invalid_json"),
    ];
    for (id, status, code) in errors {
        let response = &results[id]["response"];
        assert_eq!(response["status_code"], status, "{id}: {response}");
        assert_eq!(response["body"]["error"]["code"], code, "{id}: {response}");
    }
    assert_eq!(content(&results["good"]), &expected("What is RoPE?").1);
    assert_eq!(content(&results["15"]), &expected("What is Gemma 2?").1);
    for (id, tokens) in [("text", 3), ("14", 2)] {
        assert_eq!(results[id]["response"]["body"]["object"], "text_completion");
        assert_eq!(results[id]["response"]["body"]["usage"]["completion_tokens"], tokens);
    }
    // Failures of earlier runs still count.
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("11 of 15 requests failed"), "{printed}");
}

#[test]
fn a_batch_that_is_killed_three_times_has_every_result_once() {
    let whole = Files::new(openai_lines(40));
    let (code, printed) = whole.run(&[]);
    assert_eq!(code, Some(0), "{printed}");
    let files = Files::new(openai_lines(40));
    let mut cut = 0;
    for _ in 0..3 {
        let mut child = files.start_and_wait_for_a_result(&["--parallel", "2"]);
        let pause = RandomState::new().build_hasher().finish() % 300;
        thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        let done = files.text().lines().count();
        println!("killed {pause} ms after a result, with {done} results");
        cut += usize::from(done < QUESTIONS.len());
    }
    assert!(cut > 0, "it was never killed before its end");
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(!printed.starts_with("12 requests, 12 of them now"), "{printed}");
    assert_eq!(files.results().len(), QUESTIONS.len());
    assert_eq!(texts(&files.results()), texts(&whole.results()));
}

#[test]
fn a_torn_last_line_is_written_anew() {
    let files = Files::new("What is RoPE?\nWhat is Gemma 2?\n");
    assert_eq!(files.run(&[]).0, Some(0));
    let (whole, results) = (files.text(), files.results());
    let first = whole.find('\n').unwrap() + 1;
    for end in [first + 1, first + 5, first + 40, whole.len() - 1] {
        fs::write(&files.output, &whole[..end]).unwrap();
        let (code, printed) = files.run(&[]);
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.starts_with("2 requests, 1 of them now"), "{printed}");
        assert!(files.text().starts_with(&whole[..first]));
        assert_eq!(texts(&files.results()), texts(&results));
    }
}

/// A request that begins as a result does, in a file without a last line break.
const REQUEST: &str = r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}}"#;

#[test]
fn the_requests_are_not_replaced_by_their_results() {
    let mut files = Files::new(REQUEST);
    files.output = files.input.parent().unwrap().join("./prompts.jsonl");
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("holds the requests") && printed.contains("-o"), "{printed}");
    assert_eq!(files.text(), REQUEST);
}

#[test]
fn an_output_of_something_else_is_refused_and_kept() {
    let files = Files::new("What is RoPE?\nWhat is Gemma 2?\n");
    assert_eq!(files.run(&[]).0, Some(0));
    let results = files.text();
    let first = format!("{}\n", results.lines().next().unwrap());
    let cases = [
        ("What is RoPE?\nWhat is Gemma 3?\n", results.clone(), "another input"),
        ("What is RoPE?\n", results.clone(), "another input"),
        ("What is RoPE?\nWhat is Gemma 2?\n", format!("{first}{first}"), "twice"),
        ("What is RoPE?\nWhat is Gemma 2?\n", format!("{first}my notes"), "no result of a batch"),
        ("What is RoPE?\nWhat is Gemma 2?\n", "my notes".to_owned(), "no result of a batch"),
        ("What is RoPE?\nWhat is Gemma 2?\n", openai_lines(1), "no result of a batch"),
        ("What is RoPE?\nWhat is Gemma 2?\n", REQUEST.to_owned(), "no result of a batch"),
        ("What is RoPE?\nWhat is Gemma 2?\n", format!("{first}{REQUEST}"), "no result of a batch"),
    ];
    for (input, output, words) in cases {
        fs::write(&files.input, input).unwrap();
        fs::write(&files.output, &output).unwrap();
        let (code, printed) = files.run(&[]);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(words) && printed.contains("delete"), "{printed}");
        assert_eq!(files.text(), output);
    }
    fs::remove_file(&files.output).unwrap();
    let lock = File::create(&files.output).unwrap();
    lock.lock().unwrap();
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("another program writes"), "{printed}");
}

#[test]
fn standard_input_may_hold_lines_that_are_no_text() {
    let mut files = Files::new(b"What is RoPE?\r\n\n\xff\xfe\xc3\x28\nWhat is Gemma 2?");
    let input = File::open(&files.input).unwrap();
    files.input = Path::new("-").to_owned();
    let (code, printed) = finish(files.command(&[]).stdin(input).spawn().unwrap());
    assert_eq!(code, Some(1), "{printed}");
    let results = files.results();
    assert_eq!(results.keys().collect::<Vec<_>>(), ["1", "3", "4"]);
    assert_eq!(results["3"]["response"]["body"]["error"]["code"], "invalid_text");
    assert_eq!(content(&results["1"]), &expected("What is RoPE?").1);
}

#[test]
fn ctrl_c_keeps_what_is_done_and_says_how_to_go_on() {
    let files = Files::new(openai_lines(40));
    let child = files.start_and_wait_for_a_result(&["--parallel", "2"]);
    signal(&child, "-INT");
    let (code, printed) = finish(child);
    assert_eq!(code, Some(130), "{printed}");
    assert!(printed.contains("of 12 requests have a result; the same command goes on"), "{printed}");
    let done = files.results().len();
    assert!((1..QUESTIONS.len()).contains(&done), "{done}");
    let (code, printed) = files.run(&[]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(files.results().len(), QUESTIONS.len());
}

#[test]
fn log_probabilities_are_added_where_a_request_does_not_say() {
    let without = with(question("Hello"), json!({"logprobs": false}));
    let lines = [question("Hello"), json!({"prompt": "Lapidary"}), without, json!({"prompt": "A", "logprobs": 1})];
    let files = Files::new(lines.map(|line| line.to_string()).join("\n"));
    let (code, printed) = files.run(&["--top-logprobs", "3", "--max-tokens", "4"]);
    assert_eq!(code, Some(0), "{printed}");
    let results = files.results();
    let choice = |id: &str| &results[id]["response"]["body"]["choices"][0];
    let chat = choice("1")["logprobs"]["content"].as_array().unwrap();
    assert_eq!(chat.len(), 4);
    assert!(chat.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 3));
    for (id, count) in [("2", 3), ("4", 1)] {
        let logprobs = &choice(id)["logprobs"];
        assert_eq!(logprobs["token_logprobs"].as_array().unwrap().len(), 4);
        let tops = logprobs["top_logprobs"].as_array().unwrap();
        assert!(tops.iter().all(|top| (count..=count + 1).contains(&top.as_object().unwrap().len())), "{logprobs}");
    }
    assert_eq!(choice("3")["logprobs"], Value::Null);
}
