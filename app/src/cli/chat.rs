//! `lapidary chat`: a conversation in the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use lapidary_engine::{Chat, Finish, Sampling};

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::engine;

const HELP: &str = "\
/clear        forget the conversation
/system TEXT  what the model should know before the first turn
/help         this
/exit         leave; Ctrl-D does too
Ctrl-C stops a reply. A line that ends in \\ goes on in the next.";

pub(crate) fn chat(arguments: &args::Chat) -> Result<(), Failure> {
    let sampling = arguments.drawing.sampling();
    sampling.check()?;
    let engine = engine(&arguments.model)?;
    // Better now than after the first question.
    engine.tokenizer()?;
    let mut chat = engine.chat();
    if let Some(system) = &arguments.system {
        chat.set_system(system);
    }
    // Piped in, every line is a turn, and only replies come out.
    let spoken = io::stdin().is_terminal();
    if spoken {
        println!("{} on {}. /help lists commands.", engine.name(), engine.gpu().info().name);
    }
    loop {
        let Some(line) = read_turn(spoken)? else {
            if spoken {
                println!();
            }
            return Ok(());
        };
        let line = line.trim();
        match line.split_once(char::is_whitespace).unwrap_or((line, "")) {
            ("", _) => {}
            ("/exit" | "/quit", "") => return Ok(()),
            ("/help", "") => println!("{HELP}"),
            ("/clear", "") => chat.clear(),
            ("/system", text) => {
                chat.set_system(text.trim());
                chat.clear();
            }
            (command, "") if command.starts_with('/') => println!("there is no {command}; /help lists commands"),
            _ => reply(&mut chat, line, &sampling)?,
        }
    }
}

/// A turn that was typed, or `None` at the end.
fn read_turn(spoken: bool) -> Result<Option<String>, Failure> {
    let mut turn = String::new();
    let mut out = io::stdout().lock();
    loop {
        if spoken {
            write!(out, "{}", if turn.is_empty() { "> " } else { "… " })?;
            out.flush()?;
        }
        let mut bytes = Vec::new();
        let count = io::stdin()
            .lock()
            .read_until(b'\n', &mut bytes)
            .map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
        if count == 0 {
            return Ok(Some(turn).filter(|turn| !turn.is_empty()));
        }
        let Ok(line) = String::from_utf8(bytes) else {
            return Err(Failure::Failed("standard input is not UTF-8 text".into()));
        };
        match line.trim_end_matches(['\n', '\r']).strip_suffix('\\') {
            Some(begun) => {
                turn.push_str(begun);
                turn.push('\n');
            }
            None => {
                turn.push_str(&line);
                return Ok(Some(turn));
            }
        }
    }
}

/// Prints a reply as it comes. What goes wrong with one turn need not end the conversation, unless the device is gone.
fn reply(chat: &mut Chat, text: &str, sampling: &Sampling) -> Result<(), Failure> {
    let busy = Busy::new();
    let mut reply = match chat.send(text, sampling) {
        Ok(reply) => reply,
        Err(error @ lapidary_engine::Error::ContextFull { .. }) => {
            eprintln!("lapidary: {error}, or start afresh with /clear");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = io::stdout().lock();
    while !busy.interrupted()
        && let Some(piece) = reply.next_blocking()?
    {
        out.write_all(piece.as_bytes())?;
        out.flush()?;
    }
    writeln!(out)?;
    if reply.finish() == Some(Finish::ContextFull) {
        eprintln!("lapidary: the context is full, so the reply ends here; /clear starts afresh");
    }
    Ok(())
}
