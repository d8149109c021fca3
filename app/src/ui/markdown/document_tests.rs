//! Tests of the tree of blocks.

use std::time::{Duration, Instant};

use super::super::inline::{Inline, Style};
use super::super::tree::Marker;
use super::*;

/// A page with every construct.
const PAGE: &str = "# A *head*

Some text of
two lines with **bold**, *slanted*, ~~gone~~, `code`, a [link](https://a.org \"t\"), <https://b.org>, https://c.org/x_y.
Hard\\
break, H<sub>2</sub>O, x<sup>2</sup>, <kbd>Ctrl</kbd>, <b>b</b>, a<br>b, Vec<T>, <user>, &amp; &copy; \\*star\\*.

Setext
---

- one
  - two
    - [ ] open
    - [x] done
- three

  its second paragraph

7. seven
8. eight

> quoted
> > twice
>
> [!NOTE] not an alert

> [!TIP]
> An alert.

Term
: Its definition.

```rust,ignore
fn main() {}
```

    indented \\(code\\)

| left | mid | right |
|:-----|:---:|------:|
| a | **b** | `c` |
| x<br>y | | z |

---

Inline $x^2$ and \\(y_1\\), costs $5 or $6, also $5-$10.

\\[
a
+ b
\\]

$$c$$

![a cat](https://d.org/cat.png) and ![](x.png)

See [the docs][d], [d], [missing] and a note[^1] but no[^2].

<details>
<summary>More <b>here</b></summary>

Hidden *text*.

</details>

<div align=\"center\">In a <em>box</em></div>

<!-- a comment -->

[d]: https://docs.org
[^1]: The note.
";

/// The tree of [`PAGE`].
const TREE: &str = include_str!("page.txt");

fn runs(text: &Inline) -> String {
    let names = [
        (Style::STRONG, "strong"),
        (Style::EMPHASIS, "em"),
        (Style::STRIKE, "strike"),
        (Style::CODE, "code"),
        (Style::SUB, "sub"),
        (Style::SUP, "sup"),
        (Style::UNDERLINE, "underline"),
        (Style::KEY, "key"),
        (Style::MARK, "mark"),
        (Style::WEAK, "weak"),
        (Style::FORMULA, "formula"),
        (Style::DISPLAY, "display"),
    ];
    let mut shown = String::new();
    for (content, run) in text.runs() {
        let mut tags: Vec<String> =
            names.iter().filter(|(style, _)| run.style.has(*style)).map(|(_, name)| (*name).to_owned()).collect();
        tags.extend(run.link.as_ref().map(|address| format!("to {address}")));
        let content = content.replace('\n', "\\n");
        shown += &if tags.is_empty() { content } else { format!("{{{}: {content}}}", tags.join(" ")) };
    }
    shown
}

fn show(node: &Node, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let mut line = |text: String| *out += &format!("{indent}{text}\n");
    let children: &[Node] = match node {
        Node::Paragraph(text) => return line(format!("paragraph {}", runs(text))),
        Node::Heading(level, text) => return line(format!("heading {level} {}", runs(text))),
        Node::Rule => return line("rule".into()),
        Node::Term(text) => return line(format!("term {}", runs(text))),
        Node::Code(code) => {
            return line(format!("code {:?} {:?} {:?}", code.language, &*code.text, code.part));
        }
        Node::Table(table) => {
            let alignments: Vec<_> = table.columns.iter().map(|column| column.alignment).collect();
            line(format!("table {alignments:?}"));
            for row in std::iter::once(&table.header).chain(&table.rows) {
                line(format!("  {}", row.iter().map(runs).collect::<Vec<_>>().join(" | ")));
            }
            return;
        }
        Node::List(items) => {
            line("list".into());
            for item in items {
                let marker = match item.marker {
                    Marker::Bullet => "*".to_owned(),
                    Marker::Number(number) => format!("{number}."),
                    Marker::Task(done) => format!("[{}]", if done { "x" } else { " " }),
                    Marker::Continued => "...".to_owned(),
                };
                *out += &format!("{indent}  {marker}\n");
                item.nodes.iter().for_each(|node| show(node, depth + 2, out));
            }
            return;
        }
        Node::Quote(nodes) => {
            line("quote".into());
            nodes
        }
        Node::Definition(nodes) => {
            line("definition".into());
            nodes
        }
        Node::Footnote(label, nodes) => {
            line(format!("footnote {label}"));
            nodes
        }
        Node::Details(summary, nodes) => {
            line(format!("details {}", runs(summary)));
            nodes
        }
    };
    children.iter().for_each(|child| show(child, depth + 1, out));
}

fn shown(document: &Document) -> String {
    let mut out = String::new();
    document.blocks().iter().for_each(|block| show(block.node(), 0, &mut out));
    out
}

fn whole(text: &str) -> Document {
    let mut document = Document::default();
    document.update(text);
    document
}

#[test]
fn a_page_has_the_expected_tree() {
    let tree = shown(&whole(PAGE));
    assert_eq!(tree, TREE, "the tree is now:\n{tree}");
}

#[test]
fn growing_text_has_the_same_tree_as_the_whole_at_each_byte() {
    let tricky = "[a] and [b].\n\n[^n] too.\n\n- x\n\n\n- y\n\n      z\n\ntext\n\n[a]: https://a.org\n[A]: https://c.org\n\n<details>\n\n\
        one\n\ntwo\n\n</details>\n\nend [a]\n\n[b]: https://b.org 'title'\n\n[^n]: note\n\n    more\n\nlast [b] \\[x\\] é\n\n```\n\n\
        a\n\n```\n\n1. a\n\n   ```\n   b\n\n   c\n   ```\n\n2. d\n\n| a |\n|---|\n| b |\n\nc\n===\n\n<pre>\n\nx\n\n</pre>\n\nt\n\n: def\n";
    for text in [PAGE, tricky] {
        let mut growing = Document::default();
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            growing.update(&text[..end]);
            assert_eq!(shown(&growing), shown(&whole(&text[..end])), "at {end}, after {:?}", &text[..end]);
        }
    }
}

#[test]
fn another_text_of_the_same_message_is_parsed_from_the_start() {
    let mut document = whole(PAGE);
    document.update("short");
    assert_eq!(shown(&document), "paragraph short\n");
    // Also one of equal length that ends alike.
    document.update("ahort");
    assert_eq!(shown(&document), "paragraph ahort\n");
    document.update("");
    assert!(document.blocks().is_empty());
}

#[test]
fn only_the_last_blocks_of_a_growing_text_are_new() {
    let start = PAGE.repeat(3);
    let mut document = whole(&start);
    let places = |document: &Document| -> Vec<*const Node> {
        document.blocks().iter().map(|block| &raw const *block.node).collect()
    };
    let before = places(&document);
    document.update(&format!("{start}more"));
    let kept = places(&document).iter().zip(&before).filter(|(new, old)| new == old).count();
    assert!(kept + 6 > before.len(), "{kept} of {}", before.len());
}

/// The text of all blocks.
fn all_text(document: &Document) -> usize {
    fn bytes(node: &Node) -> usize {
        match node {
            Node::Paragraph(text) | Node::Heading(_, text) | Node::Term(text) => text.text().len(),
            Node::Rule => 0,
            Node::Code(code) => code.part.len(),
            Node::Quote(nodes) | Node::Definition(nodes) | Node::Footnote(_, nodes) => nodes.iter().map(bytes).sum(),
            Node::Details(summary, nodes) => summary.text().len() + nodes.iter().map(bytes).sum::<usize>(),
            Node::List(items) => items.iter().flat_map(|item| &item.nodes).map(bytes).sum(),
            Node::Table(table) => {
                table.header.iter().chain(table.rows.iter().flatten()).map(|cell| cell.text().len()).sum()
            }
        }
    }
    document.blocks().iter().map(|block| bytes(block.node())).sum()
}

#[test]
fn hostile_texts_are_parsed_in_bounded_time_and_small_parts() {
    let table = |columns: usize, rows: usize| {
        let row = |cell: &str| format!("|{}\n", format!("{cell}|").repeat(columns));
        format!("{}{}{}", row("a"), row("-"), row("b").repeat(rows))
    };
    let many = 100_000;
    let texts = [
        ("a line", "word ".repeat(1 << 18), 1 << 20),
        ("a line without spaces", "x".repeat(1 << 20), 1 << 20),
        ("a line of code", format!("```\n{}\n```", "x".repeat(1 << 20)), 1 << 20),
        ("quotes", format!("{} deep", ">".repeat(10_000)), 4),
        ("lines of quotes", format!("{} deep\n", ">".repeat(1000)).repeat(200), 4 * 200),
        ("lists", (0..500).map(|depth| format!("{}- a\n", "  ".repeat(depth))).collect(), 500),
        ("items", "- an item\n".repeat(many), 7 * many),
        ("rows", table(5, many / 5), many),
        ("columns", table(many / 4, 3), many),
        ("columns and no cells", format!("{}|b|\n", table(2000, 0)).to_string() + &"|b|\n".repeat(20_000), 20_000),
        ("emphasis", "*a **b ".repeat(many), many),
        ("brackets", "[".repeat(many), many),
        ("links", "[a](".repeat(many), many),
        ("references", "[a] ".repeat(many), many),
        ("an address before brackets", format!("http://{}", ")".repeat(many)), many),
        ("formulas", "\\(".repeat(many), many / 2),
        ("dollars", "$$ a ".repeat(many), many / 2),
        ("backticks", (1..1400).map(|count| format!("{} ", "`".repeat(count))).collect(), many),
        ("elements", "<details>".repeat(many), 0),
        ("tags", "<a".repeat(many), many),
        ("comments", "<!-- ".repeat(many), 0),
        ("notes", (0..many / 10).map(|n| format!("[^{n}] ")).collect(), many / 10),
        ("definitions", (0..many / 10).map(|n| format!("[a{n}]: https://a.org\n")).collect(), 0),
        ("paragraphs", "a\n\n".repeat(many), many),
    ];
    for (name, text, least) in texts {
        let begun = Instant::now();
        let document = whole(&text);
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(5), "{name}: {taken:?}");
        let bytes = all_text(&document);
        assert!(bytes >= least, "{name}: {bytes} bytes of {least} are left");
        let highest = document.blocks().iter().map(|block| block.estimated_height(700.0)).fold(0.0, f32::max);
        assert!(highest < 10_000.0, "{name}: a block of {highest} points");
    }
}

#[test]
fn a_long_reply_grows_quickly() {
    let text = PAGE.repeat(400);
    let mut document = whole(&text[..text.len() - 20_000]);
    let begun = Instant::now();
    let mut steps = 0;
    for end in (text.len() - 20_000..text.len()).step_by(97).filter(|end| text.is_char_boundary(*end)) {
        document.update(&text[..end]);
        steps += 1;
    }
    let each = begun.elapsed() / steps;
    assert!(each < Duration::from_millis(20), "{each:?} for a token");
}
