//! Log-probabilities of a prompt's tokens, for requests that want the prompt echoed with them.

use std::pin::Pin;

use lapidary_engine::{Engine, Result, Session};
use tokio::sync::mpsc::Sender;

use super::logprobs::TokenLogprob;
use super::queue::Event;

/// A pass over a prompt. It returns the session, for the next one.
pub(super) type Scoring = Pin<Box<dyn Future<Output = (Option<Session>, Result<Vec<TokenLogprob>>)>>>;

/// Computes the log-probability of each token of a prompt and of `count` alternatives. The first token has none, because
/// nothing predicts it.
///
/// The pass ends early, with [`lapidary_engine::Error::Cancelled`], once the client is gone.
pub(super) fn score(
    engine: Engine,
    session: Option<Session>,
    prompt: Vec<u32>,
    count: usize,
    client: Sender<Event>,
) -> Scoring {
    Box::pin(async move {
        let mut session = match session {
            Some(session) => session,
            None => match engine.session().await {
                Ok(session) => session,
                Err(error) => return (None, Err(error)),
            },
        };
        let mut list = vec![TokenLogprob { id: prompt[0], logprob: None, top: Vec::new() }];
        // Nothing follows the last token.
        let inputs = &prompt[..prompt.len() - 1];
        if inputs.is_empty() {
            return (Some(session), Ok(list));
        }
        let pass = session.logits(inputs, 0, |position, logits| {
            list.push(TokenLogprob::of(prompt[position + 1], logits, count));
            !client.is_closed()
        });
        let result = pass.await;
        (Some(session), result.map(|()| list))
    })
}
