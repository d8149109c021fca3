//! Attachments: from files, by pasting, in prompts, in exports.

use lapidary_app::state::{LONG_PASTE, MAX_ATTACHMENTS};

use crate::script::{Window, model, user};

#[test]
fn attached_files_are_sent_before_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.sqlite");
    let note = folder.path().join("note.rs");
    std::fs::write(&note, "fn main() {}\n").unwrap();
    {
        let mut window = Window::over(Some(file.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        window.harness.state_mut().state.attach(note.clone());
        window.settle();
        window.exchange("Explain this.", "It does nothing.");
        assert_eq!(window.last_turns(), [user("note.rs:\n```rs\nfn main() {}\n```\n\nExplain this.")]);
        assert!(window.harness.state().state.attachments().is_empty());
        // Without a text the attachment is the message, and its name the title.
        window.harness.state_mut().state.new_chat();
        window.harness.state_mut().state.attach(note);
        window.settle();
        window.harness.state_mut().state.send();
        window.until("the reply ends", |app| app.state.reply().is_none());
        assert!(window.shows("note.rs"));
    }
    let mut window = Window::over(Some(file));
    window.press("Explain this.");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    window.exchange("Go on", "No");
    let first = user("note.rs:\n```rs\nfn main() {}\n```\n\nExplain this.");
    assert_eq!(window.last_turns(), [first, model("It does nothing."), user("Go on")]);
}

#[test]
fn the_attachments_of_a_draft_are_restored_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chats.sqlite");
    {
        let mut window = Window::over(Some(file.clone()));
        window.until("it is open", |app| app.state.opened.is_some());
        let state = &mut window.harness.state_mut().state;
        assert!(state.attach_text("a.txt", "one".into()) && state.attach_text("b.txt", "two".into()));
        state.remove_attachment(0);
        state.remove_attachment(5);
    }
    let mut window = Window::over(Some(file));
    window.until("it is open", |app| app.state.opened.is_some());
    let state = &mut window.harness.state_mut().state;
    let names: Vec<_> = state.attachments().iter().map(|file| (file.name.clone(), file.text.clone())).collect();
    assert_eq!(names, [("b.txt".to_owned(), "two".to_owned())]);
    assert!(state.can_send());
}

#[test]
fn long_pasted_text_is_attached() {
    let mut window = Window::new();
    let state = &mut window.harness.state_mut().state;
    assert!(!state.paste(&"ä".repeat(LONG_PASTE)) && state.attachments().is_empty());
    assert!(state.paste(&"ä".repeat(LONG_PASTE + 1)) && state.paste(&"b ".repeat(LONG_PASTE)));
    let names: Vec<_> = state.attachments().iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["Pasted text", "Pasted text 2"]);
}

#[test]
fn the_tokens_of_attachments_are_known_before_sending() {
    let mut window = Window::new();
    window.until("it is counted", |app| app.state.loaded().is_some());
    let state = &mut window.harness.state_mut().state;
    state.attach_text("a.txt", "one two three four".into());
    let id = state.attachments()[0].id;
    window.until("it is counted", |app| app.state.attachment_tokens(id) == Some(4));
    let meter = window.harness.state_mut().state.meter().unwrap();
    assert!(meter.draft > 4 && meter.used > meter.draft);
}

#[test]
fn too_many_or_too_long_attachments_are_refused_with_a_notice() {
    let mut window = Window::new();
    let state = &mut window.harness.state_mut().state;
    for number in 0..MAX_ATTACHMENTS {
        assert!(state.attach_text(&format!("{number}.txt"), "short".into()));
    }
    assert!(!state.attach_text("more.txt", "short".into()));
    while !state.attachments().is_empty() {
        state.remove_attachment(0);
    }
    assert!(!state.attach_text("long.txt", "a".repeat(5 << 20)));
    let folder = tempfile::tempdir().unwrap();
    state.attach(folder.path().join("gone.txt"));
    window.sees("A message can have 20 attachments at most");
    window.sees("long.txt is too long");
    window.sees("gone.txt cannot be read");
}

#[test]
fn exports_contain_attachments() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::new();
    window.harness.state_mut().state.attach_text("a.txt", "attached <text>".into());
    window.exchange("Look", "Yes");
    for (name, expected) in [("a.md", "a.txt:\n```txt\nattached <text>\n```"), ("a.html", "attached &lt;text&gt;")] {
        let path = folder.path().join(name);
        window.harness.state_mut().state.export(false, path.clone(), false);
        window.until("it is written", |_| path.exists());
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(expected), "{text}");
    }
    let json = folder.path().join("a.json");
    window.harness.state_mut().state.export(false, json.clone(), false);
    window.until("it is written", |_| json.exists());
    window.harness.state_mut().state.import(json);
    window.sees("One chat was imported.");
    window.until("it is read", |app| app.state.tree().is_some_and(|tree| tree.path().len() == 2));
    let state = &window.harness.state().state;
    let first = state.tree().unwrap().branch().next().unwrap().clone();
    assert_eq!(first.attachments[0].text, "attached <text>");
}

#[test]
fn an_edited_message_keeps_its_attachments() {
    let mut window = Window::new();
    window.harness.state_mut().state.attach_text("a.txt", "attached".into());
    window.exchange("Look", "Yes");
    let state = &mut window.harness.state_mut().state;
    let question = state.tree().unwrap().path()[0];
    state.edit(question);
    state.editing = Some((question, "Look again".into()));
    state.finish_edit();
    window.until("the reply ends", |app| app.state.reply().is_none());
    assert_eq!(window.last_turns(), [user("a.txt:\n```txt\nattached\n```\n\nLook again")]);
}
