//! `lapidary chat`: a conversation in the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use lapidary_engine::{Chat, Error, Finish, Sampling};

use super::args;
use super::failure::{Failure, print_error, sanitized};
use super::interrupt::Busy;
use super::load::{engine, open, require_tokenizer};
use lapidary_app::guide;

const HELP: &str = "\
/clear        forget the conversation
/system TEXT  set the system prompt; forgets the conversation
/help         list commands
/exit         leave, like Ctrl-D
Ctrl-C stops a reply. A line that ends in \\ continues in the next.";

pub(crate) fn chat(arguments: &args::Chat) -> Result<(), Failure> {
    let files = open(arguments.model.model.as_deref())?;
    let is_guide = guide::is_guide(files.path());
    let sampling = arguments.sampling.to_engine(&files);
    sampling.check()?;
    require_tokenizer(&files)?;
    let busy = Busy::new();
    let engine = engine(files, &arguments.model, None, &busy)?;
    // Reports a damaged tokenizer now rather than at the first prompt.
    engine.tokenizer()?;
    // After this, Ctrl-C at the prompt ends the program. A Ctrl-C that came during loading still counts.
    busy.wait(async { Ok(()) })?;
    drop(busy);
    let mut chat = engine.chat();
    if let Some(system) = &arguments.system {
        chat.set_system(system);
    }
    // Without a terminal every input line is a turn, and only replies are printed.
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    if interactive {
        let (model, adapter) = (sanitized(engine.name()), &engine.gpu().info().name);
        if is_guide {
            print_line("This is Lapidary's built-in guide. Ask it how to use Lapidary, or how Gemma 2 works.")?;
        }
        print_line(&format!("{model} on {adapter}. Ctrl-C stops a reply, Ctrl-D leaves, /help lists commands."))?;
    }
    loop {
        let Some(line) = read_turn(interactive)? else {
            if interactive {
                print_line("")?;
            }
            return Ok(());
        };
        let line = line.trim();
        match line.split_once(char::is_whitespace).unwrap_or((line, "")) {
            ("", _) => {}
            ("/exit" | "/quit", "") => return Ok(()),
            ("/help", "") => print_line(HELP)?,
            ("/clear", "") => chat.clear(),
            ("/system", text) => {
                chat.set_system(text.trim());
                chat.clear();
            }
            (command, "") if command.starts_with('/') => {
                print_error(&format!("unknown command {command}; /help lists commands"));
            }
            _ => reply(&mut chat, line, &sampling)?,
        }
    }
}

fn print_line(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Reads a turn; `None` at the end of the input.
fn read_turn(interactive: bool) -> Result<Option<String>, Failure> {
    let mut turn = String::new();
    let mut out = io::stdout().lock();
    loop {
        if interactive {
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

/// Streams a reply to standard output. A full context or Ctrl-C does not end the conversation; other errors do.
fn reply(chat: &mut Chat, text: &str, sampling: &Sampling) -> Result<(), Failure> {
    let busy = Busy::new();
    let mut reply = match chat.send(text, sampling) {
        Ok(reply) => reply,
        Err(error @ Error::ContextFull { .. }) => {
            print_error(&format!("{error}, or start again with /clear"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    let end = loop {
        match busy.wait(reply.next()) {
            Ok(Some(piece)) => {
                let shown = if terminal { sanitized(&piece) } else { piece.as_str().into() };
                out.write_all(shown.as_bytes())?;
                out.flush()?;
            }
            // The partial reply is kept.
            Ok(None) | Err(Failure::Interrupted) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    writeln!(out)?;
    if reply.finish() == Some(Finish::ContextFull) {
        print_error("the context is full, so the reply ends here; /clear starts again");
    }
    end
}
