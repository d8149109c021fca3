//! In place of `ui::settings::privacy`: what a page keeps, and what leaves it.

use egui::Ui;

use crate::page::storage;
use crate::size::size;
use crate::ui::kit;

/// Draws the page.
pub(super) fn page(ui: &mut Ui) {
    ui.add_space(8.0);
    ui.label("Everything runs in this browser: the model, the chats, the search.");
    kit::section(ui, "What goes over the network");
    ui.label("This page itself and the guide, which come from where the page is. No message is sent anywhere.");
    ui.label(
        "When you download a model, the Hugging Face hub (huggingface.co) and the hosts from which it sends large files learn which \
         model, and your address. Nothing is asked of them before.",
    );
    ui.label("Links in a reply open in another tab when you click them. Pictures in a reply are not loaded.");
    kit::section(ui, "What is kept");
    ui.label(
        "Chats, folders, prompts and settings, in the browser's own database for this address. They are gone if you delete the browser's data of \
         this address, so export the chats that you want to keep.",
    );
    ui.label(
        "Models that you download, in the browser's file system for this address, until you delete them on the page of models; and \
         that you accepted Gemma's terms.",
    );
    ui.label(
        "Which kernels are fastest, as measured on your GPU, with the GPU's name and the browser's version, in the browser's cache for \
         this address.",
    );
    if let Some(kept) = storage::kept(ui.ctx()) {
        let (bytes, most) = (size(kept.bytes), size(kept.most));
        ui.label(format!("All this is {bytes}, with the page itself and the guide. The browser allows {most}."));
        ui.label(match kept.for_good {
            true => "The browser does not delete it by itself.",
            false => "Where the disk has no space left, the browser may delete it by itself.",
        });
    }
    ui.label("Models of your own disk are read from there and not copied.");
}
