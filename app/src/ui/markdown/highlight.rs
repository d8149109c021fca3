//! Colours code on a thread of its own, because both loading the grammars and following them takes many frames.

mod colourer;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use egui::Context;

use super::theme::Class;
use colourer::Colourer;

/// The most code blocks whose colours are kept.
const MAX_BLOCKS: usize = 256;
/// The longest code that is coloured, in bytes.
const MAX_CODE_BYTES: usize = 256 << 10;

/// Code to colour.
struct Request {
    id: egui::Id,
    language: String,
    code: String,
    /// The bytes of the code that have colours.
    known: usize,
    ctx: Context,
}

/// Colours of more code.
struct Answer {
    id: egui::Id,
    language: String,
    /// The byte of the code where it begins.
    from: usize,
    code: String,
    /// The class of text that ends at each byte of the whole code.
    spans: Vec<(usize, Class)>,
}

/// The colours of a code block, as far as they are known.
#[derive(Default)]
struct Coloured {
    language: String,
    /// The code that has colours.
    code: String,
    spans: Vec<(usize, Class)>,
    /// Whether a request is under way.
    waits: bool,
    last_used: u64,
}

impl Coloured {
    /// Adds an answer. It begins at the start of a line, which may have had colours when it was shorter.
    fn extend(&mut self, answer: Answer) {
        if self.code.is_char_boundary(answer.from) {
            self.code.truncate(answer.from);
            self.spans.retain(|(end, _)| *end <= answer.from);
            self.code.push_str(&answer.code);
            self.spans.extend(answer.spans);
        }
    }
}

/// The colours of the code that is shown.
#[derive(Default)]
pub(super) struct Highlights {
    blocks: HashMap<egui::Id, Coloured>,
    thread: Option<Option<(Sender<Request>, Receiver<Answer>)>>,
    clock: u64,
}

impl Highlights {
    /// The classes of the code as pairs of an end byte and the class of the text before it. They cover the start of the
    /// code, and grow over the next frames.
    pub(super) fn of(&mut self, ctx: &Context, id: egui::Id, language: &str, code: &str) -> &[(usize, Class)] {
        if language.is_empty() || code.len() > MAX_CODE_BYTES {
            return &[];
        }
        self.receive();
        self.clock += 1;
        if self.blocks.len() >= MAX_BLOCKS && !self.blocks.contains_key(&id) {
            let oldest = self.blocks.iter().min_by_key(|(_, block)| block.last_used).map(|(id, _)| *id);
            oldest.map(|id| self.blocks.remove(&id));
        }
        let block = self.blocks.entry(id).or_default();
        block.last_used = self.clock;
        if block.language != language || !code.starts_with(&block.code) {
            *block = Coloured { language: language.to_owned(), last_used: self.clock, ..Coloured::default() };
        }
        if !block.waits && block.code.len() < code.len() {
            let thread = self.thread.get_or_insert_with(start);
            if let Some((requests, _)) = thread {
                let (language, code, known) = (language.to_owned(), code.to_owned(), block.code.len());
                let request = Request { id, language, code, known, ctx: ctx.clone() };
                block.waits = requests.send(request).is_ok();
            }
        }
        &block.spans
    }

    /// Whether colours of some code are still being computed.
    pub(super) fn is_working(&self) -> bool {
        self.blocks.values().any(|block| block.waits)
    }

    fn receive(&mut self) {
        let Some(Some((_, answers))) = &self.thread else { return };
        for answer in answers.try_iter() {
            let Some(block) = self.blocks.get_mut(&answer.id).filter(|block| block.language == answer.language) else {
                continue;
            };
            block.waits = false;
            block.extend(answer);
        }
    }
}

/// Starts the thread. It ends when the window that asks it is gone.
fn start() -> Option<(Sender<Request>, Receiver<Answer>)> {
    let (request_sender, requests) = channel::<Request>();
    let (answer_sender, answers) = channel();
    let work = move || {
        let mut colourer = Colourer::new();
        for request in requests {
            let answer = colourer.answer(&request);
            if answer_sender.send(answer).is_err() {
                return;
            }
            request.ctx.request_repaint();
        }
    };
    match std::thread::Builder::new().name("highlighter".into()).spawn(work) {
        Ok(_) => Some((request_sender, answers)),
        Err(error) => {
            log::warn!("code is not coloured, because no thread can be started: {error}");
            None
        }
    }
}
