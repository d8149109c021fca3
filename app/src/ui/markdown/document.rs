//! The parsed text of messages. While a message grows, only its last blocks are parsed again.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pulldown_cmark::{BrokenLink, CowStr, Event, Options, Parser, Tag};

use super::builder::Builder;
use super::math;
use super::split::split;
use super::tree::{Extent, Node, has_controls};
use crate::chats::Id;

/// A block of a message: a paragraph, a list, a table, or a part of a long one.
#[derive(Debug)]
pub(crate) struct Block {
    node: Box<Node>,
    /// Whether the message begins with it.
    first: bool,
    /// Whether it goes on from the block before.
    continued: bool,
    extent: Extent,
    controls: bool,
}

impl Block {
    fn new(node: Node, first: bool, continued: bool) -> Self {
        let (extent, controls) = (Extent::of(&node), has_controls(&node));
        Self { node: Box::new(node), first, continued, extent, controls }
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn is_first(&self) -> bool {
        self.first
    }

    pub(super) fn is_continued(&self) -> bool {
        self.continued
    }

    /// The estimated height in points of a block that was never drawn, at a width in points.
    pub(crate) fn estimated_height(&self, width: f32) -> f32 {
        self.extent.height(width)
    }

    /// Whether it has controls that Tab reaches.
    pub(crate) fn has_controls(&self) -> bool {
        self.controls
    }
}

/// The parsed messages.
#[derive(Default)]
pub(crate) struct Documents {
    messages: HashMap<Id, Document>,
}

impl Documents {
    /// The blocks of a message's text, from the top.
    pub(crate) fn of(&mut self, message: Id, text: &str) -> &[Block] {
        let document = self.messages.entry(message).or_default();
        document.update(text);
        document.blocks()
    }

    /// A block of a message that was parsed.
    pub(crate) fn block(&self, message: Id, index: usize) -> Option<&Block> {
        self.messages.get(&message)?.blocks().get(index)
    }

    /// The index of the first block of the section that holds a byte of a message's text.
    pub(crate) fn block_at(&self, message: Id, byte: usize) -> usize {
        let Some(document) = self.messages.get(&message) else { return 0 };
        let after = document.sections.partition_point(|section| section.at <= byte);
        after.checked_sub(1).map_or(0, |index| document.sections[index].block)
    }

    /// Forgets messages that are no longer shown.
    pub(crate) fn retain(&mut self, shown: &[Id]) {
        if self.messages.len() > 2 * shown.len() + 64 {
            self.messages.retain(|id, _| shown.contains(id));
        }
    }
}

/// The parsed text of one message.
#[derive(Default)]
pub(super) struct Document {
    /// The length and the last bytes of the parsed text. A text that only grew has the same bytes there.
    length: usize,
    end: Vec<u8>,
    sections: Vec<Section>,
    blocks: Vec<Block>,
    definitions: Vec<Definition>,
    uses: Vec<Use>,
}

/// A top-level block of Markdown.
struct Section {
    /// Its first byte.
    at: usize,
    /// Its first block.
    block: usize,
}

/// The definition of a link's or a footnote's label.
#[derive(Clone, Debug, PartialEq)]
struct Definition {
    at: usize,
    label: String,
    address: String,
}

/// A place where a label is used.
struct Use {
    at: usize,
    label: String,
}

/// Bytes of the text's end that are compared.
const END_BYTES: usize = 4 << 10;
/// The most definitions and uses of labels that are remembered. Further ones work only near their definition.
const MAX_LABELS: usize = 1000;

impl Document {
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Parses what is new in the text.
    pub(super) fn update(&mut self, text: &str) {
        let grew = text.len() >= self.length && text.as_bytes()[..self.length].ends_with(&self.end);
        if grew && text.len() == self.length {
            return;
        }
        let from = if grew { self.drop_unfinished(text) } else { self.drop_all() };
        let kept = self.definitions.iter().take_while(|definition| definition.at < from).count();
        let before = self.definitions.split_off(kept);
        self.uses.retain(|used| used.at < from);
        let parsed = parse(text, from, &self.definitions);
        if from > 0 && self.is_affected(&before, &parsed) {
            self.drop_all();
            let whole = parse(text, 0, &[]);
            self.add(whole);
        } else {
            self.add(parsed);
        }
        self.length = text.len();
        self.end = text.as_bytes()[text.len().saturating_sub(END_BYTES)..].to_vec();
    }

    fn drop_all(&mut self) -> usize {
        *self = Self::default();
        0
    }

    /// Drops the sections that may change as the text grows, and returns the byte to parse from. The last one may grow,
    /// the one before may absorb it (a list, a table), and so may any section that no blank line separates from the next.
    fn drop_unfinished(&mut self, text: &str) -> usize {
        let mut dropped = 0;
        while let Some(section) = self.sections.pop() {
            self.blocks.truncate(section.block);
            dropped += 1;
            if dropped >= 2 && text[..section.at].ends_with("\n\n") {
                return section.at;
            }
        }
        self.drop_all()
    }

    /// Whether sections that are kept, or definitions in them, give another result with the new definitions.
    fn is_affected(&self, before: &[Definition], parsed: &Parsed) -> bool {
        let known = |label: &str| self.definitions.iter().find(|definition| definition.label == label);
        let mut old = HashMap::new();
        for definition in before {
            old.entry(definition.label.as_str()).or_insert(definition.address.as_str());
        }
        let mut new = HashMap::new();
        for definition in &parsed.definitions {
            if known(&definition.label).is_some_and(|first| first.address != definition.address) {
                return true;
            }
            new.entry(definition.label.as_str()).or_insert(definition.address.as_str());
        }
        old != new
            && self.uses.iter().any(|used| {
                let label = used.label.as_str();
                old.get(label) != new.get(label) && known(label).is_none()
            })
    }

    fn add(&mut self, parsed: Parsed) {
        self.definitions.extend(parsed.definitions);
        self.definitions.truncate(MAX_LABELS);
        self.uses.extend(parsed.uses);
        self.uses.truncate(MAX_LABELS);
        for (at, nodes) in parsed.sections {
            self.sections.push(Section { at, block: self.blocks.len() });
            for node in nodes {
                for (index, part) in split(node).into_iter().enumerate() {
                    self.blocks.push(Block::new(part, self.blocks.is_empty(), index > 0));
                }
            }
        }
    }
}

/// The result of parsing a text from some byte.
struct Parsed {
    /// The first byte of every section, and its blocks.
    sections: Vec<(usize, Vec<Node>)>,
    definitions: Vec<Definition>,
    uses: Vec<Use>,
}

/// The form in which labels are compared.
fn normal(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The label under which a footnote is defined and used.
fn footnote(label: &str) -> String {
    format!("^{label}")
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        // These find references to footnotes whose definition is in another section.
        | Options::ENABLE_OLD_FOOTNOTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM
}

fn parse(text: &str, from: usize, earlier: &[Definition]) -> Parsed {
    let (source, inline_formulas) = math::rewrite(&text[from..]);
    let uses = RefCell::new(Vec::new());
    let note_use = |at: usize, label: String| {
        let mut uses = uses.borrow_mut();
        if uses.len() < MAX_LABELS {
            uses.push(Use { at: from + at, label });
        }
    };
    let addresses: HashMap<&str, &str> =
        earlier.iter().rev().map(|definition| (definition.label.as_str(), definition.address.as_str())).collect();
    let broken_link = |link: BrokenLink<'_>| {
        let label = normal(&link.reference);
        let address = addresses.get(label.as_str()).map(|address| CowStr::from((*address).to_owned()));
        note_use(link.span.start, label);
        address.map(|address| (address, CowStr::from("")))
    };
    let parser = Parser::new_with_broken_link_callback(&source, options(), Some(broken_link));
    let mut definitions: Vec<Definition> = parser
        .reference_definitions()
        .iter()
        .map(|(label, definition)| Definition {
            at: from + definition.span.start,
            label: normal(label),
            address: definition.dest.to_string(),
        })
        .collect();
    let mut footnotes: HashSet<String> =
        earlier.iter().filter_map(|definition| definition.label.strip_prefix('^').map(str::to_owned)).collect();
    if source.contains("[^") {
        // A reference may stand before its definition, so definitions are collected first.
        for (event, range) in Parser::new_ext(&source, options()).into_offset_iter() {
            if let Event::Start(Tag::FootnoteDefinition(label)) = event {
                let (at, name) = (from + range.start, footnote(&label));
                definitions.push(Definition { at, label: name, address: String::new() });
                footnotes.insert(label.to_string());
            }
        }
    }
    definitions.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.label.cmp(&b.label)));

    let mut sections = Vec::new();
    let mut section = None;
    let mut builder = Builder::new(&text[from..], &inline_formulas, &footnotes);
    let mut events = parser.into_offset_iter().peekable();
    while let Some((event, range)) = events.next() {
        if builder.at_top() && section.is_none() {
            section = Some(from + range.start);
        }
        match &event {
            Event::Start(Tag::Link { id, .. } | Tag::Image { id, .. }) if !id.is_empty() => {
                note_use(range.start, normal(id));
            }
            Event::FootnoteReference(label) => note_use(range.start, footnote(label)),
            _ => {}
        }
        let digit_follows = matches!(event, Event::InlineMath(_))
            && matches!(events.peek(), Some((Event::Text(next), _)) if next.starts_with(|c: char| c.is_ascii_digit()));
        builder.event(event, range, digit_follows);
        if builder.at_top()
            && let Some(at) = section.take()
        {
            sections.push((at, builder.take()));
        }
    }
    let rest = builder.finish();
    if let Some(at) = section {
        sections.push((at, rest));
    }
    Parsed { sections, definitions, uses: uses.into_inner() }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
