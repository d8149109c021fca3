//! The library of prompts: finding one by its name, and keeping new ones.

use super::State;
use crate::settings::SavedPrompt;

impl State {
    /// The prompts that a draft asks for, by their positions in the settings: those whose name or text has all words after
    /// the slash, names first. `None` if the draft does not begin with a slash or has several lines.
    pub fn wanted_prompts(&self) -> Option<Vec<usize>> {
        let wanted = self.draft().strip_prefix('/').filter(|rest| !rest.contains('\n'))?.to_lowercase();
        let words: Vec<&str> = wanted.split_whitespace().collect();
        let fits = |text: &str| {
            let text = text.to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let prompts = || self.settings.prompts.iter().enumerate();
        let by_name = prompts().filter(|(_, prompt)| fits(&prompt.name));
        // A text of thousands of words has nearly any letter, so it has to have a whole word.
        let in_text = |prompt: &SavedPrompt| wanted.trim().chars().count() > 2 && fits(&prompt.text);
        let by_text = prompts().filter(|(_, prompt)| !fits(&prompt.name) && in_text(prompt));
        Some(by_name.chain(by_text).map(|(index, _)| index).collect())
    }

    /// Replaces the draft with a prompt, by its position in the settings.
    pub fn insert_prompt(&mut self, index: usize) {
        if let Some(prompt) = self.settings.prompts.get(index) {
            self.set_draft(prompt.text.clone());
        }
    }

    /// Keeps a text as a prompt, in place of one with this name.
    pub fn save_prompt(&mut self, name: &str, text: &str) {
        let (name, text) = (name.trim().to_owned(), text.trim().to_owned());
        if name.is_empty() || text.is_empty() {
            return;
        }
        let prompts = &mut self.settings.prompts;
        match prompts.iter_mut().find(|known| known.name == name) {
            Some(known) => known.text = text,
            None => prompts.push(SavedPrompt { name, text }),
        }
    }
}
