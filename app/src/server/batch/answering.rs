//! Brings a batch's requests to the engine and its replies to the writer.

use std::pin::pin;
use std::sync::Arc;

use lapidary_engine::Error;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use super::entry::Place;
use super::reader::Entry;
use super::writer::Writer;
use super::{BatchError, Progress};
use crate::server::answer::{Answer, collect};
use crate::server::error::ApiError;
use crate::server::queue::Queue;
use crate::server::request_reader::RequestReader;

type Reply = (Place, Result<Value, ApiError>);

/// The requests in the engine's hands.
pub(super) struct Answering {
    pub(super) reader: Arc<RequestReader>,
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
        mut engine_ended: oneshot::Receiver<lapidary_engine::Result<()>>,
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
                        match request.and_then(|request| Answer::begin(&self.reader, &self.queue, request)) {
                            Ok((answer, events, _)) => drop(replies.spawn(async move {
                                let replies = collect(answer.choices, events).await;
                                (place, replies.map(|replies| answer.whole(replies)))
                            })),
                            // The engine has failed, and its end says how. The next run answers this request.
                            Err(_) if self.queue.is_abandoned() => break engine_ended.await,
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
        ended.map_err(|_| panicked("the engine's thread"))??;
        // After a stop, replies that are not complete have failed too.
        if was_stopped { Ok(()) } else { writer.add_doubtful() }
    }
}

fn take(reply: Result<Reply, JoinError>, writer: &mut Writer<impl FnMut(&Progress)>) -> Result<(), BatchError> {
    let (place, result) = reply.map_err(|_| panicked("collecting a reply"))?;
    writer.take(place, result)
}

fn panicked(what: &str) -> Error {
    Error::Internal { reason: format!("{what} panicked; the same command goes on") }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use lapidary_engine::{Engine, Sampling};
    use tokio::sync::mpsc::channel;
    use tokio::task::yield_now;

    use super::*;
    use crate::guide;
    use crate::server::batch::results::Results;
    use crate::server::request::Request;

    /// More requests than the failures that prove that the engine went on.
    const REQUESTS: u64 = 1000;

    /// An engine that failed closes its queue, and its thread ends later.
    #[test]
    fn requests_that_a_failed_engine_refuses_are_left_to_the_next_run() {
        let engine = Engine::from_files(guide::files().unwrap()).build_blocking().unwrap();
        let reader = RequestReader::new(&engine, "guide".into(), Sampling::default(), 64).unwrap();
        let queue = Arc::new(Queue::new(2));
        queue.abandon();
        let (sender, requests) = channel(REQUESTS as usize);
        for line in 1..=REQUESTS {
            let place = Place { custom_id: line.to_string(), line, hash: 0 };
            assert!(sender.try_send(Ok((place, Ok(Request::default())))).is_ok());
        }
        let folder = tempfile::tempdir().unwrap();
        let (results, _) = Results::open(&folder.path().join("results.jsonl")).unwrap();
        let progress = Progress { total: 0, done: 0, failed: 0, new: 0, tokens: 0, elapsed: Duration::ZERO };
        let mut writer = Writer::new(results, progress, |_: &Progress| {}).unwrap();
        let (ended, engine_ended) = oneshot::channel();
        let fails_later = async {
            for _ in 0..REQUESTS {
                yield_now().await;
            }
            assert!(ended.send(Err(Error::DeviceLost { reason: "a test".into() })).is_ok());
        };
        let answering = Answering { reader: Arc::new(reader), queue, most: 2 };
        let answered = answering.run(requests, pending(), engine_ended, &mut writer);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (result, ()) = runtime.block_on(async { tokio::join!(answered, fails_later) });
        assert!(matches!(result, Err(BatchError::Engine(Error::DeviceLost { .. }))));
        assert_eq!(writer.finish().unwrap().new, 0);
    }
}
