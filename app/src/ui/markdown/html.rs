//! The HTML that models write in Markdown, cut into tags and text.

use std::borrow::Cow;

/// A piece of HTML.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Tag(Tag<'a>),
}

/// A tag, as in `<a href="x">` and `</a>`.
#[derive(Debug, PartialEq)]
pub(super) struct Tag<'a> {
    /// Its source, with the brackets.
    pub(super) source: &'a str,
    /// Its name in lower case.
    pub(super) name: String,
    pub(super) closes: bool,
}

impl Tag<'_> {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let lower = self.source.to_ascii_lowercase();
        let found = lower.match_indices(name).find_map(|(at, _)| {
            let before = lower[..at].ends_with(char::is_whitespace);
            let value = self.source[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
            before.then_some(value)
        })?;
        let value = match found.chars().next()? {
            quote @ ('"' | '\'') => found[1..].split(quote).next()?,
            _ => found.split([' ', '>', '\n', '\t']).next()?,
        };
        Some(decode(value))
    }
}

/// The pieces of HTML in order. Comments are left out.
pub(super) fn pieces(html: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut text, mut at) = (0, 0);
    while let Some(found) = html[at..].find('<') {
        let start = at + found;
        let end = match comment_end(&html[start..]) {
            Some(length) => start + length,
            None => match tag(&html[start..]) {
                Some(tag) => start + tag.source.len(),
                None => {
                    at = start + 1;
                    continue;
                }
            },
        };
        if text < start {
            pieces.push(Piece::Text(&html[text..start]));
        }
        pieces.extend(tag(&html[start..end]).map(Piece::Tag));
        (text, at) = (end, end);
    }
    if text < html.len() {
        pieces.push(Piece::Text(&html[text..]));
    }
    pieces
}

/// The length of a comment. One that is not closed goes on to the end.
fn comment_end(html: &str) -> Option<usize> {
    let inner = html.strip_prefix("<!--")?;
    Some(inner.find("-->").map_or(html.len(), |end| end + 7))
}

fn tag(html: &str) -> Option<Tag<'_>> {
    let inner = html.strip_prefix('<')?;
    let (closes, inner) = match inner.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (false, inner),
    };
    let length = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(inner.len());
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let end = html[1..].find(['<', '>']).map(|end| end + 1)?;
    let source = html[..=end].strip_suffix('>').map(|_| &html[..=end])?;
    Some(Tag { source, name: inner[..length].to_ascii_lowercase(), closes })
}

/// Whether HTML has an element of this name. Others, as in `Vec<T>`, are text.
pub(super) fn is_element(name: &str) -> bool {
    const ELEMENTS: &str = " a abbr address article aside audio b bdi bdo big blockquote body br button caption center cite \
        code col colgroup data dd del details dfn dialog div dl dt em fieldset figcaption figure font footer form h1 h2 h3 h4 \
        h5 h6 head header hr html i iframe img input ins kbd label legend li link main mark math menu meta meter nav ol \
        optgroup option output p param picture pre progress q rp rt ruby s samp script section select small source span \
        strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time title tr tt u ul var \
        video wbr ";
    name.len() < 12 && ELEMENTS.contains(&format!(" {name} "))
}

/// Replaces the character references that models write.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        let name = rest[at + 1..].bytes().take(10).position(|byte| byte == b';').map(|end| &rest[at + 1..at + 1 + end]);
        match name.and_then(character) {
            Some(character) => {
                decoded.push(character);
                rest = &rest[at + 2 + name.map_or(0, str::len)..];
            }
            None => {
                decoded.push('&');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded.into()
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    let characters = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", '\u{a0}'),
        ("copy", '©'),
        ("times", '×'),
        ("deg", '°'),
        ("mdash", '—'),
        ("ndash", '–'),
        ("hellip", '…'),
        ("rarr", '→'),
        ("larr", '←'),
    ];
    characters.iter().find(|(known, _)| *known == name).map(|(_, c)| *c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_cut_into_tags_and_text() {
        let html = "a <b class=x>bold</b><!-- no -->1 < 2 &amp; <img alt=\"a &lt; b\" src='x'/> <a";
        let shown: Vec<String> = pieces(html)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => decode(text).into_owned(),
                Piece::Tag(tag) => format!("[{}{}]", if tag.closes { "/" } else { "" }, tag.name),
            })
            .collect();
        assert_eq!(shown, ["a ", "[b]", "bold", "[/b]", "1 < 2 & ", "[img]", " <a"]);
        let Piece::Tag(image) = &pieces("<img alt=\"a &lt; b\" src='x'>")[0] else { panic!("no tag") };
        assert_eq!(image.attribute("alt").as_deref(), Some("a < b"));
        assert_eq!(image.attribute("src").as_deref(), Some("x"));
        assert_eq!(image.attribute("title"), None);
    }

    #[test]
    fn only_elements_of_html_are_tags() {
        assert!(is_element("details") && is_element("br"));
        assert!(!is_element("t") && !is_element("user") && !is_element("think") && !is_element(""));
    }

    #[test]
    fn references_are_decoded_and_others_kept() {
        assert_eq!(decode("&lt;&#65;&#x42;&nope;&& &#0;é&"), "<AB&nope;&& &#0;é&");
    }
}
