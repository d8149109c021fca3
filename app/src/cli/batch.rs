//! `lapidary batch`: answers all requests in a file.

use std::io::{self, Write};
use std::sync::Arc;

use lapidary_app::hub::duration;
use lapidary_app::server::batch::{Batch, BatchError, Options, Progress, Scored, ScoresFile};
use tokio::sync::Notify;

use super::args;
use super::failure::{Failure, print_error};
use super::interrupt::{Busy, interrupted, on_interrupt};
use super::load::{engine, open, require_tokenizer};
use super::serve::model_id;
use super::terminal::ProgressBar;

pub(crate) fn batch(arguments: &args::Batch) -> Result<(), Failure> {
    let named = arguments.model.model.as_deref();
    let files = open(named)?;
    require_tokenizer(&files)?;
    let options = Options {
        model: model_id(named, &files),
        sampling: arguments.sampling.to_engine(&files),
        parallel: arguments.concurrency.parallel,
        cache_tokens: arguments.concurrency.cache_tokens,
        top_logprobs: arguments.top_logprobs,
    };
    options.sampling.check()?;
    let batch = Batch::open(&arguments.input, &arguments.output)?;
    let scores = arguments.safetensors.as_deref();
    let scores = scores.map(|path| ScoresFile::open(path, &[&arguments.input, &arguments.output])).transpose()?;
    if scores.is_some() && arguments.top_logprobs.is_none() && !batch.is_done() && !batch.may_have_logprobs() {
        let reason =
            "no request asks for log-probabilities, so --safetensors would have none to write; add --top-logprobs K";
        return Err(Failure::Usage(reason.into()));
    }
    let output = arguments.output.display();
    let progress = if batch.is_done() {
        let progress = batch.progress();
        // It holds a lock, which on Windows keeps others from reading the results.
        drop(batch);
        progress
    } else {
        let busy = Busy::new();
        let engine = engine(files, &arguments.model, None, &busy)?;
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        on_interrupt(move || stop.notify_one());
        let mut bar = ProgressBar::new("Answering");
        batch.run(&engine, options, stopped.notified(), |progress| bar.say(&state(progress)))?
    };
    let Progress { total, done, failed, new, .. } = progress;
    if done < total && interrupted() {
        print_error(&format!("{done} of {total} requests have a result; the same command goes on with the others"));
        return Err(Failure::Interrupted);
    }
    writeln!(io::stdout(), "{done} requests, {new} of them now, {failed} failed; {}", speed(&progress))?;
    if let Some((scores, path)) = scores.zip(arguments.safetensors.as_deref()) {
        let Scored { replies, positions, without } = scores.write(&arguments.output)?;
        let path = path.display();
        writeln!(
            io::stdout(),
            "{path} has the {positions} tokens of {replies} replies; {without} have no log-probabilities there"
        )?;
    }
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {total} requests failed; their lines in {output} say why")));
    }
    Ok(())
}

/// How far a batch has come, in words.
fn state(progress: &Progress) -> String {
    let mut text = format!("{} of {} requests, {}", progress.done, progress.total, speed(progress));
    if progress.new > 0 {
        let left = progress.total.saturating_sub(progress.done);
        text += &format!(", {} left", duration(progress.elapsed.mul_f64(left as f64 / progress.new as f64)));
    }
    text
}

fn speed(progress: &Progress) -> String {
    let seconds = progress.elapsed.as_secs_f64().max(0.001);
    format!("{} tokens, {:.1} per second", progress.tokens, progress.tokens as f64 / seconds)
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Engine(error) => error.into(),
            error => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_time_left_is_that_of_the_requests_without_result() {
        let elapsed = Duration::from_secs(20);
        let progress = Progress { total: 100, done: 40, failed: 1, new: 10, tokens: 500, elapsed };
        assert_eq!(state(&progress), "40 of 100 requests, 500 tokens, 25.0 per second, 2 min 0 s left");
        let progress = Progress { total: 100, done: 0, failed: 0, new: 0, tokens: 0, elapsed: Duration::ZERO };
        assert_eq!(state(&progress), "0 of 100 requests, 0 tokens, 0.0 per second");
    }
}
