//! The keyboard shortcuts.

use egui::Ui;

use crate::ui::kit;

/// Keys, and what they do. `Ctrl` is Cmd on a Mac.
const SHORTCUTS: &[(&str, &[(&str, &str)])] = &[
    (
        "Writing",
        &[
            ("Enter", "Send a message or an edited one"),
            ("Shift+Enter", "New line"),
            ("/", "Find a saved prompt, if the draft is empty"),
            ("Up", "Edit the last message, if the draft is empty"),
            ("Ctrl+Enter", "Save an edited reply"),
            ("Esc", "Stop the reply, or close what is open"),
            ("Ctrl+R", "Another reply to the last question"),
            ("Ctrl+Shift+C", "Copy the last reply"),
        ],
    ),
    (
        "Chats",
        &[
            ("Ctrl+N", "New chat"),
            ("Alt+Up  Alt+Down", "The chat above, the chat below"),
            ("Ctrl+K", "Go to a chat, a model or a command"),
            ("Ctrl+F", "Find in this chat"),
            ("Ctrl+Shift+F", "Search all chats"),
            ("Ctrl+E", "Export this chat"),
            ("Ctrl+B", "Show or hide the list of chats"),
            ("F2  Delete", "Rename the chat that has the focus, delete it"),
            (
                "Ctrl+click  Shift+click",
                "Select chats; Enter with the same keys does it for the one that has the focus",
            ),
        ],
    ),
    (
        "Moving",
        &[
            ("PageUp  PageDown", "A page up, a page down"),
            ("Ctrl+Home  Ctrl+End", "To the first message, to the last"),
            ("Tab  Shift+Tab", "To the next control, to the one before"),
        ],
    ),
    (
        "Window",
        &[
            ("Ctrl+O", "Open a model"),
            ("Ctrl+M", "Models"),
            ("Ctrl+,", "Settings"),
            ("Ctrl++  Ctrl+-  Ctrl+0", "Larger, smaller, normal size"),
            ("F1  Ctrl+/", "This page"),
            ("Ctrl+Q", "Quit"),
        ],
    ),
];

/// Draws the page.
pub(super) fn page(ui: &mut Ui) {
    let mac = ui.ctx().os() == egui::os::OperatingSystem::Mac;
    for (title, shortcuts) in SHORTCUTS {
        kit::section(ui, title);
        egui::Grid::new(title).num_columns(2).min_col_width(170.0).spacing([16.0, 4.0]).show(ui, |ui| {
            for (keys, what) in *shortcuts {
                let keys = if mac { keys.replace("Ctrl", "Cmd") } else { (*keys).to_owned() };
                ui.label(kit::medium(keys, 13.5));
                ui.label(*what);
                ui.end_row();
            }
        });
    }
}
