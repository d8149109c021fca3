//! A chat in the terminal, until the end of input (Ctrl-D):
//! `cargo run --release -p lapidary-engine --example chat -- MODEL`

use std::io::{self, BufRead, Write};

use lapidary_engine::{Chat, Engine, Finish, Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(model) = std::env::args_os().nth(1) else {
        return Err("usage: chat MODEL".into());
    };
    let engine = Engine::builder(model).build_blocking()?;
    let mut chat = engine.chat();
    let mut lines = io::stdin().lock().lines();
    loop {
        eprint!("> ");
        let Some(line) = lines.next().transpose()? else {
            eprintln!();
            return Ok(());
        };
        if line.trim().is_empty() {
            continue;
        }
        // What went wrong with one message, say that it does not fit the context, need not end the chat.
        if let Err(error) = answer(&mut chat, &line) {
            eprintln!("{error}");
        }
    }
}

fn answer(chat: &mut Chat, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut reply = chat.send(text, &Sampling::default())?;
    while let Some(piece) = reply.next_blocking()? {
        print!("{piece}");
        io::stdout().flush()?;
    }
    println!();
    if reply.finish() == Some(Finish::ContextFull) {
        eprintln!("(the context is full)");
    }
    Ok(())
}
