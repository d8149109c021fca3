//! The library of prompts: finding one by its name, and keeping new ones.

use super::State;
use crate::settings::SavedPrompt;

impl State {
    /// The prompts that a draft asks for: those whose name or text has all words after its slash, names first. None if it
    /// does not begin with a slash or has several lines.
    pub fn wanted_prompts(&self, draft: &str) -> Vec<&SavedPrompt> {
        let Some(wanted) = draft.strip_prefix('/').filter(|rest| !rest.contains('\n')) else { return Vec::new() };
        let wanted = wanted.to_lowercase();
        let words: Vec<&str> = wanted.split_whitespace().collect();
        let fits = |text: &str| {
            let text = text.to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        // Any text has any letter, so that texts are searched for longer parts only.
        let in_text = |prompt: &SavedPrompt| wanted.trim().chars().count() > 2 && fits(&prompt.text);
        let (by_name, rest): (Vec<_>, Vec<_>) = self.settings.prompts.iter().partition(|prompt| fits(&prompt.name));
        by_name.into_iter().chain(rest.into_iter().filter(|prompt| in_text(prompt))).collect()
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
