//! The commands of `lapidary chat`.

use std::borrow::Cow;

/// What a line typed at the prompt asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    /// Nothing.
    Nothing,
    /// A message to the model.
    Message(Cow<'a, str>),
    /// A command, and what follows its name.
    Command(Command, &'a str),
    /// A command that does not exist.
    Unknown(&'a str),
    /// A command that takes no argument has one.
    NoArgument(Command),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Model,
    System,
    Regenerate,
    Undo,
    Clear,
    Save,
    Load,
    Quit,
}

/// Each command with its name, what follows it, and what it does.
pub(super) const COMMANDS: [(Command, &str, &str, &str); 9] = [
    (Command::Help, "/help", "", "lists the commands"),
    (Command::Model, "/model", "[MODEL]", "lists the models, or loads one by its path or its number"),
    (Command::System, "/system", "[TEXT]", "shows or sets the system prompt; \"/system -\" removes it"),
    (Command::Regenerate, "/regenerate", "", "replaces the last reply by another one"),
    (Command::Undo, "/undo", "", "takes back the last message and its reply"),
    (Command::Clear, "/clear", "", "begins a new chat with the same system prompt"),
    (Command::Save, "/save", "FILE", "writes the chat to a file: Markdown (.md), or JSON with all branches (.json)"),
    (
        Command::Load,
        "/load",
        "[CHAT]",
        "lists the latest chats, or continues one by its number, its title or an exported file",
    ),
    (Command::Quit, "/quit", "", "leaves, like Ctrl-D and /exit"),
];

impl Command {
    pub(super) fn name(self) -> &'static str {
        COMMANDS.iter().find(|(command, ..)| *command == self).map_or("", |(_, name, ..)| name)
    }

    fn takes_argument(self) -> bool {
        COMMANDS.iter().any(|(command, _, argument, _)| *command == self && !argument.is_empty())
    }
}

impl<'a> Input<'a> {
    /// Reads what was typed. Commands begin with a slash; two slashes begin a message with one.
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Nothing;
        }
        let Some(rest) = text.strip_prefix('/') else { return Self::Message(text.into()) };
        if rest.starts_with('/') {
            return Self::Message(rest.into());
        }
        let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim();
        let found = COMMANDS.iter().find(|(_, known, ..)| *known == name).map(|(command, ..)| *command);
        match found.or_else(|| (name == "/exit").then_some(Command::Quit)) {
            None => Self::Unknown(name),
            Some(command) if !argument.is_empty() && !command.takes_argument() => Self::NoArgument(command),
            Some(command) => Self::Command(command, argument),
        }
    }
}

/// The text of `/help`.
pub(super) fn help() -> String {
    let mut text = String::new();
    for (_, name, argument, what) in COMMANDS {
        let command = format!("{name} {argument}");
        text.push_str(&format!("{:<16}  {what}\n", command.trim_end()));
    }
    text.push_str(
        "Alt-Enter, or \\ at the end of a line, begins another line. Ctrl-C stops a reply or clears the line. A message that \
         begins with // sends one slash.",
    );
    text
}

/// The message about a command that does not exist.
pub(super) fn unknown(name: &str) -> String {
    let alike = COMMANDS.iter().map(|(_, known, ..)| (strsim::jaro(name, known), *known));
    let alike = alike.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let tip = alike.map_or("".into(), |(_, known)| format!(" did you mean {known}?"));
    format!("unknown command {name};{tip} /help lists commands, and a message that begins with // sends a slash")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_messages_and_mistakes_are_told_apart() {
        assert_eq!(Input::of(" \n"), Input::Nothing);
        assert_eq!(Input::of("hello /quit"), Input::Message("hello /quit".into()));
        assert_eq!(Input::of("//etc/hosts is what?"), Input::Message("/etc/hosts is what?".into()));
        assert_eq!(Input::of("/quit"), Input::Command(Command::Quit, ""));
        assert_eq!(Input::of("/exit"), Input::Command(Command::Quit, ""));
        assert_eq!(Input::of("/system  Be brief.\nPlease."), Input::Command(Command::System, "Be brief.\nPlease."));
        assert_eq!(Input::of("/foo"), Input::Unknown("/foo"));
        assert_eq!(Input::of("/foo bar"), Input::Unknown("/foo"));
        assert_eq!(Input::of("/undo everything"), Input::NoArgument(Command::Undo));
    }

    #[test]
    fn a_mistyped_command_is_guessed() {
        let known = unknown("/regnerate");
        assert!(known.contains("did you mean /regenerate? /help lists"), "{known}");
        assert!(unknown("/xyz").starts_with("unknown command /xyz; /help lists"), "{}", unknown("/xyz"));
    }

    #[test]
    fn help_names_every_command() {
        assert!(COMMANDS.iter().all(|(command, ..)| help().contains(command.name())));
    }
}
