//! `lapidary batch --safetensors`: the log-probabilities of chats as tensors.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::batch::Files;
use crate::{engine, question, with};

const FLAGS: [&str; 2] = ["--top-logprobs", "3"];

/// A reply's ids and log-probabilities.
#[derive(Debug, PartialEq)]
struct Scores {
    line: i64,
    choice: i32,
    ended: bool,
    prompt_tokens: i32,
    tokens: Vec<i32>,
    logprobs: Vec<f32>,
    top_tokens: Vec<i32>,
    top_logprobs: Vec<f32>,
}

fn tensors(files: &Files) -> PathBuf {
    files.output.with_file_name("scores.safetensors")
}

/// Runs a batch that writes the file.
fn run(files: &Files, arguments: &[&str]) -> (Option<i32>, String) {
    let path = tensors(files);
    files.run(&[arguments, &["--safetensors", path.to_str().unwrap()]].concat())
}

fn read(files: &Files) -> Vec<Scores> {
    let bytes = fs::read(tensors(files)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let values = |name: &str, dtype: Dtype| {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), dtype, "{name}");
        tensor.data().to_vec()
    };
    let i64s = |name| values(name, Dtype::I64).chunks_exact(8).map(le(i64::from_le_bytes)).collect::<Vec<_>>();
    let i32s = |name| values(name, Dtype::I32).chunks_exact(4).map(le(i32::from_le_bytes)).collect::<Vec<_>>();
    let f32s = |name| values(name, Dtype::F32).chunks_exact(4).map(le(f32::from_le_bytes)).collect::<Vec<_>>();
    let (lines, offsets, ended) = (i64s("lines"), i64s("offsets"), values("ended", Dtype::BOOL));
    let (choices, prompt_tokens, tokens) = (i32s("choices"), i32s("prompt_tokens"), i32s("tokens"));
    let (logprobs, top_tokens, top_logprobs) = (f32s("logprobs"), i32s("top_tokens"), f32s("top_logprobs"));
    let width = tensors.tensor("top_tokens").unwrap().shape()[1];
    assert_eq!(tensors.tensor("top_logprobs").unwrap().shape(), [tokens.len(), width]);
    assert_eq!(offsets.len(), lines.len() + 1);
    assert_eq!((offsets[0], offsets[lines.len()]), (0, tokens.len() as i64));
    let rows = offsets.windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
    let reply = |(row, at): (usize, std::ops::Range<usize>)| Scores {
        line: lines[row],
        choice: choices[row],
        ended: ended[row] == 1,
        prompt_tokens: prompt_tokens[row],
        tokens: tokens[at.clone()].to_vec(),
        logprobs: logprobs[at.clone()].to_vec(),
        top_tokens: top_tokens[at.start * width..at.end * width].to_vec(),
        top_logprobs: top_logprobs[at.start * width..at.end * width].to_vec(),
    };
    rows.enumerate().map(reply).collect()
}

/// Reads a number from as many bytes as it has.
fn le<const N: usize, T>(number: fn([u8; N]) -> T) -> impl Fn(&[u8]) -> T {
    move |bytes| number(bytes.try_into().unwrap())
}

/// The same from a result line, where each position has `width` alternatives.
fn of_result(result: &Value, choice: usize, width: usize) -> Scores {
    let body = &result["response"]["body"];
    let logprobs = &body["choices"][choice]["logprobs"];
    let ended = !logprobs["end"].is_null();
    let entries: Vec<&Value> =
        logprobs["content"].as_array().unwrap().iter().chain(ended.then_some(&logprobs["end"])).collect();
    let id = |entry: &Value| entry["id"].as_i64().unwrap() as i32;
    let logprob = |entry: &Value| entry["logprob"].as_f64().unwrap() as f32;
    let (mut top_tokens, mut top_logprobs) = (Vec::new(), Vec::new());
    for entry in &entries {
        let top = entry["top_logprobs"].as_array().unwrap();
        for index in 0..width {
            top_tokens.push(top.get(index).map_or(-1, id));
            top_logprobs.push(top.get(index).map_or(f32::NEG_INFINITY, logprob));
        }
    }
    Scores {
        line: result["line"].as_i64().unwrap(),
        choice: choice as i32,
        ended,
        prompt_tokens: body["usage"]["prompt_tokens"].as_i64().unwrap() as i32,
        tokens: entries.iter().map(|entry| id(entry)).collect(),
        logprobs: entries.iter().map(|entry| logprob(entry)).collect(),
        top_tokens,
        top_logprobs,
    }
}

#[test]
fn tensors_have_what_the_results_have_in_the_order_of_the_input() {
    let lines = [
        with(question("What is RoPE?"), json!({"max_tokens": 60})),
        with(question("Hello"), json!({"n": 2, "temperature": 1.0, "seed": 3, "max_tokens": 5})),
        json!({"prompt": "Lapidary", "max_tokens": 3}),
        with(question("Hello"), json!({"temperature": 99})),
        with(question("Hello"), json!({"logprobs": true, "top_logprobs": 1, "max_tokens": 2})),
        with(question("Where are my chats?"), json!({"logprobs": false, "max_tokens": 2})),
    ];
    let files = Files::new(lines.map(|line| line.to_string()).join("\n"));
    let (code, printed) = run(&files, &FLAGS);
    assert_eq!(code, Some(1), "a line is refused: {printed}");
    let results = files.results();
    let scores = read(&files);
    assert!(printed.contains(" tokens of 4 replies; 2 have no log-probabilities there"), "{printed}");
    let expected = [("1", 0), ("2", 0), ("2", 1), ("5", 0)].map(|(id, choice)| of_result(&results[id], choice, 3));
    assert_eq!(scores, expected);
    let engine = engine();
    let first = &scores[0];
    assert!(first.ended && engine.stop_ids().contains(&(*first.tokens.last().unwrap() as u32)));
    // Greedily, each token is the most probable one, also the end.
    for (position, token) in first.tokens.iter().enumerate() {
        assert_eq!(
            (first.top_tokens[3 * position], first.top_logprobs[3 * position]),
            (*token, first.logprobs[position])
        );
    }
    let text: Vec<u32> = first.tokens[..first.tokens.len() - 1].iter().map(|id| *id as u32).collect();
    let said = &results["1"]["response"]["body"]["choices"][0]["message"]["content"];
    assert_eq!(engine.tokenizer().unwrap().decode(&text).unwrap(), said.as_str().unwrap());
    assert!(!scores[3].ended && scores[3].tokens.len() == 2 && scores[3].top_tokens[1..3] == [-1, -1]);
    // Once all is answered, the file can be made again.
    let whole = fs::read(tensors(&files)).unwrap();
    fs::write(tensors(&files), "something else").unwrap();
    assert_eq!(run(&files, &[]).0, Some(1));
    assert_eq!(fs::read(tensors(&files)).unwrap(), whole);
}

#[test]
fn a_batch_that_is_killed_has_tensors_only_once_it_is_done() {
    let lines = crate::batch::openai_lines(40);
    let whole = Files::new(&lines);
    assert_eq!(run(&whole, &FLAGS).0, Some(0));
    let files = Files::new(&lines);
    let path = tensors(&files);
    let arguments = [&FLAGS[..], &["--parallel", "2", "--safetensors", path.to_str().unwrap()]].concat();
    let mut child = files.start_and_wait_for_a_result(&arguments);
    child.kill().unwrap();
    child.wait().unwrap();
    let done = files.text().lines().count();
    assert!(done < lines.lines().count(), "it was killed too late");
    assert!(!path.exists());
    let (code, printed) = run(&files, &FLAGS);
    assert_eq!(code, Some(0), "{printed}");
    let (killed, at_once) = (read(&files), read(&whole));
    assert_eq!(killed.len(), at_once.len());
    for (killed, at_once) in killed.iter().zip(&at_once) {
        assert_eq!((killed.line, &killed.tokens), (at_once.line, &at_once.tokens));
        let pairs = killed.logprobs.iter().zip(&at_once.logprobs);
        // Replies that grow beside others are rounded differently.
        assert!(pairs.clone().all(|(one, other)| (one - other).abs() < 1e-3), "{pairs:?}");
    }
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "besides the input, the results and the tensors, something was left behind: {names:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_the_batch_runs() {
    let files = Files::new("What is RoPE?\n");
    let folder = files.output.parent().unwrap().to_str().unwrap().to_owned();
    let input = files.input.to_str().unwrap().to_owned();
    for (path, words) in [(folder.as_str(), "not a file"), ("/nowhere/x", "cannot write"), (&input, "something else")] {
        let (code, printed) = files.run(&["--safetensors", path]);
        assert!(code == Some(1) && printed.contains(words), "{path}: {printed}");
        assert_eq!(files.text(), "", "{path}: it ran");
    }
}

#[test]
fn a_batch_that_would_have_no_log_probabilities_is_refused_before_it_runs() {
    for input in ["What are logprobs?\n".to_owned(), question("Hello").to_string()] {
        let files = Files::new(input);
        let (code, printed) = run(&files, &["--max-tokens", "2"]);
        assert!(code == Some(2) && printed.contains("add --top-logprobs"), "{printed}");
        assert_eq!(files.text(), "", "it ran");
        // Results without them, which an earlier run wrote.
        assert_eq!(files.run(&["--max-tokens", "2"]).0, Some(0));
        let (code, printed) = run(&files, &[]);
        assert!(code == Some(1) && printed.contains("begin anew with --top-logprobs"), "{printed}");
        // Where a request has no result yet, the option can still be added.
        let mut input = fs::OpenOptions::new().append(true).open(&files.input).unwrap();
        input.write_all(b"\nHello\n").unwrap();
        let before = files.text();
        let (code, printed) = run(&files, &[]);
        assert!(code == Some(2) && printed.contains("add --top-logprobs"), "{printed}");
        assert_eq!(files.text(), before, "it ran");
        assert!(!tensors(&files).exists());
    }
}
