//! What a chat chooses for itself: sampling, model, presets.

use std::path::{Path, PathBuf};

use super::State;
use crate::chats::{ChatOptions, Id};
use crate::guide;
use crate::settings::{Preset, SamplingParams};
use crate::worker::Load;

impl State {
    /// How the tokens of the open chat's replies are chosen: its own choice, or that of the settings.
    pub fn chat_sampling(&self) -> &SamplingParams {
        self.sampling_of(self.open_id())
    }

    /// Whether the open chat has its own sampling.
    pub fn has_own_sampling(&self) -> bool {
        self.open().is_some_and(|chat| chat.options.sampling.is_some())
    }

    /// Sets the open chat's own sampling; `None` to follow the settings.
    pub fn set_chat_sampling(&mut self, sampling: Option<SamplingParams>) {
        self.change_options(|options| options.sampling = sampling);
    }

    /// The model that answers in the open chat: `None` for whichever is loaded, `Some(None)` for the guide.
    pub fn chat_model(&self) -> Option<Option<PathBuf>> {
        self.model_of(self.open_id())
    }

    /// Sets the model that answers in the open chat: `None` for whichever is loaded, `Some(None)` for the guide. It is
    /// loaded when the next message is answered.
    pub fn set_chat_model(&mut self, model: Option<Option<&Path>>) {
        let name = |path: &Path| path.to_str().map(str::to_owned);
        // A path that is not Unicode cannot be saved.
        let model = model.and_then(|model| model.map_or(Some(guide::NAME.to_owned()), name));
        self.change_options(|options| options.model = model);
    }

    /// Whether the model continues the text of the open chat, instead of answering in turns.
    pub fn is_plain(&self) -> bool {
        self.open().is_some_and(|chat| chat.options.plain)
    }

    /// Sets whether the model continues the text of the open chat, as models do that were not trained to chat.
    pub fn set_plain(&mut self, plain: bool) {
        self.change_options(|options| options.plain = plain);
    }

    /// Applies a preset of the settings to the open chat, which keeps its system prompt and its model if the preset has
    /// none.
    pub fn apply_preset(&mut self, index: usize) {
        let Some(Preset { name, sampling, system, model }) = self.settings.presets.get(index).cloned() else { return };
        if !system.is_empty() {
            self.set_system(system);
        }
        self.change_options(|options| {
            options.sampling = Some(sampling);
            options.preset = Some(name);
            if model.is_some() {
                options.model = model;
            }
        });
    }

    /// Saves the open chat's system prompt, sampling and own model as a preset, in place of one with this name.
    pub fn save_preset(&mut self, name: &str) {
        let name = name.trim().to_owned();
        let Some(chat) = self.open().filter(|_| !name.is_empty()) else { return };
        let (system, model) = (chat.system.clone(), chat.options.model.clone());
        let preset = Preset { name: name.clone(), sampling: self.chat_sampling().clone(), system, model };
        match self.settings.presets.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = preset,
            None => self.settings.presets.push(preset),
        }
        self.change_options(|options| options.preset = Some(name));
    }

    fn change_options(&mut self, change: impl FnOnce(&mut ChatOptions)) {
        self.change_chat(self.open_id(), |chat| change(&mut chat.options));
        // The options of an empty chat are saved together with its draft.
        self.drafts.touch();
    }

    pub(super) fn sampling_of(&self, chat: Id) -> &SamplingParams {
        self.chat(chat).and_then(|chat| chat.options.sampling.as_ref()).unwrap_or(&self.settings.sampling)
    }

    /// A chat's own model; the inner `None` stands for the guide.
    pub(super) fn model_of(&self, chat: Id) -> Option<Option<PathBuf>> {
        let model = self.chat(chat)?.options.model.as_ref()?;
        Some(Some(PathBuf::from(model)).filter(|path| !guide::is_guide(path)))
    }

    /// What has to be loaded before a chat can be answered, if another model is loaded than the chat's own.
    pub(super) fn load_before(&self, chat: Id) -> Option<Load> {
        let model = self.model_of(chat)?;
        self.loaded().is_none_or(|loaded| !loaded.is_file(model.as_ref())).then(|| self.load_of(model))
    }
}
