//! What is stored on this machine, and what leaves it.

use egui::{RichText, Ui};

use crate::ui::kit;

/// Draws the page.
pub(super) fn page(ui: &mut Ui) {
    ui.add_space(8.0);
    ui.label("Everything runs on this machine: the model, the chats, the search. Only if you connect to a server, its model answers.");
    kit::section(ui, "What goes over the network");
    ui.label(
        "Nothing, until you search for a model or download one on the page of models. Then these hosts are contacted:",
    );
    for host in crate::hub::HOSTS {
        ui.label(RichText::new(host.name).monospace());
        kit::hint(ui, host.when);
    }
    kit::hint(ui, "The variable HF_ENDPOINT puts another hub in place of the first.");
    ui.label("A server that you connect to");
    kit::hint(
        ui,
        "While a model of a server answers, the server gets the whole chat with every message: the system prompt, attachments and \
         earlier replies too. It gets the key that you gave for it, which no other host gets, and redirects are not followed. Each \
         of its replies is marked with the model and the host.",
    );
    ui.label("Programs on this machine");
    kit::hint(
        ui,
        "While Other programs is on in these settings, programs on this machine can use the model, but see no chats. Requests from \
         other machines and from web pages are refused.",
    );
    ui.label("Links in a reply open in your browser when you click them. Pictures in a reply are not loaded.");
    ui.label("When a reply ends while the window is in the background, the desktop is told the title of the chat, unless you turn that off in General.");
    kit::section(ui, "What is kept");
    if let Some(folder) = crate::data_folder::data_folder() {
        ui.label("Chats, folders, prompts and settings, in a file of this folder:");
        ui.label(RichText::new(folder.display().to_string()).monospace());
        ui.label(
            "The keys of servers that you connected to and your token for the hub are in the system's key store. Where there is \
             none, they are in another file there that only you can read.",
        );
    }
}
