//! Colours code, which takes many frames: on a thread, or in a browser in a worker.

pub(crate) mod colourer;
#[cfg(not(target_arch = "wasm32"))]
mod thread;

use std::collections::HashMap;

use egui::Context;
use serde::{Deserialize, Serialize};

use super::theme::Class;
#[cfg(target_arch = "wasm32")]
use crate::page::sandbox::Colouring;
#[cfg(not(target_arch = "wasm32"))]
use thread::Colouring;

/// The most code blocks whose colours are kept.
const MAX_BLOCKS: usize = 256;
/// The longest code that is coloured, in bytes.
const MAX_CODE_BYTES: usize = 256 << 10;

/// Code to colour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    id: egui::Id,
    language: String,
    code: String,
    /// The bytes of the code that have colours.
    known: usize,
}

/// Colours of more code.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    id: egui::Id,
    language: String,
    /// The byte of the code where it begins.
    from: usize,
    code: String,
    /// The class of text that ends at each byte of the whole code.
    spans: Vec<(usize, Class)>,
}

#[cfg(target_arch = "wasm32")]
impl Request {
    /// The answer without colours, where there can be no other.
    pub(crate) fn plain(self) -> Answer {
        let Self { id, language, code, known } = self;
        let rest = code.get(known..).unwrap_or_default().to_owned();
        Answer { id, language, from: known, code: rest, spans: vec![(code.len(), Class::Plain)] }
    }
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
    /// `Some(None)` where it cannot be started.
    colouring: Option<Option<Colouring>>,
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
        if !block.waits
            && block.code.len() < code.len()
            && let Some(colouring) = self.colouring.get_or_insert_with(|| Colouring::start(ctx))
        {
            let (language, code, known) = (language.to_owned(), code.to_owned(), block.code.len());
            block.waits = colouring.send(Request { id, language, code, known });
        }
        &block.spans
    }

    /// Whether colours of some code are still being computed.
    pub(super) fn is_working(&self) -> bool {
        self.blocks.values().any(|block| block.waits)
    }

    fn receive(&mut self) {
        let Some(Some(colouring)) = &self.colouring else { return };
        for answer in colouring.answers() {
            let Some(block) = self.blocks.get_mut(&answer.id).filter(|block| block.language == answer.language) else {
                continue;
            };
            block.waits = false;
            block.extend(answer);
        }
    }
}
