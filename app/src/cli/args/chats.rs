//! The arguments of `lapidary chats`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Chats {
    #[command(subcommand)]
    pub(crate) command: ChatsCommand,
}

#[derive(Subcommand)]
pub(crate) enum ChatsCommand {
    /// List the chats, the latest first
    List(ChatsList),
    /// Print the shown branch of a chat, as Markdown
    Show(ChatsShow),
    /// Write chats to a file
    Export(ChatsExport),
}

#[derive(Args)]
pub(crate) struct ChatsList {
    /// List the chats in the trash
    #[arg(long)]
    pub(crate) trash: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ChatsShow {
    /// Its number in the list, its id, or its title or a part of it
    pub(crate) chat: String,
    /// Print one JSON object with the messages of all branches
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ChatsExport {
    /// Chats by number, id or title [default: all that are not in the trash]
    #[arg(value_name = "CHAT")]
    pub(crate) chats: Vec<String>,
    /// The file to write: the shown branches as Markdown if its name ends in .md, or as a page if it ends in .html; else JSON of
    /// all branches
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
}
