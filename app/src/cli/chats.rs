//! `lapidary chats`: lists, shows and exports the chats of the window and the terminal, also while the window is open.

use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lapidary_app::chats::{Chat, Message, Reader, Role, Tree, exchange};
use lapidary_app::data_folder::{data_folder, database};
use serde_json::json;

use super::args;
use super::failure::{Failure, one_line, sanitized};
use super::terminal::{Terminal, render};

pub(crate) fn chats(arguments: &args::Chats) -> Result<(), Failure> {
    match &arguments.command {
        args::ChatsCommand::List(list) => self::list(list),
        args::ChatsCommand::Show(show) => self::show(show),
        args::ChatsCommand::Export(export) => self::export(export),
    }
}

/// What reads the chats, and all of them; `None` if there is no database yet.
fn open() -> Result<Option<(Reader, Vec<Chat>)>, Failure> {
    let Some(folder) = data_folder() else {
        return Err(Failure::Failed("this system has no known folder for user data; set XDG_DATA_HOME".into()));
    };
    let Some(reader) = Reader::open(&database(&folder)).map_err(Failure::Failed)? else { return Ok(None) };
    let chats = reader.chats().map_err(Failure::Failed)?;
    Ok(Some((reader, chats)))
}

fn list(arguments: &args::ChatsList) -> Result<(), Failure> {
    let (folders, all) = match open()? {
        Some((reader, chats)) => (reader.folders().map_err(Failure::Failed)?, chats),
        None => (Vec::new(), Vec::new()),
    };
    let folder = |chat: &Chat| folders.iter().find(|folder| chat.folder == Some(folder.id)).map(|folder| &*folder.name);
    let chats: Vec<Chat> = all.into_iter().filter(|chat| chat.deleted.is_some() == arguments.trash).collect();
    let mut out = io::stdout().lock();
    if arguments.json {
        let list = chats.iter().map(|chat| {
            json!({"id": chat.id, "title": chat.title, "created": chat.created, "updated": chat.updated, "system": chat.system,
                "folder": folder(chat)})
        });
        return Ok(writeln!(out, "{}", json!({ "chats": list.collect::<Vec<_>>() }))?);
    }
    for (number, chat) in (1..).zip(&chats) {
        writeln!(out, "{}", list_line(number, chat, folder(chat)))?;
    }
    Ok(())
}

/// A chat in a list: its number, the time of its last message, its title, and its folder if it is in one.
pub(super) fn list_line(number: usize, chat: &Chat, folder: Option<&str>) -> String {
    let folder = folder.map(|folder| format!("  [{}]", one_line(folder))).unwrap_or_default();
    format!("{number:>3}  {}  {}{folder}", local_time(chat.updated), one_line(chat.shown_title()))
}

/// A time in milliseconds since 1970 as date and time of day in the local time zone.
fn local_time(milliseconds: i64) -> String {
    match Timestamp::from_millisecond(milliseconds) {
        Ok(time) => time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        // Only a damaged database has such times.
        Err(_) => "unknown".into(),
    }
}

/// The result of looking for a chat.
pub(super) enum ChatMatch<'c> {
    None,
    One(&'c Chat),
    Several(usize),
}

/// The chat with a number of the list, an id, or a title: the whole title, or a part of one title alone.
pub(super) fn find<'c>(chats: &'c [Chat], wanted: &str) -> ChatMatch<'c> {
    let wanted = wanted.trim();
    if let Ok(number) = wanted.parse::<usize>() {
        let by_number = number.checked_sub(1).and_then(|index| chats.get(index));
        let by_id = chats.iter().find(|chat| usize::try_from(chat.id).is_ok_and(|id| id == number));
        if let Some(chat) = by_number.or(by_id) {
            return ChatMatch::One(chat);
        }
    }
    let wanted = wanted.to_lowercase();
    let title = |chat: &&Chat| chat.title.to_lowercase();
    let whole: Vec<&Chat> = chats.iter().filter(|chat| title(chat) == wanted).collect();
    let fitting = match whole[..] {
        [] if !wanted.is_empty() => chats.iter().filter(|chat| title(chat).contains(&wanted)).collect(),
        _ => whole,
    };
    match fitting[..] {
        [] => ChatMatch::None,
        [chat] => ChatMatch::One(chat),
        _ => ChatMatch::Several(fitting.len()),
    }
}

/// The chat that an argument names. Chats outside the trash come first in the numbers.
fn named<'c>(chats: &'c [Chat], wanted: &str) -> Result<&'c Chat, Failure> {
    match find(chats, wanted) {
        ChatMatch::One(chat) => Ok(chat),
        ChatMatch::None => Err(Failure::Failed(format!("there is no chat {wanted:?}; lapidary chats list shows them"))),
        ChatMatch::Several(count) => {
            Err(Failure::Failed(format!("{count} chats fit {wanted:?}; name one by its number in lapidary chats list")))
        }
    }
}

/// The chats in the order of their numbers: those outside the trash as the list shows them, then the others.
fn numbered(chats: Vec<Chat>) -> Vec<Chat> {
    let (trash, mut kept): (Vec<Chat>, Vec<Chat>) = chats.into_iter().partition(|chat| chat.deleted.is_some());
    kept.extend(trash);
    kept
}

fn show(arguments: &args::ChatsShow) -> Result<(), Failure> {
    let (reader, chats) = open()?.ok_or_else(no_chats)?;
    let chats = numbered(chats);
    let chat = named(&chats, &arguments.chat)?;
    let archive = reader.archive([chat]).map_err(Failure::Failed)?;
    let Some(entry) = archive.chats.first() else { return Err(no_chats()) };
    let mut out = io::stdout().lock();
    if arguments.json {
        let text = serde_json::to_string(entry).map_err(|error| Failure::Failed(error.to_string()))?;
        return Ok(writeln!(out, "{text}")?);
    }
    if !out.is_terminal() {
        return Ok(out.write_all(exchange::to_markdown(entry).as_bytes())?);
    }
    writeln!(out, "{} ({})", one_line(chat.shown_title()), local_time(chat.updated))?;
    if !chat.system.trim().is_empty() {
        writeln!(out, "System prompt: {}", sanitized(&chat.system))?;
    }
    drop(out);
    let tree = Tree::new(entry.messages.clone(), chat.leaf);
    tree.branch().try_for_each(print_message)
}

/// Prints a message as the chat in the terminal shows it.
pub(super) fn print_message(message: &Message) -> Result<(), Failure> {
    let text = sanitized(&message.text).into_owned();
    let mut out = io::stdout().lock();
    match (message.role, Terminal::of_output()) {
        (Role::User, _) => writeln!(out, "\n> {}", text.trim_end().replace('\n', "\n  "))?,
        (Role::Model, Some(terminal)) => {
            for line in render(&text, terminal.text_columns(), terminal.styled) {
                writeln!(out, "{line}")?;
            }
        }
        (Role::Model, None) => writeln!(out, "{}", text.trim_end())?,
    }
    Ok(())
}

fn export(arguments: &args::ChatsExport) -> Result<(), Failure> {
    let (reader, chats) = open()?.ok_or_else(no_chats)?;
    let chats = numbered(chats);
    let wanted: Vec<&Chat> = match &arguments.chats[..] {
        [] => chats.iter().filter(|chat| chat.deleted.is_none()).collect(),
        names => names.iter().map(|name| named(&chats, name)).collect::<Result<_, _>>()?,
    };
    if wanted.is_empty() {
        return Err(no_chats());
    }
    let out = &arguments.out;
    if out.exists() && !arguments.overwrite {
        let there = format!("{} exists already; --overwrite replaces it", out.display());
        return Err(Failure::Failed(there));
    }
    let archive = reader.archive(wanted.iter().copied()).map_err(Failure::Failed)?;
    let failed = |reason: String| Failure::Failed(format!("cannot write {}: {reason}", out.display()));
    let path = exchange::write(&archive, out, arguments.overwrite).map_err(failed)?;
    let what = if wanted.len() == 1 { "One chat was".into() } else { format!("{} chats were", wanted.len()) };
    Ok(writeln!(io::stdout(), "{what} written to {}", sanitized(&path.display().to_string()))?)
}

fn no_chats() -> Failure {
    Failure::Failed("there are no chats yet".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(id: i64, title: &str) -> Chat {
        Chat { id, title: title.into(), ..Chat::new() }
    }

    #[test]
    fn chats_are_found_by_number_id_and_title() {
        let chats = [chat(700, "Fruit"), chat(800, "Fruit salad"), chat(900, "7")];
        let id = |wanted| match find(&chats, wanted) {
            ChatMatch::One(chat) => chat.id,
            ChatMatch::None => 0,
            ChatMatch::Several(count) => -(count as i64),
        };
        assert_eq!((id("1"), id("3"), id("800")), (700, 900, 800));
        assert_eq!((id("fruit"), id("SALAD"), id("fru"), id("tree"), id(""), id("7")), (700, 800, -2, 0, 0, 900));
    }

    #[test]
    fn times_are_shown_to_the_minute() {
        assert_eq!(local_time(0).len(), "1970-01-01 00:00".len());
        assert_eq!(local_time(i64::MAX), "unknown");
    }
}
