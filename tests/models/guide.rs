//! The guide: compares a trained model's logits and greedy replies with those of transformers, and checks its answers
//! to questions that it was not trained on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use lapidary_engine::scheduler::{Event, Request};
use lapidary_engine::template::{Role, Turn, render};
use lapidary_engine::{Engine, Sampling, Scheduler, SchedulerOptions, WeightFormat};
use lapidary_tests::{block_on, largest_difference, reply};
use serde::Deserialize;

use crate::golden::floats;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../app/guide").join(name)
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    serde_json::from_str(&fs::read_to_string(place(name)).unwrap()).unwrap()
}

/// A dialogue, computed by transformers.
#[derive(Deserialize)]
struct Golden {
    turns: Vec<(String, String)>,
    ask: String,
    ids: Vec<u32>,
    positions: Vec<usize>,
    greedy: Vec<u32>,
    text: String,
}

#[test]
fn logits_and_greedy_replies() {
    let engine = Engine::builder(place("model")).weights(WeightFormat::F32).build_blocking().unwrap();
    let bytes = fs::read(place("golden/logits.safetensors")).unwrap();
    let config: serde_json::Value = read("model/config.json");
    let window = config["sliding_window"].as_u64().unwrap() as usize;
    let goldens: Vec<Golden> = read("golden/dialogues.json");
    assert!(goldens.iter().any(|golden| golden.ids.len() > window + 64), "no dialogue crosses the window");
    let mut session = engine.session_blocking().unwrap();
    for (number, golden) in goldens.iter().enumerate() {
        // The template and the tokenizer agree with training.
        assert_eq!(prompt(&engine, &golden.turns, &golden.ask), golden.ids, "dialogue {number}");
        let expected = floats(&bytes, &format!("dialogue{number}"));
        let mut expected = golden.positions.iter().zip(expected.chunks_exact(engine.config().vocab_size)).peekable();
        let mut errors = Vec::new();
        session
            .logits_blocking(&golden.ids, 0, |position, logits| {
                if let Some((_, expected)) = expected.next_if(|(at, _)| **at == position) {
                    errors.push(largest_difference(logits, expected));
                }
                true
            })
            .unwrap();
        assert_eq!(errors.len(), golden.positions.len());
        errors.sort_by(f32::total_cmp);
        let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);
        println!("dialogue {number}: {} tokens, median {median:.1e}, worst {worst:.1e}", golden.ids.len());
        assert!(median < 1e-3 && worst < 5e-2, "dialogue {number}: median {median}, worst {worst}");
        session.rewind(0);
        let said = reply(&mut session, &golden.ids, &sampling());
        assert_eq!(said, golden.greedy, "dialogue {number}");
        assert_eq!(engine.tokenizer().unwrap().decode(&said).unwrap(), golden.text, "dialogue {number}");
    }
}

fn prompt(engine: &Engine, said: &[(String, String)], ask: &str) -> Vec<u32> {
    let mut turns = Vec::new();
    for (question, answer) in said {
        turns.push(Turn { role: Role::User, text: question.clone() });
        turns.push(Turn { role: Role::Model, text: answer.clone() });
    }
    turns.push(Turn { role: Role::User, text: ask.to_owned() });
    render(engine.tokenizer().unwrap(), None, &turns).unwrap()
}

fn sampling() -> Sampling {
    Sampling { max_tokens: Some(120), ..Sampling::greedy() }
}

/// Replies to many prompts, which are decoded together.
fn replies(scheduler: &mut Scheduler, prompts: impl Iterator<Item = Vec<u32>>) -> Vec<Vec<u32>> {
    let ids: Vec<_> = prompts.map(|prompt| scheduler.submit(Request::new(prompt, sampling())).unwrap()).collect();
    let mut said: HashMap<_, _> = ids.iter().map(|id| (*id, Vec::new())).collect();
    while !scheduler.is_idle() {
        for event in block_on(scheduler.step()).unwrap() {
            match event {
                Event::Token { id, token, .. } => said.get_mut(&id).unwrap().push(token),
                Event::Finished { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    ids.iter().map(|id| said.remove(id).unwrap()).collect()
}

/// Held-out questions, and follow-up questions, which are in the training data.
#[derive(Deserialize)]
struct Evaluation {
    on_topic: Vec<Question>,
    follow_ups: Vec<FollowUp>,
    off_topic: Vec<Plain>,
    other_languages: Vec<Plain>,
    refusal: Vec<String>,
    english: Vec<String>,
}

#[derive(Deserialize)]
struct Question {
    ask: String,
    /// Terms that a right answer contains, each with its alternatives separated by bars.
    keys: Vec<String>,
    /// Whether a person wrote the question, or a frame made it from a term.
    written: bool,
}

#[derive(Deserialize)]
struct FollowUp {
    first: String,
    answer: String,
    ask: String,
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Plain {
    ask: String,
}

#[test]
fn right_answers_to_some_held_out_questions() {
    evaluate(6);
}

/// All held-out questions: several minutes on a software adapter.
#[test]
#[ignore = "takes minutes; run it with --ignored"]
fn right_answers_to_all_held_out_questions() {
    evaluate(1);
}

/// The turns so far, a question, and the terms that a right answer contains.
type Asked<'a> = (Vec<(String, String)>, &'a str, &'a [String]);

/// The least share of right answers to all questions about its topics. The model reaches 0.92.
const ON_TOPIC: f64 = 0.90;
/// The least share for questions that a person wrote, which are a fifth of all, and the hard ones. The model reaches 0.66.
const WRITTEN: f64 = 0.6;
/// The least share for questions that a frame made from a term. The model reaches 0.99.
const FRAMED: f64 = 0.97;
/// The least share of refusals of questions about other topics. The model reaches 0.95.
const OFF_TOPIC: f64 = 0.93;

/// Whether an answer contains every term, or one of its alternatives separated by bars. Both are in lower case.
fn holds(answer: &str, keys: &[String]) -> bool {
    keys.iter().all(|key| key.to_lowercase().split('|').any(|term| has_term(answer, term)))
}

/// Whether a text contains a term as whole words: "ime" is not in "time".
fn has_term(text: &str, term: &str) -> bool {
    let inside = |edge: Option<char>, beside: Option<char>| {
        edge.is_some_and(char::is_alphanumeric) && beside.is_some_and(char::is_alphanumeric)
    };
    text.match_indices(term).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + term.len()..].chars().next());
        !inside(term.chars().next(), before) && !inside(term.chars().next_back(), after)
    })
}

#[test]
fn terms_are_whole_words() {
    for (text, term) in
        [("with an ime.", "ime"), ("press ctrl+o", "ctrl+o"), ("a .gguf file", ".gguf"), ("(q4_0)", "q4_0")]
    {
        assert!(has_term(text, term), "{term} in {text}");
    }
    for (text, term) in [("this time", "ime"), ("dropping it", "drop"), ("ctrl+open", "ctrl+o"), ("q4_01", "q4_0")] {
        assert!(!has_term(text, term), "{term} in {text}");
    }
    // The first occurrence is part of a word, the second is a whole word.
    assert!(has_term("time for an ime", "ime"));
}

/// Asks every `every`th question about its topics, fewer of those made by frames, and all questions of the other kinds.
fn evaluate(every: usize) {
    let engine = Engine::builder(place("model")).build_blocking().unwrap();
    let options = SchedulerOptions { sequences: 16, cache_tokens: 16 * 512 };
    let mut scheduler = block_on(Scheduler::new(&engine, &options)).unwrap();
    let held_out: Evaluation = read("evaluation.json");
    let mut ask = |what: &str, least: f64, questions: Vec<Asked<'_>>| {
        let count = questions.len();
        let mut right = 0u32;
        let prompts = questions.iter().map(|(turns, question, _)| prompt(&engine, turns, question));
        let said = replies(&mut scheduler, prompts);
        for ((_, question, keys), said) in questions.into_iter().zip(said) {
            let answer = engine.tokenizer().unwrap().decode(&said).unwrap().to_lowercase();
            if holds(&answer, keys) {
                right += 1;
            } else {
                println!("{what}: {question:?} got {answer:?}");
            }
        }
        println!("{what}: {right} of {count}");
        assert!(f64::from(right) >= least * count as f64, "{what}: only {right} of {count} answers are right");
        f64::from(right) / count as f64
    };
    let on_topic = |written: bool| {
        let those = held_out.on_topic.iter().filter(move |question| question.written == written);
        those.step_by(every).map(|q| (vec![], q.ask.as_str(), q.keys.as_slice())).collect()
    };
    let written = ask("written questions", WRITTEN, on_topic(true));
    let framed: Vec<_> = on_topic(false);
    // There are many of these, and they are similar.
    let framed =
        ask("framed questions", FRAMED, if every > 1 { framed.into_iter().step_by(16).collect() } else { framed });
    // Weights each kind by its number of held-out questions, not by the number asked.
    let share_written =
        held_out.on_topic.iter().filter(|question| question.written).count() as f64 / held_out.on_topic.len() as f64;
    let right = written * share_written + framed * (1.0 - share_written);
    println!("questions about its topics: {:.1} %", 100.0 * right);
    assert!(right >= ON_TOPIC, "only {:.1} % of the answers are right", 100.0 * right);
    // Asks all of these. There are so few that a sample could not measure a share this close to the limit.
    ask(
        "off-topic questions",
        OFF_TOPIC,
        held_out.off_topic.iter().map(|q| (vec![], q.ask.as_str(), held_out.refusal.as_slice())).collect(),
    );
    let follow_ups = held_out.follow_ups.iter();
    let follow_ups = follow_ups.map(|q| (vec![(q.first.clone(), q.answer.clone())], q.ask.as_str(), q.keys.as_slice()));
    ask("follow-up questions", 0.9, follow_ups.collect());
    let languages = held_out.other_languages.iter().map(|q| (vec![], q.ask.as_str(), held_out.english.as_slice()));
    ask("other languages", 0.75, languages.collect());
}
