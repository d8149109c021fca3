//! The messages of a chat as a tree. Edits and retries add siblings, so no message is ever overwritten.

use std::collections::{HashMap, HashSet};

use super::{Id, Message, Role, Status};

/// A tree of messages and its shown branch.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    messages: HashMap<Id, Message>,
    /// In order of creation. Messages without a parent are under `None`.
    children: HashMap<Option<Id>, Vec<Id>>,
    /// The child of each message that was shown last.
    shown: HashMap<Option<Id>, Id>,
    leaf: Option<Id>,
    path: Vec<Id>,
}

/// A message that was removed from a tree.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The message.
    pub message: Message,
    /// The messages that followed it.
    pub below: Vec<Id>,
}

impl Tree {
    /// The tree of a chat's messages, given in any order, showing the branch that ends in `leaf`. A message whose parent is
    /// missing becomes a first message rather than being lost, and so does one message of each cycle.
    pub fn new(mut messages: Vec<Message>, leaf: Option<Id>) -> Self {
        messages.sort_by_key(|message| (message.created, message.id));
        let order: Vec<Id> = messages.iter().map(|message| message.id).collect();
        let mut tree =
            Self { messages: messages.into_iter().map(|message| (message.id, message)).collect(), ..Self::default() };
        // Messages that are known to descend from a first message.
        let mut known: HashSet<Id> = HashSet::new();
        for id in &order {
            // Walks up to such a message, or to one without a usable parent, which becomes a first message.
            let (mut visited, mut at) = (HashSet::new(), *id);
            while !known.contains(&at) && visited.insert(at) {
                let parent = tree.messages.get(&at).and_then(|message| message.parent);
                match parent.filter(|parent| tree.messages.contains_key(parent) && !visited.contains(parent)) {
                    Some(parent) => at = parent,
                    None => {
                        if let Some(message) = tree.messages.get_mut(&at) {
                            message.parent = None;
                        }
                    }
                }
            }
            known.extend(visited);
        }
        for id in order {
            let parent = tree.messages.get(&id).and_then(|message| message.parent);
            tree.children.entry(parent).or_default().push(id);
        }
        let latest =
            tree.messages.values().max_by_key(|message| (message.created, message.id)).map(|message| message.id);
        tree.show(leaf.filter(|leaf| tree.messages.contains_key(leaf)).or(latest));
        tree
    }

    /// Adds a message and shows its branch, which ends with it.
    pub fn add(&mut self, message: Message) {
        let id = message.id;
        self.add_hidden(message);
        self.show(Some(id));
    }

    /// Adds a message without showing it.
    pub fn add_hidden(&mut self, message: Message) {
        self.children.entry(message.parent).or_default().push(message.id);
        self.messages.insert(message.id, message);
    }

    /// Whether a question is shown and nothing but queued messages follows it.
    pub fn awaits_reply(&self, question: Id) -> bool {
        let mut below = self.path.iter().skip_while(|id| **id != question);
        let queued = |id: &Id| self.messages.get(id).is_some_and(|message| message.status == Status::Queued);
        below.next().is_some() && below.next().is_none_or(queued)
    }

    /// Whether a message has children other than queued ones.
    pub fn is_followed(&self, id: Id) -> bool {
        let said = |id: &Id| self.messages.get(id).is_some_and(|message| message.status != Status::Queued);
        self.children.get(&Some(id)).is_some_and(|below| below.iter().any(said))
    }

    /// Whether a message has children, queued ones included.
    pub fn has_children(&self, id: Id) -> bool {
        self.children.get(&Some(id)).is_some_and(|below| !below.is_empty())
    }

    /// Moves the queued messages after a reply's question, and after the reply it replaces, to after the new reply, and
    /// shows them if that reply is shown. Returns the moved messages.
    pub fn move_queue_after(&mut self, reply: Id, replaced: Option<Id>) -> Vec<Id> {
        let Some(question) = self.messages.get(&reply).and_then(|message| message.parent) else { return Vec::new() };
        let queued = |id: &Id| {
            self.messages.get(id).is_some_and(|message| message.status == Status::Queued && message.role == Role::User)
        };
        let mut moved = Vec::new();
        for from in [Some(question), replaced].into_iter().flatten() {
            let children = self.children.get(&Some(from)).cloned().unwrap_or_default();
            let (waiting, rest): (Vec<Id>, Vec<Id>) = children.into_iter().partition(queued);
            self.children.insert(Some(from), rest);
            moved.extend(waiting);
        }
        for id in &moved {
            if let Some(message) = self.messages.get_mut(id) {
                message.parent = Some(reply);
            }
            self.children.entry(Some(reply)).or_default().push(*id);
        }
        if let Some(last) = moved.last()
            && self.path.contains(&reply)
        {
            self.shown.insert(Some(reply), *last);
            self.show_through(reply);
        }
        moved
    }

    /// Removes a message. What follows it follows its parent from now on.
    pub fn remove(&mut self, id: Id) -> Option<Removed> {
        let message = self.messages.remove(&id)?;
        let below = self.children.remove(&Some(id)).unwrap_or_default();
        for child in &below {
            if let Some(child) = self.messages.get_mut(child) {
                child.parent = message.parent;
            }
        }
        let siblings = self.children.entry(message.parent).or_default();
        let at = siblings.iter().position(|sibling| *sibling == id).unwrap_or(siblings.len());
        siblings.splice(at..(at + 1).min(siblings.len()), below.iter().copied());
        let next = self.shown.remove(&Some(id)).or(below.last().copied());
        if self.shown.get(&message.parent) == Some(&id) {
            match next {
                Some(next) => self.shown.insert(message.parent, next),
                None => self.shown.remove(&message.parent),
            };
        }
        if self.leaf != Some(id) {
            self.show(self.leaf);
        } else {
            match message.parent.or_else(|| self.children.get(&None)?.last().copied()) {
                Some(parent) => self.show_through(parent),
                None => self.show(None),
            }
        }
        Some(Removed { message, below })
    }

    /// Puts a removed message back and shows it. Returns the messages that follow it again.
    pub fn restore(&mut self, removed: Removed) -> Vec<Id> {
        let Removed { mut message, below } = removed;
        message.parent = message.parent.filter(|parent| self.messages.contains_key(parent));
        let (id, parent) = (message.id, message.parent);
        let siblings = self.children.entry(parent).or_default();
        let at = siblings.iter().position(|sibling| below.contains(sibling)).unwrap_or(siblings.len());
        let (below, mut rest): (Vec<Id>, Vec<Id>) =
            std::mem::take(siblings).into_iter().partition(|sibling| below.contains(sibling));
        rest.insert(at.min(rest.len()), id);
        self.children.insert(parent, rest);
        for child in &below {
            if let Some(child) = self.messages.get_mut(child) {
                child.parent = Some(id);
            }
        }
        if let Some(shown) = self.shown.get(&parent).filter(|shown| below.contains(shown)).copied() {
            self.shown.insert(Some(id), shown);
        }
        self.children.insert(Some(id), below.clone());
        self.messages.insert(id, message);
        self.show_through(id);
        below
    }

    /// A message.
    pub fn get(&self, id: Id) -> Option<&Message> {
        self.messages.get(&id)
    }

    /// A message, mutable.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut Message> {
        self.messages.get_mut(&id)
    }

    /// All messages, in no particular order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// The shown branch, from the first message on.
    pub fn path(&self) -> &[Id] {
        &self.path
    }

    /// The messages of [`Tree::path`].
    pub fn branch(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.path.iter().filter_map(|id| self.messages.get(id))
    }

    /// The branch up to and including a message, shown or not.
    pub fn path_to(&self, id: Id) -> Vec<Id> {
        let mut path = Vec::new();
        let mut at = Some(id);
        while let Some(message) = at.and_then(|id| self.messages.get(&id)) {
            path.push(message.id);
            at = message.parent;
        }
        path.reverse();
        path
    }

    /// The last message of the shown branch.
    pub fn leaf(&self) -> Option<Id> {
        self.leaf
    }

    /// A message's index among its siblings, from 0, and the number of siblings including itself.
    pub fn sibling_position(&self, id: Id) -> (usize, usize) {
        let Some(message) = self.messages.get(&id) else { return (0, 1) };
        let siblings = self.children.get(&message.parent).map_or(&[][..], Vec::as_slice);
        (siblings.iter().position(|sibling| *sibling == id).unwrap_or(0), siblings.len().max(1))
    }

    /// Shows the sibling `step` positions after a message, or before it if `step` is negative, with the branch that was
    /// last shown below it.
    pub fn show_sibling(&mut self, id: Id, step: isize) {
        let (index, _) = self.sibling_position(id);
        let Some(message) = self.messages.get(&id) else { return };
        let Some(siblings) = self.children.get(&message.parent) else { return };
        let Some(sibling) = index.checked_add_signed(step).and_then(|index| siblings.get(index)) else { return };
        self.show_through(*sibling);
    }

    /// Shows a message with the branch below it that was last shown, or else the newest.
    pub fn show_through(&mut self, id: Id) {
        let mut leaf = id;
        while let Some(below) = self.children.get(&Some(leaf)) {
            let Some(next) = self.shown.get(&Some(leaf)).filter(|next| below.contains(next)).or(below.last()) else {
                break;
            };
            leaf = *next;
        }
        self.show(Some(leaf));
    }

    /// Shows the branch that ends in a message, or nothing.
    pub fn show(&mut self, leaf: Option<Id>) {
        self.leaf = leaf;
        self.path = leaf.map(|leaf| self.path_to(leaf)).unwrap_or_default();
        let mut parent = None;
        for id in &self.path {
            self.shown.insert(parent, *id);
            parent = Some(*id);
        }
    }

    /// The prompt's turns: the branch up to and including `last`, with attachments and without empty replies. Consecutive
    /// messages of one role, which an import or a deleted message leaves, are joined. The first turn is always the user's.
    pub fn turns(&self, last: Id) -> Vec<(Role, String)> {
        let mut turns: Vec<(Role, String)> = Vec::new();
        for message in self.path_to(last).iter().filter_map(|id| self.messages.get(id)) {
            if message.role == Role::Model && message.text.trim().is_empty() && message.id != last {
                continue;
            }
            push_turn(&mut turns, message.role, &message.prompt_text());
        }
        if turns.first().is_some_and(|(role, _)| *role == Role::Model) {
            turns.insert(0, (Role::User, String::new()));
        }
        turns
    }
}

/// Appends a turn to a prompt. Consecutive turns of one role are joined.
pub fn push_turn(turns: &mut Vec<(Role, String)>, role: Role, text: &str) {
    match turns.last_mut() {
        Some((before, said)) if *before == role => {
            said.push_str("\n\n");
            said.push_str(text);
        }
        _ => turns.push((role, text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
