//! The reply being generated, and the jobs that wait for it.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::titles::Titles;
use super::{Model, State};
use crate::chats::{Id, Role, Status};
use crate::worker::{Command, Overflow};

/// The reply being generated.
#[derive(Debug)]
pub struct Reply {
    /// Its chat.
    pub chat: Id,
    /// Its message.
    pub message: Id,
    pub(super) unsaved: String,
    pub(super) saved: Instant,
    /// Whether the engine was told to stop.
    stopping: bool,
}

impl Reply {
    pub(super) fn new(chat: Id, message: Id) -> Self {
        Self { chat, message, unsaved: String::new(), saved: Instant::now(), stopping: false }
    }
}

/// A queued task for the engine.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Answer a message of a chat. If the reply in `replaces` is still shown, the new one is shown in its place.
    Answer { chat: Id, question: Id, replaces: Option<Id> },
    /// Continue a reply of a chat.
    Continue { chat: Id, reply: Id, overflow: Overflow },
}

impl Job {
    pub(super) fn chat(&self) -> Id {
        match self {
            Self::Answer { chat, .. } | Self::Continue { chat, .. } => *chat,
        }
    }

    /// Whether it is for this message.
    fn concerns(&self, message: Id) -> bool {
        match self {
            Self::Answer { question, replaces, .. } => *question == message || *replaces == Some(message),
            Self::Continue { reply, .. } => *reply == message,
        }
    }
}

/// The source of a summary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SummarySource {
    /// The summarized chat, and the chat that starts with the summary.
    pub(super) chats: [Id; 2],
    /// The turns of the summarized chat.
    pub(super) turns: Vec<(Role, String)>,
}

/// What the engine does and what it will do.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) reply: Option<Reply>,
    pub(super) jobs: VecDeque<Job>,
    /// The sources of summaries, by the message that asks for one.
    pub(super) sources: HashMap<Id, SummarySource>,
    pub(super) titles: Titles,
}

impl Queue {
    /// The chats that have a reply or a job.
    pub(super) fn chats(&self) -> HashSet<Id> {
        self.jobs.iter().map(Job::chat).chain(self.reply.iter().map(|reply| reply.chat)).collect()
    }

    /// Whether the engine has nothing to do for the user.
    pub(super) fn is_idle(&self) -> bool {
        self.reply.is_none() && self.jobs.is_empty()
    }
}

impl State {
    /// The reply being generated.
    pub fn reply(&self) -> Option<&Reply> {
        self.queue.reply.as_ref()
    }

    /// Whether a message is the reply being generated.
    pub fn is_writing(&self, message: Id) -> bool {
        self.reply().is_some_and(|reply| reply.message == message)
    }

    /// Whether the reply being generated was told to stop. The engine finishes its present step first.
    pub fn is_stopping(&self) -> bool {
        self.reply().is_some_and(|reply| reply.stopping)
    }

    /// Whether a reply of the open chat is being generated.
    pub fn is_replying_here(&self) -> bool {
        self.reply().is_some_and(|reply| reply.chat == self.open_id())
    }

    /// Whether a job of the open chat waits for a reply of another chat.
    pub fn is_queued_here(&self) -> bool {
        let elsewhere = self.reply().is_some_and(|reply| reply.chat != self.open_id());
        elsewhere && self.queue.jobs.iter().any(|job| job.chat() == self.open_id())
    }

    /// Whether a job for a message is queued.
    pub fn is_queued(&self, message: Id) -> bool {
        self.queue.jobs.iter().any(|job| job.concerns(message))
    }

    /// Stops the reply of the open chat, keeping its text, and cancels the chat's queued jobs. Other chats go on.
    pub fn stop(&mut self) {
        if self.is_replying_here() {
            self.stop_reply();
        }
        self.cancel_jobs(self.open_id());
    }

    /// Stops the reply being generated, in any chat.
    pub(super) fn stop_reply(&mut self) {
        if let Some(reply) = &mut self.queue.reply {
            reply.stopping = true;
            self.worker.send(Command::Stop);
        }
    }

    /// Removes the queued jobs of a chat.
    pub(super) fn cancel_jobs(&mut self, of: Id) {
        self.cancel_jobs_if(|job| job.chat() == of);
    }

    /// Removes the queued jobs for a message.
    pub(super) fn cancel_jobs_of_message(&mut self, message: Id) {
        self.cancel_jobs_if(|job| job.concerns(message));
    }

    fn cancel_jobs_if(&mut self, dropped: impl Fn(&Job) -> bool) {
        let all = std::mem::take(&mut self.queue.jobs);
        let (dropped, kept): (VecDeque<Job>, _) = all.into_iter().partition(dropped);
        self.queue.jobs = kept;
        for job in dropped {
            match job {
                Job::Answer { question, .. } => {
                    self.change_message(question, |message| message.status = Status::Done);
                }
                Job::Continue { reply, .. } => self.change_message(reply, |message| {
                    // A reply that had ended before keeps how it ended.
                    if message.status == Status::Queued {
                        message.status = Status::Stopped;
                    }
                }),
            }
        }
    }

    /// Queues a job and starts it if the engine is free.
    pub(super) fn queue(&mut self, job: Job) {
        self.queue.jobs.push_back(job);
        self.next_job();
    }

    /// Starts the next job if the engine is free. If its chat has its own model, that is loaded first.
    pub(super) fn next_job(&mut self) {
        while self.queue.reply.is_none() && matches!(self.model, Model::Ready(_)) {
            let Some(chat) = self.queue.jobs.front().map(Job::chat) else { return };
            if let Some(load) = self.load_before(chat) {
                // A model whose files are being checked comes first.
                if self.slot.checked.is_none() {
                    self.request_load(load);
                }
                return;
            }
            let Some(job) = self.queue.jobs.pop_front() else { return };
            self.start(job);
        }
    }

    /// Saves the sources of summaries.
    pub(super) fn save_sources(&self) {
        // Ids and texts always have a JSON form.
        self.store.save_value("sources", serde_json::to_string(&self.queue.sources).unwrap_or_default());
    }

    /// Saves the text that the reply grew by.
    pub(super) fn save_reply(&mut self) {
        let Some(reply) = &mut self.queue.reply else { return };
        reply.saved = Instant::now();
        if !reply.unsaved.is_empty() {
            self.store.append(reply.message, std::mem::take(&mut reply.unsaved));
        }
    }
}
