//! Searching all chats, and finding text in the open one.

use egui::{Key, Modifiers};
use lapidary_app::chats::Hit;

use crate::script::Window;

fn hits(window: &mut Window, text: &str) -> Vec<Hit> {
    window.harness.state_mut().state.search_for(text);
    window.until("it is searched", |app| app.state.search.hits.is_some());
    window.harness.state().state.search.hits.clone().unwrap()
}

fn marked(hit: &Hit) -> Vec<&str> {
    hit.ranges.iter().map(|range| &hit.excerpt[range.clone()]).collect()
}

#[test]
fn hits_are_grouped_by_chat_and_mark_the_words() {
    let mut window = Window::new();
    window.exchange("Tell me of quinces", "A Quince is a fruit.");
    let first = window.harness.state().state.open_id();
    window.key(Modifiers::COMMAND, Key::N);
    window.exchange("Another fruit", "A quince again, and a pear.");
    let second = window.harness.state().state.open_id();
    let found = hits(&mut window, "quince");
    // The chat whose title matches comes first, with all of its hits.
    assert_eq!(found.iter().map(|hit| hit.chat).collect::<Vec<_>>(), [first, first, first, second]);
    assert!(found[0].message.is_none() && found[1].message.is_some());
    assert!(found.iter().all(|hit| marked(hit).iter().all(|word| word.eq_ignore_ascii_case("quince"))));
    let found = hits(&mut window, "PEAR quin");
    assert_eq!((found.len(), marked(&found[0])), (1, vec!["quin", "pear"]));
    assert!(hits(&mut window, "\"pear quince\"").is_empty());
    // Words of one and two letters are found as well.
    let found = hits(&mut window, "is");
    assert_eq!((found.len(), marked(&found[0])), (1, vec!["is"]));
    assert_eq!(hits(&mut window, "is fruit").len(), 1);
}

#[test]
fn text_is_found_on_the_open_branch_only() {
    let mut window = Window::new();
    window.exchange("A pear?", "A Pear, a PEAR.");
    window.press("Regenerate");
    window.until("there is another", |app| app.state.reply().is_none());
    let state = &mut window.harness.state_mut().state;
    let path = state.tree().unwrap().path().to_vec();
    let found = state.find_in_chat("pear");
    assert_eq!(found.iter().map(|found| found.message).collect::<Vec<_>>(), [path[0]]);
    state.show_sibling(path[1], -1);
    let ranges: Vec<_> = state.find_in_chat("PEAR").into_iter().map(|found| found.range).collect();
    assert_eq!(ranges, [2..6, 2..6, 10..14]);
    assert!(state.find_in_chat("").is_empty());
}
