//! The engine's thread: generates the replies of one request after another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lapidary_engine::tokenizer::TextStream;
use lapidary_engine::{Error, Result, Sampling, Session};
use tokio::sync::mpsc::error::TrySendError;

use super::error::ApiError;
use super::logprobs::TokenLogprob;
use super::metrics::Metrics;
use super::queue::{End, Event, Job, Queue};
use super::stop_strings::StopStrings;
use crate::wait::wait_unless;

/// Answers requests until the queue is closed and empty, and drops those left after a failure. A request with several replies gets one and then goes behind the
/// others, so that it does not keep them waiting.
///
/// # Errors
/// [`Error::DeviceLost`] or [`Error::Gpu`] if the device fails. After that, no reply is possible.
pub(super) fn answer_all(mut session: Session, queue: &Queue, metrics: &Metrics) -> Result<()> {
    while let Some(mut job) = queue.take() {
        metrics.set_running(true);
        let choice = job.done;
        let result = catch_unwind(AssertUnwindSafe(|| reply(&mut session, &job, choice, metrics)));
        metrics.set_running(false);
        let result =
            result.unwrap_or_else(|_| Err(Error::Gpu { reason: "the engine panicked, which is a bug".into() }));
        match result {
            Ok(end) => {
                job.done += 1;
                // If sending fails, the client is gone.
                if job.events.try_send(Event::Ended { choice, end }).is_ok() && job.done < job.choices() {
                    queue.put_back(job);
                }
            }
            Err(Error::Cancelled) => metrics.count_cancelled(),
            Err(error) => {
                let lost = matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. });
                let _ = job.events.try_send(Event::Failed(ApiError::of(&error)));
                if lost {
                    queue.abandon();
                    return Err(error);
                }
                log::error!("a reply failed: {error}");
            }
        }
    }
    Ok(())
}

/// Generates one reply and sends its text as it grows.
///
/// # Errors
/// [`Error::Cancelled`] if the client is gone, and the engine's errors.
fn reply(session: &mut Session, job: &Job, choice: usize, metrics: &Metrics) -> Result<End> {
    let engine = session.engine().clone();
    let prompt = &job.prompts[choice / job.n];
    // The thread looks for the end of the reply itself, because the end token has a log-probability too.
    let seed = job.sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
    let sampling = Sampling { seed, stop_at_end: false, ..job.sampling.clone() };
    let mut text = TextStream::new(engine.tokenizer()?.clone());
    let mut stops = StopStrings::new(job.stops.clone());
    let send = |text: String| match job.events.try_send(Event::Text { choice, text }) {
        Ok(()) => Ok(()),
        Err(TrySendError::Full(_) | TrySendError::Closed(_)) => Err(Error::Cancelled),
    };
    let gone = || job.events.is_closed();
    let mut ids = Vec::new();
    let mut generation = session.generate(prompt, &sampling)?;
    // Why it ended, and whether a stop string did it.
    let (finish, stopped) = loop {
        let Some(id) = wait_unless(gone, generation.next()).unwrap_or(Err(Error::Cancelled))? else {
            break ("length", false);
        };
        ids.push(id);
        if job.sampling.stop_at_end && engine.stop_ids().contains(&id) {
            break ("stop", false);
        }
        let Some(piece) = text.push(id)? else { continue };
        let (piece, stopped) = stops.push(&piece);
        if !piece.is_empty() {
            send(piece)?;
        }
        if stopped {
            break ("stop", true);
        }
    };
    let timings = generation.timings();
    drop(generation);
    if !stopped {
        // The bytes of an incomplete character, and what could have begun a stop string.
        let (mut rest, stopped) = stops.push(&text.finish());
        if !stopped {
            rest.push_str(&stops.finish());
        }
        if !rest.is_empty() {
            send(rest)?;
        }
    }
    metrics.count_reply(prompt.len(), ids.len(), &timings);
    let cached = if ids.is_empty() { 0 } else { prompt.len() - timings.prefill_tokens };
    let logprobs = match job.logprobs {
        Some(count) => Some(logprobs(session, job, prompt, &ids, count)?),
        None => None,
    };
    Ok(End { finish, tokens: ids.len(), cached, logprobs })
}

/// The log-probabilities of a reply's tokens, and with `echo` of its prompt's, computed in one pass over both.
fn logprobs(
    session: &mut Session,
    job: &Job,
    prompt: &[u32],
    reply: &[u32],
    count: usize,
) -> Result<Vec<TokenLogprob>> {
    let ids = [prompt, reply].concat();
    let mut list = Vec::new();
    if job.echo {
        list.push(TokenLogprob { id: ids[0], logprob: None, top: Vec::new() });
    }
    let first = if job.echo { 0 } else { prompt.len() - 1 };
    // Nothing follows the last token.
    let inputs = &ids[..ids.len() - 1];
    if first < inputs.len() {
        let pass = session.logits(inputs, first, |position, logits| {
            list.push(TokenLogprob::of(ids[position + 1], logits, count));
            !job.events.is_closed()
        });
        wait_unless(|| job.events.is_closed(), pass).unwrap_or(Err(Error::Cancelled))?;
    }
    Ok(list)
}
