//! The command line.

mod args;
mod bench;
mod chat;
mod devices;
mod failure;
mod interrupt;
mod last_model;
mod load;
mod logits;
mod perplexity;
mod run;
mod tokenize;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

/// Runs the program; exit codes are 0 for success, 1 for failure, 2 for wrong usage and 130 after Ctrl-C.
pub(crate) fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).format_timestamp(None).init();
    // Errors in the arguments are clap's to report; it exits with 2.
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => chat::chat(&args::Chat::default()),
        Some(Command::Chat(chat)) => chat::chat(&chat),
        Some(Command::Run(run)) => run::run(&run),
        Some(Command::Tokenize(tokenize)) => tokenize::tokenize(&tokenize),
        Some(Command::Logits(logits)) => logits::logits(&logits),
        Some(Command::Perplexity(perplexity)) => perplexity::perplexity(&perplexity),
        Some(Command::Bench(bench)) => bench::bench(&bench),
        Some(Command::Devices(devices)) => devices::devices(&devices),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
