//! What a person can set, and what is kept of it.

use std::path::Path;

use lapidary_engine::{Sampling, WeightFormat};
use serde::{Deserialize, Serialize};

use crate::worker::Overflow;

/// How replies are drawn; see [`Sampling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingParams {
    /// 0 for the likeliest token always.
    pub temperature: f32,
    /// Tokens to choose among; 0 for all.
    pub top_k: u32,
    /// Share of probability to choose from.
    pub top_p: f32,
    /// Least probability relative to the likeliest.
    pub min_p: f32,
    /// Against repetitions; 1 for none.
    pub repetition_penalty: f32,
    /// Equal seeds give equal replies; none for a new one each time.
    pub seed: Option<u64>,
    /// Tokens of a reply; none for as many as fit.
    pub max_tokens: Option<usize>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        let Sampling { temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens, .. } =
            Sampling::default();
        Self { temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens }
    }
}

impl SamplingParams {
    /// For the engine. The guide knows one answer to a question; a drawn one would only be wrong more often.
    pub fn to_engine(&self, guide: bool) -> Sampling {
        let Self { temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens } = self.clone();
        let temperature = if guide { 0.0 } else { temperature };
        Sampling { temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens, ..Sampling::default() }
    }
}

/// A named set of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    /// What the person calls it.
    pub name: String,
    /// How the tokens of replies are chosen.
    #[serde(alias = "drawing")]
    pub sampling: SamplingParams,
    /// The system prompt; empty to leave the chat's own.
    #[serde(default)]
    pub system: String,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system is.
    #[default]
    System,
    /// Dark letters on light ground.
    Light,
    /// Light letters on dark ground.
    Dark,
}

/// Everything that is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How the tokens of replies are chosen. Earlier versions saved it as `drawing`.
    #[serde(alias = "drawing")]
    pub sampling: SamplingParams,
    /// What the model should know at the start of new chats.
    pub system: String,
    /// Named sets of the two above.
    pub presets: Vec<Preset>,
    /// The weights' format, by name; none for the file's own.
    pub weights: Option<String>,
    /// Tokens of context; none for the model's own.
    pub context: Option<usize>,
    /// The adapter's name; none for the fastest.
    pub device: Option<String>,
    /// What to do when a chat outgrows the context.
    pub overflow: Overflow,
    /// Light or dark.
    pub theme: Theme,
    /// Size of everything, where 1 is normal.
    pub zoom: f32,
    /// Whether nothing should move by itself.
    pub reduced_motion: bool,
    /// Whether the list of chats is shown.
    pub sidebar: bool,
    /// Files and folders of models that were used, the last first.
    pub models: Vec<String>,
}

/// How many of [`Settings::models`] are remembered.
const MAX_MODELS: usize = 24;

/// Smallest and largest [`Settings::zoom`].
pub const ZOOM_RANGE: std::ops::RangeInclusive<f32> = 0.5..=3.0;

impl Default for Settings {
    fn default() -> Self {
        Self {
            sampling: SamplingParams::default(),
            system: String::new(),
            presets: Vec::new(),
            weights: None,
            context: None,
            device: None,
            overflow: Overflow::default(),
            theme: Theme::default(),
            zoom: 1.0,
            reduced_motion: false,
            sidebar: true,
            models: Vec::new(),
        }
    }
}

impl Settings {
    /// What was saved, with what makes no sense put right: a file from another version must not keep the window shut.
    pub fn from_json(text: &str) -> Self {
        let mut settings: Self = serde_json::from_str(text).unwrap_or_else(|error| {
            log::warn!("the settings are unreadable and start afresh: {error}");
            Self::default()
        });
        if settings.sampling.to_engine(false).check().is_err() {
            settings.sampling = SamplingParams::default();
        }
        settings.presets.retain(|preset| preset.sampling.to_engine(false).check().is_ok());
        if !ZOOM_RANGE.contains(&settings.zoom) {
            settings.zoom = 1.0;
        }
        settings
    }

    /// For [`Settings::from_json`].
    pub fn to_json(&self) -> String {
        // Every field is one that JSON can spell.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Remembers a model that was used. One whose path is not Unicode cannot be.
    pub fn remember_model(&mut self, path: &Path) {
        if let Some(path) = path.to_str() {
            self.models.retain(|known| known != path);
            self.models.insert(0, path.to_owned());
            self.models.truncate(MAX_MODELS);
        }
    }

    /// The weights' format, if one is chosen.
    pub fn weight_format(&self) -> Option<WeightFormat> {
        self.weights.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_restart() {
        let mut settings = Settings { zoom: 1.5, theme: Theme::Dark, ..Settings::default() };
        settings.sampling.seed = Some(7);
        settings.presets.push(Preset {
            name: "calm".into(),
            sampling: SamplingParams::default(),
            system: "Be calm.".into(),
        });
        assert_eq!(Settings::from_json(&settings.to_json()), settings);
    }

    #[test]
    fn the_models_used_last_are_remembered_once_each() {
        let mut settings = Settings::default();
        for number in (0..40).chain([30]) {
            settings.remember_model(Path::new(&format!("/{number}.gguf")));
        }
        assert_eq!(settings.models.len(), MAX_MODELS);
        assert_eq!(settings.models[..3], ["/30.gguf", "/39.gguf", "/38.gguf"]);
    }

    #[test]
    fn nonsense_is_put_right() {
        assert_eq!(Settings::from_json("nonsense"), Settings::default());
        let wild = r#"{"zoom": 900, "drawing": {"top_p": 7}, "new field": 1}"#;
        assert_eq!(Settings::from_json(wild), Settings::default());
        let known = r#"{"weights": "q4_0"}"#;
        assert_eq!(Settings::from_json(known).weight_format(), Some(WeightFormat::Q4_0));
    }
}
