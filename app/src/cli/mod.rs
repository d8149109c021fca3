//! The command line.

mod args;
mod batch;
mod bench;
mod chat;
mod chats;
mod check;
mod desktop;
mod devices;
mod failure;
mod fit;
mod interrupt;
mod load;
mod login;
mod logits;
mod man;
mod models;
mod perplexity;
mod profile;
mod pull;
mod quantize;
mod run;
mod serve;
mod speculate;
mod spread;
mod streams;
mod terminal;
mod tokenize;
mod window;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use failure::{Failure, one_line};

/// The log levels for standard error. The libraries of the window warn about normal things: a software adapter, a
/// display without settings, a locale without a language.
const LOG: &str = "warn,eframe=error,egui_system_font_provider=error,egui_wgpu=error,\
    winit=error";

/// Runs the program. Exit codes are 0 for success, 1 for failure, 2 for wrong usage and 130 after Ctrl-C.
pub(crate) fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG))
        .format(|out, record| {
            let level = record.level().as_str().to_lowercase();
            writeln!(out, "lapidary: {level}: {}", one_line(&record.args().to_string()))
        })
        .init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return Failure::Usage(usage_message(&error)).report(),
        // Help and version. An error writing them is ignored.
        Err(error) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    let result = match arguments.command {
        None => window::window_or_chat(arguments.file.or(arguments.model)),
        Some(Command::Chat(chat)) => chat::chat(&chat),
        Some(Command::Run(run)) => run::run(&run),
        Some(Command::Serve(serve)) => serve::serve(&serve),
        Some(Command::Batch(arguments)) => batch::batch(&arguments),
        Some(Command::Tokenize(tokenize)) => tokenize::tokenize(&tokenize),
        Some(Command::Logits(logits)) => logits::logits(&logits),
        Some(Command::Perplexity(perplexity)) => perplexity::perplexity(&perplexity),
        Some(Command::Bench(bench)) => bench::bench(&bench),
        Some(Command::Check(check)) => check::check(&check),
        Some(Command::Devices(devices)) => devices::devices(&devices),
        Some(Command::Models(models)) => models::models(&models),
        Some(Command::Chats(chats)) => chats::chats(&chats),
        Some(Command::Desktop(desktop)) => desktop::desktop(&desktop),
        Some(Command::Completions(completions)) => man::completions(&completions),
        Some(Command::Man(man)) => man::man(&man),
        Some(Command::Pull(arguments)) => pull::pull(&arguments),
        Some(Command::Login(_)) => login::login(),
        Some(Command::Logout(_)) => login::logout(),
        Some(Command::Fit(arguments)) => fit::fit(&arguments),
        Some(Command::Quantize(arguments)) => quantize::quantize(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Shortens a usage error of clap to its first paragraph and its tip, if it has one.
fn usage_message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let mut short = one_line(first.strip_prefix("error: ").unwrap_or(first));
    for tip in paragraphs.filter_map(|paragraph| paragraph.trim_start().strip_prefix("tip: ")) {
        short.push_str("; ");
        short.push_str(&one_line(tip));
    }
    short + " (see --help)"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        usage_message(&Arguments::try_parse_from(arguments).err().unwrap())
    }

    #[test]
    fn wrong_usage_takes_one_line() {
        let message = refused(&["lapidary", "run", "--temprature", "1", "hi"]);
        assert!(message.starts_with("unexpected argument '--temprature' found; "), "{message}");
        assert!(message.contains("'--temperature'"), "{message}");
        let message = refused(&["lapidary", "run", "--tokens", "2,x"]);
        assert_eq!(message, "invalid value '2,x' for '--tokens <IDS>': \"x\" is not a token id (see --help)");
        let message = refused(&["lapidary", "logits"]);
        assert!(message.contains("--tokens <IDS>") && message.contains("--out <FILE>"), "{message}");
    }
}
