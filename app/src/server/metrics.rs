//! Counters, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::reply::Reply;

/// What the server has done since it started.
#[derive(Default)]
pub(super) struct Metrics {
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    /// Answers by path and status. Unknown paths are one entry.
    answers: BTreeMap<(&'static str, u16), u64>,
    replies: u64,
    cancelled: u64,
    prompt_tokens: u64,
    reply_tokens: u64,
    first_token_seconds: f64,
    further_seconds: f64,
}

impl Metrics {
    pub(super) fn count_answer(&self, path: &'static str, status: u16) {
        *self.lock().answers.entry((path, status)).or_default() += 1;
    }

    pub(super) fn count_reply(&self, reply: &Reply) {
        let mut counters = self.lock();
        counters.replies += 1;
        counters.prompt_tokens += reply.prompt().len() as u64;
        counters.reply_tokens += reply.tokens() as u64;
        if let Some(first) = reply.first_token {
            counters.first_token_seconds += (first - reply.started).as_secs_f64();
            counters.further_seconds += first.elapsed().as_secs_f64();
        }
    }

    pub(super) fn count_cancelled(&self) {
        self.lock().cancelled += 1;
    }

    /// All values in Prometheus' text format, with the requests that wait and the replies that grow now.
    pub(super) fn text(&self, (waiting, running): (usize, usize)) -> String {
        let counters = self.lock();
        let mut text = String::new();
        // Writing to a string does not fail.
        let mut add = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        let count = |count: u64| count as f64;
        add(
            "lapidary_replies_total",
            "counter",
            "Replies that are complete, and the tokens below are theirs.",
            count(counters.replies),
        );
        let help = "Replies that ended because the client was gone or read too slowly.";
        add("lapidary_replies_cancelled_total", "counter", help, count(counters.cancelled));
        add("lapidary_prompt_tokens_total", "counter", "Tokens of prompts.", count(counters.prompt_tokens));
        add("lapidary_reply_tokens_total", "counter", "Tokens of replies.", count(counters.reply_tokens));
        let help = "Time from the start of replies to their first token.";
        add("lapidary_first_token_seconds_total", "counter", help, counters.first_token_seconds);
        let help = "Time from the first token of replies to their last.";
        add("lapidary_further_tokens_seconds_total", "counter", help, counters.further_seconds);
        add("lapidary_replies_running", "gauge", "Replies being generated.", running as f64);
        add("lapidary_requests_waiting", "gauge", "Requests that wait for the engine.", waiting as f64);
        let name = "lapidary_http_requests_total";
        let _ = writeln!(text, "# HELP {name} Requests by path and status.\n# TYPE {name} counter");
        for ((path, status), count) in &counters.answers {
            let _ = writeln!(text, "{name}{{path=\"{path}\",status=\"{status}\"}} {count}");
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
