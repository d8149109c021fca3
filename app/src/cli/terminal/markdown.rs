//! Markdown as lines for a terminal. Without styles, the marks of emphasis and code stay in the text.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::style::{Span, Style};
use super::table::Table;
use super::wrap::{push, width, wrap};

/// The deepest nesting of lists and quotes that is indented; deeper ones would leave no room for text.
const MAX_DEPTH: usize = 12;

pub(super) fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS)
}

/// Markdown as lines of at most `columns`, except for lines of code, which the terminal breaks so that they can be copied.
pub(crate) fn render(text: &str, columns: usize, styled: bool) -> Vec<String> {
    let mut page = Page { columns, styled, ..Page::default() };
    for event in parser(text) {
        page.event(event);
    }
    page.end_block();
    page.lines
}

#[derive(Default)]
struct Page {
    lines: Vec<String>,
    columns: usize,
    styled: bool,
    /// What stands before the lines of the open lists and quotes.
    margins: Vec<Margin>,
    /// The number of the next item of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    /// The text of the present block.
    spans: Vec<Span>,
    style: Style,
    /// The styles outside the open emphasis, links and headings.
    outer: Vec<Style>,
    /// The targets of the open links and pictures.
    targets: Vec<String>,
    /// Whether a blank line goes before the next block.
    gap: bool,
    code: Option<String>,
    table: Option<Table>,
}

/// The margin of a list item or a quote.
struct Margin {
    first: String,
    rest: String,
    begun: bool,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.text(&text),
            },
            Event::Code(text) => {
                let style = Style { code: true, ..self.style };
                let text = if self.styled { text.into_string() } else { format!("`{text}`") };
                push(&mut self.spans, &text, style);
            }
            Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
            Event::InlineHtml(tag) if is_break(&tag) => self.text("\n"),
            Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::FootnoteReference(name) => self.text(&format!("[{name}]")),
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.text("\n"),
            Event::Rule => {
                self.begin_block();
                let length = self.room().min(40);
                self.line(&[Span::new("─".repeat(length), Style { dim: true, ..Style::default() })]);
                self.gap = true;
            }
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock | Tag::DefinitionListTitle => self.begin_block(),
            Tag::Heading { level, .. } => {
                self.begin_block();
                if !self.styled {
                    self.text(&format!("{} ", "#".repeat(level as usize)));
                }
                self.enter(Style { bold: true, underlined: level == HeadingLevel::H1, ..self.style });
            }
            Tag::BlockQuote(_) => {
                self.begin_block();
                let mark = Style { dim: true, ..Style::default() }.paint("│ ", self.styled);
                self.margins.push(Margin { first: mark.clone(), rest: mark, begun: false });
            }
            Tag::CodeBlock(kind) => {
                self.begin_block();
                self.code = Some(String::new());
                if !self.styled {
                    let language = if let CodeBlockKind::Fenced(name) = &kind { name.as_ref() } else { "" };
                    self.line(&[Span::new(format!("```{language}"), Style::default())]);
                }
            }
            Tag::List(number) => {
                // Text of the item that the list is in.
                self.flush();
                if self.lists.is_empty() {
                    self.begin_block();
                }
                self.gap = false;
                self.lists.push(number);
            }
            Tag::Item => {
                self.gap = false;
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "• ".to_owned(),
                };
                let rest = " ".repeat(width(&mark));
                self.margins.push(Margin { first: mark, rest, begun: false });
            }
            Tag::Table(alignments) => {
                self.begin_block();
                self.table = Some(Table { alignments, rows: Vec::new() });
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::Emphasis => self.emphasize("*", Style { italic: true, ..self.style }),
            Tag::Strong => self.emphasize("**", Style { bold: true, ..self.style }),
            Tag::Strikethrough => self.emphasize("~~", Style { struck: true, ..self.style }),
            Tag::Link { dest_url, .. } => {
                self.targets.push(dest_url.into_string());
                self.enter(Style { underlined: true, ..self.style });
            }
            Tag::Image { dest_url, .. } => {
                self.targets.push(dest_url.into_string());
                self.text("[picture: ");
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock | TagEnd::DefinitionListTitle => self.end_block(),
            TagEnd::Heading(_) => {
                self.leave();
                self.end_block();
            }
            TagEnd::BlockQuote(_) => {
                self.end_block();
                self.margins.pop();
                self.gap = true;
            }
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::List(_) => {
                self.lists.pop();
                self.gap = self.lists.is_empty();
            }
            TagEnd::Item => {
                self.flush();
                // An empty item still has its mark.
                if self.margins.last().is_some_and(|margin| !margin.begun) {
                    self.line(&[]);
                }
                self.margins.pop();
                self.gap = false;
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.spans);
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    table.lines(self.room()).iter().for_each(|line| self.line(line));
                }
                self.gap = true;
            }
            TagEnd::Emphasis => self.end_emphasis("*"),
            TagEnd::Strong => self.end_emphasis("**"),
            TagEnd::Strikethrough => self.end_emphasis("~~"),
            TagEnd::Link => {
                self.leave();
                let target = self.targets.pop().unwrap_or_default();
                let shown: String = self.spans.iter().map(|span| span.text.as_str()).collect();
                if !target.is_empty() && !shown.ends_with(target.trim_start_matches("mailto:")) {
                    self.text(&format!(" ({target})"));
                }
            }
            TagEnd::Image => {
                self.targets.pop();
                self.text("]");
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        push(&mut self.spans, text, self.style);
    }

    fn enter(&mut self, style: Style) {
        self.outer.push(self.style);
        self.style = style;
    }

    fn leave(&mut self) {
        self.style = self.outer.pop().unwrap_or_default();
    }

    fn emphasize(&mut self, mark: &str, style: Style) {
        if !self.styled {
            self.text(mark);
        }
        self.enter(style);
    }

    fn end_emphasis(&mut self, mark: &str) {
        self.leave();
        if !self.styled {
            self.text(mark);
        }
    }

    /// Begins a block, below the text of the item that it is in.
    fn begin_block(&mut self) {
        self.flush();
        if std::mem::take(&mut self.gap) && !self.lines.is_empty() {
            let margin: String = self.margins.iter().take(MAX_DEPTH).map(|margin| margin.rest.as_str()).collect();
            self.lines.push(trim_end(margin));
        }
    }

    fn end_block(&mut self) {
        self.flush();
        self.gap = true;
    }

    /// Prints the text of the present block, if it has any.
    fn flush(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        if spans.iter().all(|span| span.text.trim().is_empty()) {
            return;
        }
        wrap(&spans, self.room()).iter().for_each(|line| self.line(line));
    }

    fn end_code(&mut self) {
        let code = self.code.take().unwrap_or_default();
        let style = Style { code: true, ..Style::default() };
        let indent = if self.styled { "  " } else { "" };
        for line in code.trim_end_matches('\n').split('\n') {
            self.line(&[Span::new(indent, Style::default()), Span::new(line.replace('\t', "    "), style)]);
        }
        if !self.styled {
            self.line(&[Span::new("```", Style::default())]);
        }
        self.gap = true;
    }

    /// Columns for text inside the open margins.
    fn room(&self) -> usize {
        let margins = self.margins.iter().take(MAX_DEPTH).map(|margin| margin_width(&margin.rest)).sum::<usize>();
        self.columns.saturating_sub(margins).max(8)
    }

    fn line(&mut self, spans: &[Span]) {
        let mut line = String::new();
        for margin in self.margins.iter_mut().take(MAX_DEPTH) {
            line.push_str(if std::mem::replace(&mut margin.begun, true) { &margin.rest } else { &margin.first });
        }
        for span in spans {
            line.push_str(&span.style.paint(&span.text, self.styled));
        }
        self.lines.push(line);
    }
}

/// Columns of a margin, which is spaces or the mark of a quote.
fn margin_width(margin: &str) -> usize {
    if margin.contains('│') { 2 } else { width(margin) }
}

fn trim_end(mut line: String) -> String {
    line.truncate(line.trim_end().len());
    line
}

fn is_break(tag: &str) -> bool {
    let tag = tag.to_lowercase();
    tag.strip_prefix("<br").is_some_and(|rest| rest.trim_start_matches([' ', '/']) == ">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shows(markdown: &str, columns: usize, expected: &[&str]) {
        assert_eq!(render(markdown, columns, false), expected);
    }

    #[test]
    fn paragraphs_are_wrapped_and_separated() {
        shows("one two three\nfour\n\nfive", 9, &["one two", "three", "four", "", "five"]);
        shows("a<br>b  \nc", 20, &["a", "b", "c"]);
        shows("", 20, &[]);
    }

    #[test]
    fn lists_are_indented_under_their_marks() {
        shows(
            "- a\n- b b b b b\n  1. c\n  2. d\n\nend",
            10,
            &["• a", "• b b b b", "  b", "  1. c", "  2. d", "", "end"],
        );
        shows("9. x\n10. y\n\n    z", 20, &["9. x", "10. y", "", "    z"]);
        shows("- [x] done\n- [ ] open\n-", 20, &["• [x] done", "• [ ] open", "• "]);
    }

    #[test]
    fn headings_quotes_rules_and_code_keep_their_marks_without_styles() {
        shows("# Title\ntext", 20, &["# Title", "", "text"]);
        shows("> a\n>\n> b", 20, &["│ a", "│", "│ b"]);
        shows("a **b** *c* `d` ~~e~~", 40, &["a **b** *c* `d` ~~e~~"]);
        shows(
            "```rust\nlet x = 1;\n\n\tlong line of code\n```",
            8,
            &["```rust", "let x = 1;", "", "    long line of code", "```"],
        );
        shows("a\n\n---\n\nb", 3, &["a", "", "────────", "", "b"]);
    }

    #[test]
    fn links_show_where_they_lead() {
        shows("[docs](https://a.b) and <https://c.d>", 60, &["docs (https://a.b) and https://c.d"]);
        shows("![a cat](cat.png)", 60, &["[picture: a cat]"]);
    }

    #[test]
    fn styled_text_has_sequences_and_no_marks() {
        let lines = render("# T\n**b** `c`", 40, true);
        assert_eq!(lines, ["\x1b[1;4mT\x1b[0m", "", "\x1b[1mb\x1b[0m \x1b[36mc\x1b[0m"]);
    }

    #[test]
    fn tables_fit_their_columns() {
        let table = "| name | n |\n|:--|--:|\n| apple | 1 |\n| a very long fruit | 20 |";
        shows(
            table,
            40,
            &["name              │  n", "──────────────────┼───", "apple             │  1", "a very long fruit │ 20"],
        );
        let narrow = render(table, 16, false);
        assert!(narrow.iter().all(|line| width(line) <= 16), "{narrow:?}");
        assert!(narrow.iter().any(|line| line.starts_with("a very long")), "{narrow:?}");
    }

    #[test]
    fn deep_nesting_and_endless_lines_are_survived() {
        let deep = ">".repeat(5_000) + " text";
        assert!(render(&deep, 40, true).iter().any(|line| line.contains("text")));
        let long = "word ".repeat(100_000);
        assert!(render(&long, 80, true).iter().all(|line| width(line) <= 80));
    }
}
