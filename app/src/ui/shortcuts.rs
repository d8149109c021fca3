//! The page of keyboard shortcuts.

use egui::Context;

/// Keys, and what they do. `Ctrl` is Cmd on a Mac.
const SHORTCUTS: &[(&str, &str)] = &[
    ("Enter", "Send a message or an edited one"),
    ("Shift+Enter", "New line"),
    ("Esc", "Stop the reply, or close what is open"),
    ("Up", "Edit the last message, if the draft is empty"),
    ("Ctrl+Enter", "Save an edited reply"),
    ("Ctrl+N", "New chat"),
    ("Ctrl+F", "Search"),
    ("Ctrl+O", "Open a model"),
    ("Ctrl+M", "Models"),
    ("Ctrl+,", "Settings"),
    ("Ctrl+E", "Export this chat"),
    ("Ctrl+B", "Show or hide the list of chats"),
    ("Ctrl++  Ctrl+-  Ctrl+0", "Larger, smaller, normal size"),
    ("Ctrl+Q", "Quit"),
    ("PageUp  PageDown", "A page up, a page down"),
    ("Ctrl+Home  Ctrl+End", "To the first message, to the last"),
    ("Tab  Shift+Tab", "To the next control, to the one before"),
    ("F1  Ctrl+/", "This sheet"),
];

/// Draws the page. Returns whether it should be closed.
pub(super) fn sheet(ctx: &Context) -> bool {
    let mac = ctx.os() == egui::os::OperatingSystem::Mac;
    super::sheet(ctx, "Shortcuts", |ui| {
        egui::Grid::new("shortcuts").num_columns(2).spacing([16.0, 2.0]).show(ui, |ui| {
            for (keys, what) in SHORTCUTS {
                let keys = if mac { keys.replace("Ctrl", "Cmd") } else { (*keys).to_owned() };
                ui.strong(keys);
                ui.label(*what);
                ui.end_row();
            }
        });
    })
}
