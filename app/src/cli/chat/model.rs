//! The model that a chat talks to.

use std::path::{Path, PathBuf};

use lapidary_app::chat_ability::{chat_problem, completion_ids};
use lapidary_app::chats::Role;
use lapidary_engine::template::{self, Turn, render};
use lapidary_engine::{Engine, Sampling, Session};

use super::{is_guide, sampling_of};
use crate::cli::args;
use crate::cli::failure::{Failure, print_error};
use crate::cli::interrupt::Busy;
use crate::cli::load::{engine, open, require_tokenizer};
use crate::cli::speculate::Speculate;

/// A model that is loaded.
pub(super) struct LoadedModel {
    pub(super) engine: Engine,
    pub(super) is_guide: bool,
    /// Its name in messages.
    pub(super) name: String,
    /// The file or folder, to load it again.
    pub(super) path: PathBuf,
    pub(super) sampling: Sampling,
    speculate: Speculate,
    options: args::Model,
    /// Made at the first reply, because its cache takes memory.
    session: Option<Session>,
}

impl LoadedModel {
    /// Loads a model; `None` for the last one used.
    ///
    /// # Errors
    /// If it cannot be loaded, or has no tokenizer.
    pub(super) fn load(path: Option<&Path>, arguments: &args::Chat) -> Result<Self, Failure> {
        let files = open(path)?;
        let (is_guide, path) = (is_guide(&files), files.path().to_owned());
        let sampling = sampling_of(arguments, &files)?;
        require_tokenizer(&files)?;
        let busy = Busy::new();
        let engine = engine(files, &arguments.model, None, &busy)?;
        // Reports a damaged tokenizer now rather than at the first prompt.
        engine.tokenizer()?;
        // A Ctrl-C that came during loading still counts.
        busy.wait(async { Ok(()) })?;
        let name = if is_guide { "Guide".to_owned() } else { engine.name().to_owned() };
        let speculate = arguments.speculate.clone();
        // `/model` loads others than the one that the arguments name.
        let options = args::Model { model: Some(path.clone()), ..arguments.model.clone() };
        Ok(Self { engine, is_guide, name, path, sampling, speculate, options, session: None })
    }

    /// Says on standard error that the model was not trained on chats, if that is so, and what to do.
    pub(super) fn warn_if_it_cannot_chat(&self, remedy: &str) {
        if let Some(problem) = chat_problem(&self.engine) {
            print_error(&format!("{problem} {remedy}"));
        }
    }

    /// The token ids of turns.
    ///
    /// # Errors
    /// If the vocabulary has no turns.
    pub(super) fn prompt(&self, system: &str, turns: &[(Role, String)]) -> Result<Vec<u32>, Failure> {
        let role = |role| match role {
            Role::User => template::Role::User,
            Role::Model => template::Role::Model,
        };
        let turns: Vec<Turn> = turns.iter().map(|(who, text)| Turn { role: role(*who), text: text.clone() }).collect();
        Ok(render(self.engine.tokenizer()?, Some(system), &turns)?)
    }

    /// The token ids of a text to be continued.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub(super) fn completion(&self, text: &str) -> Result<Vec<u32>, Failure> {
        Ok(completion_ids(self.engine.tokenizer()?, text)?)
    }

    /// The session, whose cache keeps what two prompts have in common.
    ///
    /// # Errors
    /// If there is no memory for it, or after Ctrl-C.
    pub(super) fn session(&mut self, busy: &Busy) -> Result<&mut Session, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.speculate.session(&self.engine, &self.options, busy)?,
        };
        Ok(self.session.insert(session))
    }
}
