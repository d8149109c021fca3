//! `lapidary` without a command: the window, or a chat in the terminal where there is no display.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use lapidary_app::guide;
use lapidary_app::window::{self, NoWindow};

use super::args::{self, Arguments};
use super::chat;
use super::failure::{Failure, print_error};
use super::load::open;

/// How alike two words must be for a suggestion; clap has the same limit.
const ALIKE: f64 = 0.7;

/// Opens the window with a model, or the last one used, if there is a display, else a chat in the terminal.
pub(crate) fn window_or_chat(model: Option<PathBuf>) -> Result<(), Failure> {
    if let Some(model) = &model {
        check(model)?;
    }
    if has_display() {
        match window::open(model.as_deref().filter(|path| !guide::is_guide(path)).map(absolute).transpose()?) {
            Ok(()) => return Ok(()),
            Err(NoWindow::Display(reason)) => {
                print_error(&format!("cannot open a window ({reason}); starting a chat in the terminal"));
                // Without a terminal the message above cannot be seen, so a dialog shows it.
                if !io::stderr().is_terminal() && !io::stdin().is_terminal() {
                    window::show_error_dialog(&reason);
                }
            }
        }
    }
    let model = args::Model { model, ..args::Model::default() };
    chat::chat(&args::Chat { model, ..args::Chat::default() })
}

fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// The window may be another process in another folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |error| Failure::Failed(format!("{}: {error}", path.display()));
    path.canonicalize().map_err(failed)
}

/// Fails if a model cannot be opened. A single word that is no file is taken for a mistyped command.
fn check(model: &Path) -> Result<(), Failure> {
    if !guide::is_guide(model) && !model.exists() && is_word(model) {
        let word = model.display().to_string();
        let tip = similar_command(&word).map_or("".into(), |known| format!("; a similar command exists: '{known}'"));
        return Err(Failure::Usage(format!("there is no command and no file '{word}'{tip} (see --help)")));
    }
    open(Some(model)).map(drop)
}

fn is_word(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_'))
}

fn similar_command(word: &str) -> Option<String> {
    let command = Arguments::command();
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let alike = names.map(|name| (strsim::jaro(word, &name), name)).filter(|(likeness, _)| *likeness > ALIKE);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_not_taken_for_a_file() {
        assert_eq!(similar_command("chta").as_deref(), Some("chat"));
        assert_eq!(similar_command("perplexty").as_deref(), Some("perplexity"));
        assert_eq!(similar_command("xyzzy"), None);
        assert!(is_word(Path::new("chta")) && !is_word(Path::new("a.gguf")) && !is_word(Path::new("a/b")));
    }
}
