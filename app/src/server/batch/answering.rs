//! Brings a batch's requests to the engine and its replies to the writer.

use std::pin::pin;
use std::sync::Arc;

use lapidary_engine::Error;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinError, JoinSet};

use super::entry::Place;
use super::reader::Entry;
use super::writer::Writer;
use super::{BatchError, Progress};
use crate::server::answer::{Answer, collect};
use crate::server::engine_thread::{Ended, end_of};
use crate::server::error::ApiError;
use crate::server::queue::Queue;
use crate::server::request::Offer;

type Reply = (Place, Result<Value, ApiError>);

/// The requests in the engine's hands.
pub(super) struct Answering {
    pub(super) offer: Arc<Offer>,
    pub(super) queue: Arc<Queue>,
    /// The most requests at once. The queue holds as many.
    pub(super) most: usize,
}

impl Answering {
    /// Answers all requests, or those that are complete when it is stopped.
    pub(super) async fn run(
        self,
        mut requests: Receiver<Result<Entry, BatchError>>,
        stopped: impl Future<Output = ()>,
        mut engine_ended: Ended,
        writer: &mut Writer<impl FnMut(&Progress)>,
    ) -> Result<(), BatchError> {
        let mut replies: JoinSet<Reply> = JoinSet::new();
        let (mut stopped, mut was_stopped, mut more) = (pin!(stopped), false, true);
        let ended = loop {
            if !more && replies.is_empty() {
                self.queue.close();
                break engine_ended.await;
            }
            tokio::select! {
                biased;
                () = &mut stopped => {
                    // The engine ends after its step, and only replies that are complete count.
                    self.queue.abandon();
                    was_stopped = true;
                    break engine_ended.await;
                }
                ended = &mut engine_ended => break ended,
                Some(reply) = replies.join_next() => take(reply, writer)?,
                entry = requests.recv(), if more && replies.len() < self.most => match entry {
                    Some(entry) => {
                        let (place, request) = entry?;
                        match request.and_then(|request| Answer::begin(&self.offer, &self.queue, request)) {
                            Ok((answer, events, _)) => drop(replies.spawn(async move {
                                let replies = collect(answer.choices, events).await;
                                (place, replies.map(|replies| answer.whole(replies)))
                            })),
                            Err(error) => writer.take(place, Err(error))?,
                        }
                    }
                    None => more = false,
                },
            }
        };
        while let Some(reply) = replies.join_next().await {
            take(reply, writer)?;
        }
        end_of(ended)?;
        // After a stop, replies that are not complete have failed too.
        if was_stopped { Ok(()) } else { writer.add_doubtful() }
    }
}

fn take(reply: Result<Reply, JoinError>, writer: &mut Writer<impl FnMut(&Progress)>) -> Result<(), BatchError> {
    let panicked = |_| Error::Internal { reason: "collecting a reply panicked".into() };
    let (place, result) = reply.map_err(panicked)?;
    writer.take(place, result)
}
