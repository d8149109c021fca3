//! Export to one HTML file that loads nothing: text is escaped, and no script, picture or unsafe link gets into it.

use std::fmt::Write as _;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::{ArchivedChat, markdown};
use crate::chats::{Message, Role, Tree};

/// The shown branches of chats as a page, light or dark as the reader's system is.
pub(super) fn page(chats: &[ArchivedChat]) -> String {
    let title = match chats {
        [only] => only.chat.shown_title(),
        _ => "Lapidary chats",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"und\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        escaped(title),
        include_str!("page.css")
    );
    chats.iter().for_each(|entry| chat(&mut page, entry));
    page.push_str("</body>\n</html>\n");
    page
}

fn chat(page: &mut String, entry: &ArchivedChat) {
    let tree = Tree::new(entry.messages.clone(), entry.chat.leaf);
    let _ = writeln!(page, "<header>\n<h1>{}</h1>", escaped(entry.chat.shown_title()));
    if !entry.chat.system.trim().is_empty() {
        let _ = writeln!(page, "<p class=\"system\">{}</p>", escaped(entry.chat.system.trim()));
    }
    page.push_str("</header>\n");
    tree.branch().for_each(|one| message(page, one));
}

fn message(page: &mut String, message: &Message) {
    let class = if message.role == Role::User { "user" } else { "model" };
    let author = escaped(markdown::author(message));
    let _ = writeln!(page, "<article class=\"{class}\">\n<p class=\"author\">{author}</p>");
    for attachment in &message.attachments {
        let (name, text) = (escaped(&attachment.name), escaped(&attachment.text));
        let _ = writeln!(page, "<details><summary>{name}</summary><pre><code>{text}</code></pre></details>");
    }
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_FOOTNOTES;
    html::push_html(page, Parser::new_ext(&message.text, options).map(harmless));
    page.push_str("</article>\n");
}

/// Shows HTML as text, replaces pictures by their descriptions, and takes the address from unsafe links.
fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        // Opening the page must not tell anyone that it was opened.
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if is_safe(&dest_url) { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        event => event,
    }
}

/// Whether following a link can only open a page or write a mail.
fn is_safe(link: &str) -> bool {
    let scheme = link.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_none_or(|scheme| ["http", "https", "mailto"].contains(&scheme.as_str()))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chats::{Attachment, Chat, Status};

    fn page_of(title: &str, text: &str) -> String {
        let mut question = Message::new(None, Role::User, "Look", Status::Done);
        question.attachments.push(Attachment::new("<b>.html", "</code></pre><script>attached()</script>"));
        let mut reply = Message::new(Some(question.id), Role::Model, text, Status::Done);
        reply.created = question.created + 1;
        reply.model = Some("<i>gemma</i>".into());
        let chat = Chat { title: title.into(), system: "<system>".into(), ..Chat::new() };
        page(&[ArchivedChat { chat, messages: vec![question, reply] }])
    }

    #[test]
    fn markdown_is_rendered() {
        let page = page_of("Fruit", "**bold** and `code`\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\n- [x] done");
        for part in ["<title>Fruit</title>", "<strong>bold</strong>", "<code>code</code>", "<td>1</td>", "checkbox"] {
            assert!(page.contains(part), "{part} is missing from {page}");
        }
    }

    #[test]
    fn no_message_adds_markup_or_unsafe_links_to_the_page() {
        let hostile = "<script>inline()</script>\n\n<img src=x onerror=y()> a <b onclick=z()>b</b>\n\n\
                       [one](javascript:alert(1)) [two](JaVaScRiPt:alert(1)) [three](data:text/html,x) \
                       [four](https://example.org/\"onclick=\"x) ![a cat](https://example.org/cat.png)\n\n\
                       ```\"><script>\n</code></pre><script>code()</script>\n```\n";
        let page = page_of("</title><script>title()</script>", hostile).to_lowercase();
        for part in ["<script", "<img", "<b ", "javascript:", "data:", "<system>", "<i>", "cat.png", "\"onclick"] {
            assert!(!page.contains(part), "{part} is in {page}");
        }
        assert!(page.contains("<em>a cat</em>") && page.contains("&lt;script&gt;inline()"));
    }
}
