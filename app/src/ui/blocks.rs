//! Splits messages into their top-level Markdown blocks, so that only visible blocks are drawn, and only the last ones
//! are parsed again while a reply grows.

use std::collections::HashMap;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

use crate::chats::Id;

/// The kind of a block, as far as drawing differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A block that the Markdown library draws.
    Text,
    /// A table, which may be wider than the text column.
    Table,
    /// Code in a language.
    Code {
        /// The language that the fence names; empty for none.
        language: String,
        /// The bytes of the code, without its fence.
        code: Range<usize>,
        /// Whether the fence is closed.
        closed: bool,
    },
}

/// A top-level block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    /// Its bytes in the message.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

/// The parsed blocks of messages, reused while a message's text only grows.
#[derive(Default)]
pub(super) struct Blocks {
    messages: HashMap<Id, Parsed>,
}

#[derive(Default)]
struct Parsed {
    /// The length and the last bytes of the parsed text. A text that only grew has the same bytes there.
    length: usize,
    end: Vec<u8>,
    blocks: Vec<Block>,
}

/// Bytes of the text's end that are compared.
const TAIL_BYTES: usize = 32;

impl Parsed {
    /// Drops the blocks that may change as the text grows, and returns the byte to parse from. The last block may grow, the
    /// one before may absorb it (a list, a table), and so may any block that no blank line separates from the next.
    fn drop_unfinished(&mut self, text: &str) -> usize {
        let mut dropped = 0;
        while let Some(block) = self.blocks.pop() {
            let from = block.range.start;
            dropped += 1;
            if dropped >= 2 && text[..from].ends_with("\n\n") {
                return from;
            }
        }
        0
    }
}

impl Blocks {
    /// The blocks of a message's text.
    pub(super) fn of(&mut self, message: Id, text: &str) -> &[Block] {
        let parsed = self.messages.entry(message).or_default();
        let grew = text.len() >= parsed.length && text.as_bytes()[..parsed.length].ends_with(&parsed.end);
        if !grew {
            *parsed = Parsed::default();
        }
        if text.len() != parsed.length {
            let from = parsed.drop_unfinished(text);
            parse(text, from, &mut parsed.blocks);
            parsed.length = text.len();
            parsed.end = text.as_bytes()[text.len().saturating_sub(TAIL_BYTES)..].to_vec();
        }
        &parsed.blocks
    }

    /// Forgets messages that are no longer shown.
    pub(super) fn retain(&mut self, shown: &[Id]) {
        if self.messages.len() > 2 * shown.len() + 64 {
            self.messages.retain(|id, _| shown.contains(id));
        }
    }
}

fn parse(text: &str, from: usize, blocks: &mut Vec<Block>) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_MATH;
    let (mut depth, mut code): (usize, Option<Range<usize>>) = (0, None);
    let mut kind = Kind::Text;
    for (event, range) in Parser::new_ext(&text[from..], options).into_offset_iter() {
        let range = from + range.start..from + range.end;
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    code = None;
                    kind = match tag {
                        Tag::Table(_) => Kind::Table,
                        Tag::CodeBlock(fence) => {
                            let language = match fence {
                                CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or("").to_owned(),
                                CodeBlockKind::Indented => String::new(),
                            };
                            Kind::Code { language, code: range.clone(), closed: false }
                        }
                        _ => Kind::Text,
                    };
                }
                depth += 1;
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    if let Kind::Code { code: inner, closed, .. } = &mut kind {
                        *inner = code.take().unwrap_or(range.end..range.end);
                        let rest = text[inner.end.min(range.end)..range.end].trim();
                        *closed = rest.starts_with("```") || rest.starts_with("~~~") || range.end < text.len();
                    }
                    blocks.push(Block { range, kind: std::mem::replace(&mut kind, Kind::Text) });
                }
            }
            Event::Text(_) if depth == 1 && matches!(kind, Kind::Code { .. }) => {
                code = Some(code.map_or(range.clone(), |code| code.start..range.end));
            }
            // A horizontal rule, or a line of HTML.
            _ if depth == 0 => blocks.push(Block { range, kind: Kind::Text }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A *head*\n\nSome text\nof two lines.\n\n- one\n  - two\n\n```rust\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\n$$x^2$$ and `code`\n";

    fn blocks_of(text: &str) -> Vec<(String, &'static str)> {
        let mut blocks = Vec::new();
        parse(text, 0, &mut blocks);
        let name = |kind: &Kind| match kind {
            Kind::Text => "text",
            Kind::Table => "table",
            Kind::Code { .. } => "code",
        };
        blocks.iter().map(|block| (text[block.range.clone()].trim().to_owned(), name(&block.kind))).collect()
    }

    #[test]
    fn blocks_are_top_level() {
        let kinds: Vec<_> = blocks_of(TEXT).into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, ["text", "text", "text", "code", "table", "text", "text"]);
        let mut blocks = Vec::new();
        parse(TEXT, 0, &mut blocks);
        let Kind::Code { language, code, closed } = &blocks[3].kind else { panic!() };
        assert_eq!((language.as_str(), &TEXT[code.clone()], *closed), ("rust", "fn main() {}\n", true));
    }

    #[test]
    fn growing_text_has_the_same_blocks_as_the_whole() {
        let (mut growing, mut whole) = (Blocks::default(), Vec::new());
        parse(TEXT, 0, &mut whole);
        for end in (0..=TEXT.len()).filter(|end| TEXT.is_char_boundary(*end)) {
            growing.of(1, &TEXT[..end]);
        }
        assert_eq!(growing.of(1, TEXT), whole);
        // A different text with the same id is parsed from the start.
        assert_eq!(growing.of(1, "short").len(), 1);
    }

    #[test]
    fn unclosed_code_is_open() {
        let mut blocks = Vec::new();
        parse("```py\nx = 1\n", 0, &mut blocks);
        assert!(matches!(&blocks[0].kind, Kind::Code { closed: false, .. }), "{blocks:?}");
        let mut empty = Vec::new();
        parse("```", 0, &mut empty);
        assert!(matches!(&empty[0].kind, Kind::Code { code, .. } if code.is_empty()), "{empty:?}");
    }
}
