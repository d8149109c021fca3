//! `lapidary` without a command: the window, or a chat in the terminal where there is no display.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use lapidary_app::hub::Entry;
use lapidary_app::window::{self, NoWindow};
use lapidary_app::{guide, models, recent_models};

use super::args::{self, Arguments};
use super::chat;
use super::failure::{Failure, print_error};
use super::load::open;

/// How alike two words must be for a suggestion; clap has the same limit.
const ALIKE: f64 = 0.7;

/// Opens the window with a model, or the last one used, if there is a display, else a chat in the terminal.
pub(crate) fn window_or_chat(model: Option<PathBuf>) -> Result<(), Failure> {
    let model = model.map(resolve).transpose()?;
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

/// The window may be another process in another folder. Links stay: a part of a split model is known by its name.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |error| Failure::Failed(format!("{}: {error}", path.display()));
    recent_models::absolute(path).map_err(failed)
}

/// Where a model is that a person named; fails if it cannot be opened. A single word that names neither a file nor a model that
/// was pulled is taken for a mistyped command.
fn resolve(model: PathBuf) -> Result<PathBuf, Failure> {
    let word = model.to_str().filter(|_| !guide::is_guide(&model) && !model.exists());
    let model = match word {
        Some(word) => match (models::find_named(word), Entry::of_name(word)) {
            (Some(found), _) => found,
            (None, Some(entry)) => {
                let name = &entry.name;
                return Err(Failure::Failed(format!(
                    "{name} is not on this machine; download it with: lapidary pull {name}"
                )));
            }
            (None, None) if is_word(word) => {
                let tip =
                    similar_command(word).map_or("".into(), |known| format!("; a similar command exists: '{known}'"));
                return Err(Failure::Usage(format!(
                    "there is no command, no file and no model '{word}'{tip} (see --help)"
                )));
            }
            (None, None) => model,
        },
        None => model,
    };
    open(Some(&model))?;
    Ok(model)
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
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
        assert!(is_word("chta") && !is_word("a.gguf") && !is_word("a/b"));
    }
}
