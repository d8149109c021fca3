//! Builds the tree of blocks from the parser's events.

mod elements;

use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Tag, TagEnd};

use elements::alert;

use super::inline::{Inline, Style, may_open};
use super::tree::{self, Code, Item, Marker, Node};

/// The greatest depth of nested blocks. What is deeper is shown at this depth.
const MAX_DEPTH: usize = 24;

/// What follows the name of a picture. A request for it would tell a server that the message was read.
const NOT_LOADED: &str = " (picture not loaded)";

/// A block that is not complete yet.
struct Frame {
    kind: Kind,
    nodes: Vec<Node>,
    /// The items of a list.
    items: Vec<Item>,
}

enum Kind {
    Root,
    Quote,
    /// A list, and the number of its next item.
    List(Option<u64>),
    Item(Marker),
    Term,
    Definition,
    Footnote(String),
    /// An element of HTML, and its summary.
    Details(Option<Inline>),
}

#[derive(Default)]
struct TableBuilder {
    alignments: Vec<Alignment>,
    header: Vec<Inline>,
    rows: Vec<Vec<Inline>>,
    row: Vec<Inline>,
}

/// The state between events.
pub(super) struct Builder<'a> {
    /// The text before formulas were rewritten.
    source: &'a str,
    /// Where formulas begin that stand in a line.
    inline_formulas: &'a [usize],
    footnotes: &'a HashSet<String>,
    frames: Vec<Frame>,
    /// The blocks that are open in the parser.
    depth: usize,
    /// The open blocks that have no frame, because they are nested too deeply.
    flattened: usize,
    text: Inline,
    heading: Option<u8>,
    styles: Vec<Style>,
    html_style: Style,
    link: Option<Rc<str>>,
    /// Where the name of the picture begins that is being read, and whether it is in a link.
    picture: (usize, bool),
    code: Option<(String, String)>,
    html: Option<String>,
    /// Whether spaces in HTML count.
    preformatted: bool,
    table: TableBuilder,
}

impl<'a> Builder<'a> {
    pub(super) fn new(source: &'a str, inline_formulas: &'a [usize], footnotes: &'a HashSet<String>) -> Self {
        Self {
            source,
            inline_formulas,
            footnotes,
            frames: vec![Frame { kind: Kind::Root, nodes: Vec::new(), items: Vec::new() }],
            depth: 0,
            flattened: 0,
            text: Inline::default(),
            heading: None,
            styles: Vec::new(),
            html_style: Style::PLAIN,
            link: None,
            picture: (0, false),
            code: None,
            html: None,
            preformatted: false,
            table: TableBuilder::default(),
        }
    }

    /// Whether the next event begins a block of the top level.
    pub(super) fn at_top(&self) -> bool {
        self.depth == 0 && self.frames.len() == 1
    }

    /// Takes the complete blocks of the top level.
    pub(super) fn take(&mut self) -> Vec<Node> {
        self.flush();
        std::mem::take(&mut self.frames[0].nodes)
    }

    /// Takes all blocks at the end of the text.
    pub(super) fn finish(mut self) -> Vec<Node> {
        self.flush();
        while self.frames.len() > 1 {
            self.close_frame();
        }
        self.take()
    }

    /// Handles an event. `digit_follows` tells whether the next event is text that begins with a digit.
    pub(super) fn event(&mut self, event: Event<'_>, range: Range<usize>, digit_follows: bool) {
        match event {
            Event::Start(tag) => {
                self.depth += 1;
                self.start(tag);
            }
            Event::End(tag) => {
                self.end(tag);
                self.depth = self.depth.saturating_sub(1);
            }
            Event::Text(text) => match &mut self.code {
                // Formulas in code were rewritten too if the code is indented, but never changed in length.
                Some((_, code)) if text.len() == range.len() => code.push_str(self.source.get(range).unwrap_or(&text)),
                Some((_, code)) => code.push_str(&text),
                None => self.push(&text),
            },
            Event::Code(code) => self.push_styled(&code, Style::CODE),
            // An amount of money: "$5 or $6".
            Event::InlineMath(tex) if digit_follows => self.push(&format!("${tex}$")),
            Event::InlineMath(tex) => self.push_styled(tex.trim(), Style::FORMULA),
            Event::DisplayMath(tex) => {
                let inline = self.inline_formulas.binary_search(&range.start).is_ok();
                let style = if inline { Style::FORMULA } else { Style::FORMULA.with(Style::DISPLAY) };
                self.push_styled(tex.trim(), style);
            }
            Event::Html(html) => match &mut self.html {
                Some(all) => all.push_str(&html),
                None => self.html(&html, true),
            },
            Event::InlineHtml(html) => self.html(&html, false),
            Event::FootnoteReference(label) => {
                if self.footnotes.contains(&*label) {
                    self.push_styled(&label, Style::SUP);
                } else {
                    self.push(&format!("[^{label}]"));
                }
            }
            Event::SoftBreak => self.push(" "),
            Event::HardBreak => self.push("\n"),
            Event::Rule => {
                self.flush();
                self.add(Node::Rule);
            }
            Event::TaskListMarker(done) => {
                if let Some(Kind::Item(marker)) = self.frames.last_mut().map(|frame| &mut frame.kind) {
                    *marker = Marker::Task(done);
                }
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.flush(),
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = Some(level as u8);
            }
            Tag::BlockQuote(kind) => {
                self.open(Kind::Quote);
                if let Some(kind) = kind {
                    self.add(Node::Paragraph(Inline::styled(alert(kind), Style::STRONG)));
                }
            }
            Tag::CodeBlock(fence) => {
                self.flush();
                let language = match fence {
                    CodeBlockKind::Fenced(info) => info.split([' ', ',', '{', '\t']).next().unwrap_or("").to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((language, String::new()));
            }
            Tag::HtmlBlock => {
                self.flush();
                self.html = Some(String::new());
            }
            Tag::List(start) => self.open(Kind::List(start)),
            Tag::Item => {
                let marker = match self.frames.last_mut().map(|frame| &mut frame.kind) {
                    Some(Kind::List(Some(number))) => {
                        *number = number.saturating_add(1);
                        Marker::Number(*number - 1)
                    }
                    _ => Marker::Bullet,
                };
                self.open(Kind::Item(marker));
            }
            Tag::FootnoteDefinition(label) => self.open(Kind::Footnote(label.to_string())),
            Tag::DefinitionListTitle => self.open(Kind::Term),
            Tag::DefinitionListDefinition => self.open(Kind::Definition),
            Tag::Table(alignments) => {
                self.flush();
                self.table = TableBuilder { alignments, ..TableBuilder::default() };
            }
            Tag::Emphasis => self.styles.push(Style::EMPHASIS),
            Tag::Strong => self.styles.push(Style::STRONG),
            Tag::Strikethrough => self.styles.push(Style::STRIKE),
            Tag::Superscript => self.styles.push(Style::SUP),
            Tag::Subscript => self.styles.push(Style::SUB),
            Tag::Link { dest_url, .. } => self.link = may_open(&dest_url).then(|| Rc::from(&*dest_url)),
            Tag::Image { dest_url, .. } => {
                self.picture = (self.text.text().len(), self.link.is_some());
                self.link_picture(&dest_url);
                self.styles.push(Style::WEAK.with(Style::EMPHASIS));
            }
            Tag::TableHead | Tag::TableRow | Tag::TableCell | Tag::DefinitionList | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.flush(),
            TagEnd::Heading(_) => {
                self.flush();
                self.heading = None;
            }
            TagEnd::BlockQuote(_)
            | TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition => self.close(),
            TagEnd::CodeBlock => {
                if let Some((language, code)) = self.code.take() {
                    let text: Rc<str> = code.trim_end_matches('\n').into();
                    let part = 0..text.len();
                    self.add(Node::Code(Code { language, text, part }));
                }
            }
            TagEnd::HtmlBlock => {
                if let Some(html) = self.html.take() {
                    self.html(&html, true);
                    self.flush();
                }
            }
            TagEnd::TableCell => {
                let cell = self.take_text();
                self.table.row.push(cell);
            }
            TagEnd::TableHead => self.table.header = std::mem::take(&mut self.table.row),
            TagEnd::TableRow => {
                let row = std::mem::take(&mut self.table.row);
                self.table.rows.push(row);
            }
            TagEnd::Table => {
                let table = std::mem::take(&mut self.table);
                for node in tree::table(&table.alignments, table.header, table.rows) {
                    self.add(node);
                }
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Superscript | TagEnd::Subscript => {
                self.styles.pop();
            }
            TagEnd::Link => self.link = None,
            TagEnd::Image => {
                let (start, linked) = self.picture;
                let named = self.text.text().len() > start;
                self.push(if named { NOT_LOADED } else { "picture" });
                if !named {
                    self.push(NOT_LOADED);
                }
                self.styles.pop();
                if !linked {
                    self.link = None;
                }
            }
            TagEnd::DefinitionList | TagEnd::MetadataBlock(_) => {}
        }
    }

    /// Opens a block that contains blocks.
    fn open(&mut self, kind: Kind) {
        self.flush();
        if self.flattened > 0 || self.frames.len() > MAX_DEPTH {
            self.flattened += 1;
        } else {
            self.frames.push(Frame { kind, nodes: Vec::new(), items: Vec::new() });
        }
    }

    /// Closes the block that was opened last, and with it the elements of HTML in it that are still open.
    fn close(&mut self) {
        self.flush();
        if self.flattened > 0 {
            self.flattened -= 1;
            return;
        }
        while matches!(self.frames.last(), Some(Frame { kind: Kind::Details(_), .. })) {
            self.close_frame();
        }
        if self.frames.len() > 1 {
            self.close_frame();
        }
    }

    fn close_frame(&mut self) {
        let Some(Frame { kind, mut nodes, items }) = self.frames.pop() else { return };
        match kind {
            Kind::Root => self.frames.push(Frame { kind, nodes, items }),
            Kind::Quote => self.add(Node::Quote(nodes)),
            Kind::List(_) => self.add(Node::List(items)),
            Kind::Item(marker) => match self.frames.last_mut() {
                Some(Frame { kind: Kind::List(_), items, .. }) => items.push(Item { marker, nodes }),
                Some(parent) => parent.nodes.append(&mut nodes),
                None => {}
            },
            Kind::Term => {
                for node in nodes {
                    self.add(match node {
                        Node::Paragraph(text) => Node::Term(text),
                        other => other,
                    });
                }
            }
            Kind::Definition => self.add(Node::Definition(nodes)),
            Kind::Footnote(label) => self.add(Node::Footnote(label, nodes)),
            Kind::Details(summary) => {
                let summary = summary.unwrap_or_else(|| Inline::styled("Details", Style::PLAIN));
                self.add(Node::Details(summary, nodes));
            }
        }
    }

    fn add(&mut self, node: Node) {
        if let Some(frame) = self.frames.last_mut() {
            frame.nodes.push(node);
        }
    }

    fn take_text(&mut self) -> Inline {
        let mut text = std::mem::take(&mut self.text);
        text.trim_end();
        text.link_addresses();
        self.html_style = Style::PLAIN;
        text
    }

    /// Makes a block of the text so far.
    fn flush(&mut self) {
        let text = self.take_text();
        if text.text().is_empty() {
            return;
        }
        self.add(match self.heading {
            Some(level) => Node::Heading(level, text),
            None => Node::Paragraph(text),
        });
    }

    fn push(&mut self, text: &str) {
        self.push_styled(text, Style::PLAIN);
    }

    fn push_styled(&mut self, text: &str, style: Style) {
        // A space at the start of a line is never meant.
        let starts = self.text.text().is_empty() || self.text.text().ends_with('\n');
        let text = if starts && !self.preformatted { text.trim_start_matches(' ') } else { text };
        let style = self.styles.iter().fold(style.with(self.html_style), |all, one| all.with(*one));
        self.text.push(text, style, self.link.as_ref());
    }

    /// Links a picture's name to its address, unless it is in a link.
    fn link_picture(&mut self, address: &str) {
        if self.link.is_none() && may_open(address) {
            self.link = Some(Rc::from(address));
        }
    }
}
