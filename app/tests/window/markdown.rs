//! The Markdown of replies, found by its accessibility labels.

use egui::{OutputCommand, Role};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::script::Window;

const REPLY: &str = "## A heading

Some **bold text**, and [a link](https://example.org/page) in the middle of a paragraph that is long enough to be broken \
    into several lines, so that the link has to be found in the middle of a layout of many words.

1. first
2. second
   - [x] a task

| Size | Memory |
|:-----|-------:|
| 2B<br>small | **2.7 GB** |

```python
def f(x):
    return x + 1
```

<details><summary>A secret</summary>

What was hidden.

</details>

The cap is \\(50 \\tanh(x / 50)\\), see [the docs][d].

![a cat](https://example.org/cat.png)

[d]: https://example.org/docs
";

/// The copied texts and opened addresses of the next frame.
fn outputs(window: &mut Window) -> Vec<String> {
    window.harness.step();
    let output = window.harness.output();
    let text = |command: &OutputCommand| match command {
        OutputCommand::CopyText(text) => Some(text.clone()),
        OutputCommand::OpenUrl(address) => Some(address.url.clone()),
        _ => None,
    };
    output.platform_output.commands.iter().filter_map(text).collect()
}

#[test]
fn every_construct_is_read_by_its_text() {
    let mut window = Window::new();
    window.exchange("Show me", REPLY);
    for text in [
        "A heading",
        "Some bold text, and a link in the middle",
        "first",
        "2.",
        "a task",
        "done:",
        "Memory",
        "2.7 GB",
        "python",
        "return x + 1",
        "The cap is $50 \\tanh(x / 50)$",
        "a cat (picture not loaded)",
    ] {
        assert!(window.shows(text), "{text}");
    }
    let heading = window.harness.get_by_label("A heading");
    assert_eq!((heading.accesskit_node().role(), heading.accesskit_node().level()), (Role::Heading, Some(2)));
    assert!(!window.shows("**") && !window.shows("[d]") && !window.shows("<br>"), "Markdown is shown as it is");
}

#[test]
fn a_click_on_a_link_opens_its_address_and_nothing_else_does() {
    let mut window = Window::new();
    window.exchange("Show me", REPLY);
    for (link, address) in [("a link", "https://example.org/page"), ("the docs", "https://example.org/docs")] {
        let node = window.harness.get_by_role_and_label(Role::Link, link);
        node.click();
        assert_eq!(outputs(&mut window), [address]);
        window.settle();
    }
    assert_eq!(window.harness.query_all_by_role(Role::Link).count(), 3, "the picture's name is a link too");
}

#[test]
fn text_from_right_to_left_is_read_and_clicked_as_any_other() {
    let mut window = Window::new();
    let reply = "# כותרת\n\nשלום `f(x)` ואז [המאמר](https://example.org/he) בסוף.\n\n1. אחת\n\n| א | ב |\n|---|---|\n| ג | ד |\n";
    window.exchange("מה זה?", reply);
    assert!(window.shows("מה זה?") && window.shows("כותרת") && window.shows("שלום f(x) ואז המאמר בסוף."));
    window.harness.get_by_role_and_label(Role::Link, "המאמר").click();
    assert_eq!(outputs(&mut window), ["https://example.org/he"]);
    let left = |label: &str| window.harness.get_by_label(label).rect().left();
    assert!(left("א") > left("ב") && left("ג") > left("ד"), "the columns begin at the right");
    assert!(left(".1") > left("אחת"), "and so does the list");
}

#[test]
fn code_is_copied_and_wrapped_by_its_buttons() {
    let mut window = Window::new();
    window.exchange("Show me", REPLY);
    window.harness.get_by_label("Copy code").click();
    assert_eq!(outputs(&mut window), ["def f(x):\n    return x + 1"]);
    window.press("Wrap lines");
    window.until("the code has its colours", |app| !app.is_highlighting());
}

#[test]
fn details_open_at_a_click() {
    let mut window = Window::new();
    window.exchange("Show me", REPLY);
    assert!(!window.shows("What was hidden."));
    window.press("A secret");
    assert!(window.shows("What was hidden."));
}

#[test]
fn a_huge_reply_does_not_stop_the_window() {
    let replies = [
        "word ".repeat(1 << 18),
        format!("{} deep", ">".repeat(10_000)),
        format!("|a|b|\n|-|-|\n{}", "|c|d|\n".repeat(50_000)),
        format!("```rust\n{}\n```", "let x = 1; ".repeat(1 << 16)),
        format!("> {}", "- an item\n> ".repeat(20_000)),
    ];
    let mut window = Window::new();
    for reply in replies {
        let begun = std::time::Instant::now();
        window.exchange("Much", &reply);
        window.key(egui::Modifiers::COMMAND, egui::Key::Home);
        window.key(egui::Modifiers::COMMAND, egui::Key::End);
        let taken = begun.elapsed();
        assert!(taken.as_secs_f64() < 20.0, "{:?} took {taken:?}", &reply[..10]);
    }
}
