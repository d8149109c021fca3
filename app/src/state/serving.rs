//! The model that other programs on this machine use.

use std::collections::VecDeque;

use super::State;
use crate::endpoint::Keys;
use crate::worker::{Command, Served};

/// The most answers that are listed.
const MOST_ANSWERS: usize = 100;

/// What the window knows about its server.
#[derive(Debug, Default)]
pub struct Serving {
    /// Where programs find the model, or nowhere; the error is why not, as a sentence.
    pub served: Option<Result<Served, String>>,
    /// The newest answers, the newest last.
    pub answers: VecDeque<String>,
    /// The port that the engine was told last.
    port: Option<u16>,
}

impl State {
    /// Lets other programs use the model, or no longer, if the settings say so now.
    pub fn serve_as_set(&mut self) {
        if self.serving.port != self.settings.serves.then_some(self.settings.serving_port) {
            self.serve_anew();
        }
    }

    fn serve_anew(&mut self) {
        self.serving.port = self.settings.serves.then_some(self.settings.serving_port);
        self.serving.served = None;
        self.worker.send(Command::Serve(self.serving.port));
    }

    /// Saves the key that programs need; an empty one means none. Those that are connected lose their connection.
    pub fn save_serving_key(&mut self, key: &str) {
        let key = match key.trim() {
            "" => Ok(None),
            key => Keys::typed(key).map(Some),
        };
        match key {
            Ok(key) => self.worker.send(Command::SaveServingKey(key)),
            Err(_) => self.notify_error("A key consists of visible characters without spaces."),
        }
    }

    pub(super) fn on_serving(&mut self, served: Result<Option<Served>, String>) {
        self.serving.served = served.transpose();
    }

    pub(super) fn on_answered(&mut self, line: String) {
        if self.serving.answers.len() == MOST_ANSWERS {
            self.serving.answers.pop_front();
        }
        self.serving.answers.push_back(line);
    }

    pub(super) fn on_serving_key_saved(&mut self, saved: Result<(), String>) {
        match saved {
            Ok(()) => self.serve_anew(),
            Err(reason) => self.notify_error(&reason),
        }
    }
}
