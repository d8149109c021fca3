//! Titles by the model. After the first exchange of a chat, while nobody waits for the engine, the model is asked for a
//! title. Until then the title is the first line of the question.

use std::collections::VecDeque;

use super::State;
use crate::chats::{Id, Message, Role, Status, new_id, title_of};
use crate::settings::SamplingParams;
use crate::worker::{Command, Overflow};

/// What the model is asked.
const QUESTION: &str = "Write a title of at most six words for this conversation. Answer with the title alone.";
/// The most tokens of the answer.
const MAX_TOKENS: usize = 32;
/// How often the model is asked again after the user interrupted it.
const MAX_TRIES: u8 = 3;
/// The longest title in characters.
const LONGEST: usize = 60;

/// The chats that want titles, and the answer that is being generated.
#[derive(Default)]
pub(super) struct Titles {
    /// The chats that want one, and how often each was asked for.
    wanted: VecDeque<(Id, u8)>,
    asked: Option<Asked>,
}

struct Asked {
    chat: Id,
    tries: u8,
    /// The id under which the engine reports the answer. No message has it.
    answer: Id,
    text: String,
}

impl State {
    /// Wants a title for a chat whose first reply has just ended.
    pub(super) fn want_title(&mut self, chat: Id) {
        let first = self.library.trees.get(&chat).is_some_and(|tree| tree.path().len() == 2);
        if first && self.first_line(chat).is_some() {
            self.queue.titles.wanted.push_back((chat, 0));
        }
    }

    /// The title that a chat has only because of its first line; `None` if it has another, or if its first exchange is
    /// not complete.
    fn first_line(&self, id: Id) -> Option<String> {
        let chat = self.chat(id).filter(|chat| !chat.named && chat.deleted.is_none())?;
        let branch: Vec<&Message> = self.library.trees.get(&id)?.branch().collect();
        let [question, reply, ..] = branch.as_slice() else { return None };
        let complete = question.role == Role::User && reply.role == Role::Model && reply.status == Status::Done;
        let first = title_of(&question.text);
        (complete && chat.title == first).then_some(first)
    }

    /// Asks for the title that is wanted, if nobody waits for the engine.
    pub(super) fn ask_for_title(&mut self) {
        // A server may take money for what nobody asked for.
        let real = self.loaded().is_some_and(|loaded| !loaded.is_guide() && loaded.server().is_none());
        if !self.settings.model_titles || !real || !self.queue.is_idle() || self.queue.titles.asked.is_some() {
            return;
        }
        let Some((chat, tries)) = self.queue.titles.wanted.pop_front() else { return };
        // A model that only continues texts writes no titles.
        let plain = self.chat(chat).is_some_and(|chat| chat.options.plain);
        if plain || self.first_line(chat).is_none() || tries == MAX_TRIES {
            return;
        }
        // The first exchange, which the engine has computed already, so only the question is new to it.
        let tree = self.library.trees.get(&chat);
        let Some(mut turns) = tree.and_then(|tree| Some(tree.turns(*tree.path().get(1)?))) else { return };
        turns.push((Role::User, QUESTION.into()));
        let system = self.chat(chat).map(|chat| chat.system.clone()).unwrap_or_default();
        let sampling = SamplingParams { temperature: 0.0, max_tokens: Some(MAX_TOKENS), ..SamplingParams::default() };
        let (answer, sampling) = (new_id(), sampling.to_engine(false));
        self.queue.titles.asked = Some(Asked { chat, tries: tries + 1, answer, text: String::new() });
        self.worker.send(Command::Generate {
            reply: answer,
            turns,
            system,
            plain: false,
            sampling,
            overflow: Overflow::Ask,
        });
    }

    /// Stops the answer, because the user waits for something. It is asked for again later.
    pub(super) fn stop_title(&mut self) {
        if let Some(asked) = self.queue.titles.asked.take() {
            self.queue.titles.wanted.push_front((asked.chat, asked.tries));
            self.worker.send(Command::Stop);
        }
    }

    /// Handles text of a reply. Returns whether it was the answer.
    pub(super) fn on_title_text(&mut self, reply: Id, text: &str) -> bool {
        let asked = self.queue.titles.asked.as_mut().filter(|asked| asked.answer == reply);
        asked.map(|asked| asked.text.push_str(text)).is_some()
    }

    /// Handles the end of a reply. Returns whether it was the answer, which becomes the title if it is complete and the
    /// chat has no other title since.
    pub(super) fn on_title_ended(&mut self, reply: Id, complete: bool) -> bool {
        let Some(asked) = self.queue.titles.asked.take_if(|asked| asked.answer == reply) else { return false };
        if complete
            && self.first_line(asked.chat).is_some()
            && let Some(title) = clean(&asked.text)
        {
            self.change_chat(asked.chat, |chat| chat.title = title);
        }
        true
    }
}

/// The title in a model's answer: its first line without marks around it; `None` if it is empty or too long.
fn clean(answer: &str) -> Option<String> {
    let line = answer.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.trim_start_matches(['#', '>', '-', ' ']);
    let marks = ['*', '_', '`', '"', '\'', '“', '”', '„', '«', '»', ' '];
    let line = line.trim_matches(marks);
    let line = line.strip_prefix("Title:").unwrap_or(line).trim_matches(marks);
    let line = line.strip_suffix('.').unwrap_or(line).trim_matches(marks);
    let title = line.split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty() && title.chars().count() <= LONGEST).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn marks_around_a_title_are_dropped() {
        for answer in
            ["Pears in Autumn", "\n## **Pears in Autumn**\nmore", "Title: \"Pears  in Autumn.\"", "“Pears in Autumn”"]
        {
            assert_eq!(clean(answer).as_deref(), Some("Pears in Autumn"), "{answer:?}");
        }
        assert_eq!(clean("C'est la vie?").as_deref(), Some("C'est la vie?"));
    }

    #[test]
    fn an_answer_that_is_no_title_is_refused() {
        for answer in ["", " \n ", "**", &"long ".repeat(20)] {
            assert_eq!(clean(answer), None, "{answer:?}");
        }
    }
}
