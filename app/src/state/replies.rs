//! Sending messages, and the queue of replies.

use lapidary_engine::{Finish, Timings};

use super::{Alternatives, Job, Model, Reply, State, SummarySource, needs_reload};
use crate::chat_ability::COMPLETION_TOKENS;
use crate::chats::{Chat, Id, Message, Role, Speed, Status, Tree, now, push_turn, title_of};
use crate::worker::{Command, Overflow, Problem};

impl State {
    /// Sends the draft of the open chat. It is queued while a reply is generated or the model loads.
    pub fn send(&mut self) {
        let open = self.library.open;
        // Without its tree, its messages are still being read.
        if !self.can_send() || !self.library.trees.contains_key(&open) {
            return;
        }
        let Some(chat) = self.library.chat_mut(open) else { return };
        let (text, attachments) = (std::mem::take(&mut chat.draft), std::mem::take(&mut chat.attachments));
        let parent = self.tree().and_then(|tree| tree.leaf());
        let message = Message { attachments, ..Message::new(parent, Role::User, text.trim(), Status::Done) };
        self.submit(open, message, None);
    }

    /// Sends a text as a message of the open chat, and leaves the draft as it is.
    pub fn ask(&mut self, text: &str) {
        let open = self.library.open;
        if self.library.trees.contains_key(&open) {
            let parent = self.tree().and_then(|tree| tree.leaf());
            self.submit(open, Message::new(parent, Role::User, text, Status::Done), None);
        }
    }

    /// Adds a user's message to a chat and queues an answer. `edited` is the message that it is an edited version of.
    fn submit(&mut self, chat: Id, mut message: Message, edited: Option<Id>) {
        let ready = matches!(self.model, Model::Ready(_)) && self.load_before(chat).is_none();
        if !ready || !self.queue.is_idle() {
            message.status = Status::Queued;
        }
        let question = message.id;
        // An edited request for a summary has the same source.
        if let Some(source) = edited.and_then(|edited| self.queue.sources.get(&edited).cloned()) {
            self.queue.sources.insert(question, source);
            self.save_sources();
        }
        self.add_message(chat, message);
        self.queue(Job::Answer { chat, question, replaces: None });
    }

    /// The question that a message of the open chat is or answers. A reply has none if it was imported without one, or if the question
    /// was deleted.
    pub fn question_of(&self, id: Id) -> Option<Id> {
        let tree = self.tree()?;
        let message = tree.get(id)?;
        let question = if message.role == Role::User { message } else { tree.get(message.parent?)? };
        (question.role == Role::User).then_some(question.id)
    }

    /// Answers a user's message, or generates another reply as a new branch.
    pub fn regenerate(&mut self, id: Id) {
        let chat = self.library.open;
        let Some(question) = self.question_of(id) else { return };
        if self.is_queued(id) || self.is_writing(id) || matches!(self.model, Model::Failed(_)) {
            return;
        }
        // The old reply stays visible until the new one starts.
        self.queue(Job::Answer { chat, question, replaces: Some(id).filter(|id| *id != question) });
    }

    /// Continues a reply that ended early, or generates it again if it is empty. If other messages follow it, a new branch
    /// is made, because they answer its present text. A server cannot continue a text, so it generates another reply.
    pub fn continue_reply(&mut self, id: Id, overflow: Overflow) {
        let has_text = self.tree().and_then(|tree| tree.get(id)).is_some_and(|message| !message.text.is_empty());
        if has_text && self.used_server().is_some() {
            return self.regenerate(id);
        }
        // Queued messages that follow it are answered first.
        let followed = self.tree().is_some_and(|tree| tree.has_children(id));
        let Some(job) = self.continuation_job(id, overflow, followed) else { return };
        self.queue(job);
    }

    /// Loads the model again and continues a reply that failed because the device was lost.
    pub fn reload_and_continue(&mut self, id: Id) {
        let followed = self.tree().is_some_and(|tree| tree.is_followed(id));
        let Some(job) = self.continuation_job(id, self.settings.overflow, followed) else { return };
        // The model may be loaded or loading already, after another reply failed for the same reason.
        if matches!(self.model, Model::Failed(_)) {
            self.reload();
        }
        // It goes before all other queued jobs.
        self.queue.jobs.push_front(job);
        self.next_job();
    }

    /// The job that continues a reply, on a new branch if it is followed; `None` if the reply is being generated or
    /// queued already.
    fn continuation_job(&mut self, id: Id, overflow: Overflow, followed: bool) -> Option<Job> {
        let chat = self.library.open;
        let message = self.tree()?.get(id)?.clone();
        if self.is_queued(id) || self.is_writing(id) {
            return None;
        }
        let mut reply = id;
        if followed {
            let mut branch = Message::new(message.parent, Role::Model, message.text, Status::Queued);
            branch.model = message.model;
            reply = branch.id;
            self.add_message(chat, branch);
        }
        Some(Job::Continue { chat, reply, overflow })
    }

    /// Finishes an edit: the new text becomes a new branch, and a user's message is answered.
    pub fn finish_edit(&mut self) {
        let chat = self.library.open;
        let Some((id, text)) = self.editing.take() else { return };
        self.edit_changed();
        let Some(message) = self.tree().and_then(|tree| tree.get(id)).cloned() else { return };
        let text = text.trim();
        let is_blank = text.is_empty() && message.attachments.is_empty();
        if is_blank || text == message.text.trim() {
            return;
        }
        let edited = Message {
            attachments: message.attachments.clone(),
            ..Message::new(message.parent, message.role, text, Status::Done)
        };
        match message.role {
            // A message that is not answered yet changes in place.
            Role::User if message.status == Status::Queued => {
                self.change_message(id, |message| message.text = text.to_owned());
            }
            Role::User => self.submit(chat, edited, Some(id)),
            Role::Model => {
                let note = Some("Edited.".into());
                self.add_message(chat, Message { model: message.model, note, ..edited });
            }
        }
    }

    /// Opens the window of alternative tokens for a reply.
    pub fn show_alternatives(&mut self, message: Id) {
        self.alternatives = Some(Alternatives { message, ..Alternatives::default() });
    }

    /// Requests the most probable tokens at a byte of a reply.
    pub fn request_alternatives(&mut self, message: Id, at: usize) {
        let Some(bytes) = self.tree().and_then(|tree| tree.get(message)).map(|message| message.text.len()) else {
            return;
        };
        let Some((mut turns, system)) = self.prompt(self.library.open, message) else { return };
        let Some((_, text)) = turns.last_mut() else { return };
        // The turn begins with the replies before it, if the question between them was deleted.
        let Some(start) = text.len().checked_sub(bytes) else { return };
        if !text.is_char_boundary(start + at) {
            return;
        }
        text.truncate(start + at);
        self.alternatives = Some(Alternatives { message, at: Some(at), list: None });
        self.stop_title();
        let plain = self.is_plain();
        self.worker.send(Command::Alternatives { message, at, turns, system, plain });
    }

    /// Makes a new branch: the reply up to the chosen position, the token, and the model's continuation. `None` ends the
    /// reply there.
    pub fn branch_from(&mut self, token: Option<&str>) {
        let chat = self.library.open;
        let Some(Alternatives { message, at: Some(at), .. }) = self.alternatives.take() else { return };
        let Some(old) = self.tree().and_then(|tree| tree.get(message)).cloned() else { return };
        let Some(mut text) = old.text.get(..at).map(str::to_owned) else { return };
        let status = if token.is_some() { Status::Queued } else { Status::Done };
        text.push_str(token.unwrap_or_default());
        let mut branch = Message::new(old.parent, Role::Model, text, status);
        branch.model = old.model;
        let id = branch.id;
        self.add_message(chat, branch);
        if token.is_some() {
            self.queue(Job::Continue { chat, reply: id, overflow: self.settings.overflow });
        }
    }

    /// Starts a chat with a summary of the open one, for a chat that no longer fits the context.
    pub fn start_from_summary(&mut self) {
        let Some(old) = self.open().cloned() else { return };
        let Some(last) = self.tree().and_then(|tree| tree.leaf()) else { return };
        let Some((turns, _)) = self.prompt(old.id, last) else { return };
        let title = format!("{} (continued)", old.shown_title());
        let chat = Chat { title, named: true, system: old.system, ..Chat::new() };
        let id = chat.id;
        self.add_chat(chat);
        let ask = "Sum up our conversation so far, with all that is needed to go on.";
        let message = Message::new(None, Role::User, ask, Status::Queued);
        let question = message.id;
        self.queue.sources.insert(question, SummarySource { chats: [old.id, id], turns });
        self.save_sources();
        self.add_message(id, message);
        self.queue(Job::Answer { chat: id, question, replaces: None });
    }

    /// The turns and the system prompt for a message that the model answers or continues.
    fn prompt(&self, chat: Id, last: Id) -> Option<(Vec<(Role, String)>, String)> {
        let tree = self.library.trees.get(&chat)?;
        let mut turns = tree.turns(last);
        if let Some(source) = self.source(tree, last) {
            let mut all = source.turns.clone();
            for (role, text) in turns {
                push_turn(&mut all, role, &text);
            }
            turns = all;
        }
        Some((turns, self.chat(chat)?.system.clone()))
    }

    /// The source of a summary, for the message that asks for it or the reply.
    fn source(&self, tree: &Tree, message: Id) -> Option<&SummarySource> {
        let parent = tree.get(message).and_then(|message| message.parent);
        self.queue.sources.get(&message).or_else(|| self.queue.sources.get(&parent?))
    }

    /// Starts a job: prepares its message and sends the prompt.
    pub(super) fn start(&mut self, job: Job) {
        let mut overflow = self.settings.overflow;
        let model = self.loaded().map(|loaded| loaded.name.clone());
        let (chat, last) = match &job {
            Job::Answer { chat, question, .. } => (*chat, *question),
            Job::Continue { chat, reply, .. } => (*chat, *reply),
        };
        // A summary is made of as much of the chat as fits.
        let is_summary = self.library.trees.get(&chat).is_some_and(|tree| self.source(tree, last).is_some());
        let (turns, system, reply) = match job {
            Job::Answer { question, replaces, .. } => {
                let Some((turns, system)) = self.prompt(chat, question) else { return };
                if let Some(tree) = self.library.trees.get_mut(&chat)
                    && replaces.is_some_and(|old| tree.path().contains(&old))
                {
                    // The new branch has nothing below the question yet.
                    tree.show(Some(question));
                }
                (turns, system, self.new_reply(chat, question, replaces, model))
            }
            Job::Continue { reply, overflow: chosen, .. } => {
                overflow = chosen;
                self.change_message(reply, |message| {
                    message.status = Status::Writing;
                    message.note = None;
                });
                let Some((turns, system)) = self.prompt(chat, reply) else { return };
                (turns, system, reply)
            }
        };
        if is_summary {
            overflow = Overflow::DropOldest;
        }
        let guide = self.loaded().is_some_and(|loaded| loaded.is_guide());
        let plain = self.chat(chat).is_some_and(|chat| chat.options.plain);
        let mut sampling = self.sampling_of(chat).to_engine(guide);
        if plain {
            // A text has no end of its own.
            sampling.max_tokens.get_or_insert(COMPLETION_TOKENS);
        }
        self.queue.reply = Some(Reply::new(chat, reply));
        self.stop_title();
        self.worker.send(Command::Generate { reply, turns, system, plain, sampling, overflow });
    }

    /// Adds an empty reply to a question. Queued messages after the question or the replaced reply move to after it.
    fn new_reply(&mut self, chat: Id, question: Id, replaces: Option<Id>, model: Option<String>) -> Id {
        self.change_message(question, |message| message.status = Status::Done);
        let mut reply = Message::new(Some(question), Role::Model, "", Status::Writing);
        reply.model = model;
        let id = reply.id;
        self.add_message(chat, reply);
        let Some(tree) = self.library.trees.get_mut(&chat) else { return id };
        let moved = tree.move_queue_after(id, replaces);
        let moved: Vec<Message> = moved.into_iter().filter_map(|id| tree.get(id).cloned()).collect();
        let leaf = tree.leaf();
        if let Some(chat) = self.library.chat_mut(chat) {
            chat.leaf = leaf;
            self.store.save_chat_with(chat, &moved);
        }
        id
    }

    /// Adds a message to a chat and saves both. The message is shown, unless it is a queued reply and the user has since
    /// switched to another branch.
    fn add_message(&mut self, chat: Id, mut message: Message) {
        let Some(tree) = self.library.trees.get_mut(&chat) else { return };
        // A message must be younger than its parent even within a millisecond, because messages are sorted by time.
        let question = message.parent.and_then(|parent| tree.get(parent));
        message.created = message.created.max(question.map_or(0, |question| question.created.saturating_add(1)));
        let name = message.attachments.first().map(|attachment| attachment.name.clone());
        let title = Some(title_of(&message.text)).filter(|title| !title.is_empty()).or(name);
        let hidden =
            message.status == Status::Writing && message.parent.is_some_and(|parent| !tree.awaits_reply(parent));
        if hidden {
            tree.add_hidden(message.clone());
        } else {
            tree.add(message.clone());
            // A reply that begins by itself must not move what the user reads.
            if message.role == Role::User {
                self.scroll_to = Some(message.id);
            }
        }
        let leaf = tree.leaf();
        if let Some(chat) = self.library.chat_mut(chat) {
            chat.leaf = leaf;
            chat.updated = now();
            if chat.title.is_empty() {
                chat.title = title.unwrap_or("Untitled".into());
            }
            // In one transaction, because the message replaces the draft.
            self.store.save_sent(chat, &message);
        }
    }

    /// Handles the end of a reply.
    pub(super) fn on_ended(&mut self, id: Id, finish: Option<Finish>, timings: &Timings) {
        let complete = finish == Some(Finish::Stop);
        if self.on_title_ended(id, complete) {
            return;
        }
        let chat = self.reply().filter(|reply| reply.message == id).map(|reply| reply.chat);
        self.finish_reply(id, |message| {
            message.speed = Some(Speed::of(timings));
            message.status = Status::of(finish);
        });
        if let Some(chat) = chat.filter(|_| complete) {
            self.want_title(chat);
        }
    }

    /// Handles the failure of a reply.
    pub(super) fn on_failed(&mut self, id: Id, problem: Problem) {
        let note = problem.sentence.clone();
        if !self.on_title_ended(id, false) {
            self.problems.insert(id, problem.remedy);
        }
        // Before the next job starts, so that none is sent to a lost device.
        if needs_reload(&problem) {
            self.model = Model::Failed(problem);
        }
        self.finish_reply(id, |message| {
            message.status = Status::Failed;
            message.note = Some(note);
        });
    }

    /// Ends a reply, changes its message and starts the next job.
    fn finish_reply(&mut self, id: Id, change: impl FnOnce(&mut Message)) {
        if self.queue.reply.as_ref().is_some_and(|reply| reply.message == id) {
            self.save_reply();
            self.queue.reply = None;
        }
        self.change_message(id, change);
        self.next_job();
    }
}
