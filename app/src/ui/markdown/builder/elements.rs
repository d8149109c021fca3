//! The elements of HTML that models write in Markdown, and the titles of alerts.

use std::borrow::Cow;
use std::rc::Rc;

use pulldown_cmark::BlockQuoteKind;

use super::super::html::{self, Piece};
use super::super::inline::{Style, may_open};
use super::super::tree::Node;
use super::{Builder, Frame, Kind, MAX_DEPTH, NOT_LOADED};

impl Builder<'_> {
    /// Handles HTML, which stands between paragraphs or in one.
    pub(super) fn html(&mut self, html: &str, block: bool) {
        for piece in html::pieces(html) {
            match piece {
                Piece::Tag(tag) => self.tag(&tag, block),
                Piece::Text(text) if block && !self.preformatted => {
                    let text = html::decode(text);
                    let words: Vec<&str> = text.split_ascii_whitespace().collect();
                    let space = |edge: bool| if edge { " " } else { "" };
                    let before = space(text.starts_with(|c: char| c.is_ascii_whitespace()) && !words.is_empty());
                    let after = space(text.ends_with(|c: char| c.is_ascii_whitespace()));
                    self.push(&format!("{before}{}{after}", words.join(" ")));
                }
                Piece::Text(text) => self.push(&html::decode(text)),
            }
        }
    }

    fn tag(&mut self, tag: &html::Tag<'_>, block: bool) {
        let style = match tag.name.as_str() {
            "b" | "strong" | "th" => Style::STRONG,
            "i" | "em" | "cite" | "var" | "dfn" => Style::EMPHASIS,
            "s" | "del" | "strike" => Style::STRIKE,
            "u" | "ins" => Style::UNDERLINE,
            "code" | "tt" | "samp" => Style::CODE,
            "kbd" => Style::KEY,
            "mark" => Style::MARK,
            "sub" => Style::SUB,
            "sup" => Style::SUP,
            _ => Style::PLAIN,
        };
        if style != Style::PLAIN {
            self.html_style = if tag.closes { self.html_style.without(style) } else { self.html_style.with(style) };
            return;
        }
        match (tag.name.as_str(), tag.closes) {
            ("br", _) => self.text.push("\n", Style::PLAIN, None),
            ("a", false) => {
                let address = tag.attribute("href").filter(|address| may_open(address));
                self.link = address.map(|address| Rc::from(&*address));
            }
            ("a", true) => self.link = None,
            ("img", _) => {
                let alt = tag.attribute("alt").filter(|alt| !alt.trim().is_empty()).unwrap_or(Cow::Borrowed("picture"));
                let linked = self.link.clone();
                self.link_picture(&tag.attribute("src").unwrap_or_default());
                self.push_styled(&format!("{alt}{NOT_LOADED}"), Style::WEAK.with(Style::EMPHASIS));
                self.link = linked;
            }
            ("td", true) => self.push("  "),
            ("hr", false) if block => {
                self.flush();
                self.add(Node::Rule);
            }
            ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", closes) if block => {
                self.flush();
                let level = tag.name.as_bytes().get(1).map(|digit| digit - b'0');
                self.heading = level.filter(|_| !closes);
            }
            ("li", false) if block => {
                self.flush();
                self.push("• ");
            }
            ("li", false) => self.text.push("\n• ", Style::PLAIN, None),
            ("pre", closes) if block => {
                self.flush();
                self.preformatted = !closes;
            }
            ("details", false) if block => {
                self.flush();
                if self.flattened == 0 && self.frames.len() <= MAX_DEPTH {
                    self.open(Kind::Details(None));
                }
            }
            ("details", true) if block => {
                self.flush();
                if matches!(self.frames.last(), Some(Frame { kind: Kind::Details(_), .. })) {
                    self.close_frame();
                }
            }
            ("summary", false) if block => self.flush(),
            ("summary", true) if block => {
                let summary = self.take_text();
                match self.frames.last_mut() {
                    Some(Frame { kind: Kind::Details(empty @ None), .. }) => *empty = Some(summary),
                    _ => self.add(Node::Paragraph(summary)),
                }
            }
            ("p" | "div" | "tr" | "table" | "ul" | "ol" | "blockquote" | "center" | "section" | "article", _)
                if block =>
            {
                self.flush();
            }
            (name, _) if html::is_element(name) => {}
            _ => self.push(tag.source),
        }
    }
}

/// The title of an alert, which is a quote with a kind.
pub(super) fn alert(kind: BlockQuoteKind) -> &'static str {
    match kind {
        BlockQuoteKind::Note => "Note",
        BlockQuoteKind::Tip => "Tip",
        BlockQuoteKind::Important => "Important",
        BlockQuoteKind::Warning => "Warning",
        BlockQuoteKind::Caution => "Caution",
    }
}
