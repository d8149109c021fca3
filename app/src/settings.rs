//! The user's settings and their JSON form.

use lapidary_engine::{Sampling, WeightFormat};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::ServerModel;
use crate::worker::Overflow;

/// How the tokens of replies are chosen; see [`Sampling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingParams {
    /// 0 always chooses the most probable token.
    pub temperature: f32,
    /// The number of most probable tokens to choose among; 0 for all.
    pub top_k: u32,
    /// The cumulative probability to choose among, from 0 to 1.
    pub top_p: f32,
    /// The least probability relative to the most probable token, from 0 to 1.
    pub min_p: f32,
    /// The repetition penalty; 1 for none.
    pub repetition_penalty: f32,
    /// Equal seeds give equal replies; `None` for a new seed per reply.
    pub seed: Option<u64>,
    /// The most tokens of a reply; `None` for as many as fit the context.
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
    /// The engine's parameters. The guide is always sampled greedily: it was trained on one answer per question, so
    /// random sampling would only add errors.
    pub fn to_engine(&self, is_guide: bool) -> Sampling {
        let Self { temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens } = self.clone();
        let temperature = if is_guide { 0.0 } else { temperature };
        Sampling { temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens, ..Sampling::default() }
    }
}

/// A named set of settings: an assistant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    /// The name that the user gave it.
    pub name: String,
    /// How the tokens of replies are chosen.
    #[serde(default, deserialize_with = "sampling_or_default")]
    pub sampling: SamplingParams,
    /// The system prompt; empty to leave the chat's own.
    #[serde(default)]
    pub system: String,
    /// The path of the model, or [`guide::NAME`](crate::guide::NAME); `None` to leave the chat's own.
    #[serde(default)]
    pub model: Option<String>,
}

/// The sampling parameters of a preset. If they cannot be read, the rest of the preset is kept.
fn sampling_or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SamplingParams, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// A text that is kept to be sent again and again. Typing `/` finds it by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedPrompt {
    /// The name that the user gave it.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A model of a server that was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedServer {
    /// The server's address.
    pub address: String,
    /// The server's name for the model.
    pub model: String,
}

impl From<&ServerModel> for SavedServer {
    fn from(server: &ServerModel) -> Self {
        Self { address: server.address.to_string(), model: server.model.clone() }
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Follow the system.
    #[default]
    System,
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How the tokens of replies are chosen.
    pub sampling: SamplingParams,
    /// The system prompt of new chats.
    pub system: String,
    /// Named sets of sampling parameters and a system prompt.
    pub presets: Vec<Preset>,
    /// Texts that are kept to be sent again.
    pub prompts: Vec<SavedPrompt>,
    /// The name of the weight format; `None` for the format in the file.
    pub weights: Option<String>,
    /// Context length in tokens; `None` for the model's own.
    pub context: Option<usize>,
    /// The adapter's name; `None` for the fastest.
    pub device: Option<String>,
    /// What to do when a chat no longer fits the context.
    pub overflow: Overflow,
    /// Light or dark.
    pub theme: Theme,
    /// The zoom factor; 1 is normal.
    pub zoom: f32,
    /// Whether animations are off.
    pub reduced_motion: bool,
    /// Whether the list of chats is shown.
    pub sidebar: bool,
    /// Whether the model writes the titles of chats. The guide never does.
    pub model_titles: bool,
    /// Whether the end of a reply is told while the window is in the background.
    pub notify_replies: bool,
    /// Whether other programs on this machine can use the model.
    pub serves: bool,
    /// The port at which they find it.
    pub serving_port: u16,
    /// Models of servers that were used, the most recent first. Their keys are kept elsewhere.
    pub servers: Vec<SavedServer>,
}

/// The most entries of [`Settings::servers`].
const MAX_SERVERS: usize = 8;

/// The range of [`Settings::zoom`].
pub const ZOOM_RANGE: std::ops::RangeInclusive<f32> = 0.5..=3.0;

impl Default for Settings {
    fn default() -> Self {
        Self {
            sampling: SamplingParams::default(),
            system: String::new(),
            presets: Vec::new(),
            prompts: Vec::new(),
            weights: None,
            context: None,
            device: None,
            overflow: Overflow::default(),
            theme: Theme::default(),
            zoom: 1.0,
            reduced_motion: false,
            sidebar: true,
            model_titles: true,
            notify_replies: true,
            serves: false,
            serving_port: 8080,
            servers: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads saved settings. Each one that is invalid becomes its default and the others are kept, because those of another
    /// version must neither keep the window from opening nor be lost. Of a preset only the sampling parameters are reset.
    pub fn from_json(text: &str) -> Self {
        let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_else(|error| {
            log::warn!("the settings cannot be read and are reset: {error}");
            Map::new()
        });
        let (mut readable, mut settings) = (Map::new(), Self::default());
        for (name, value) in fields {
            readable.insert(name.clone(), value);
            match serde_json::from_value(Value::Object(readable.clone())) {
                Ok(read) => settings = read,
                Err(error) => {
                    log::warn!("the setting {name} cannot be read and is reset: {error}");
                    readable.remove(&name);
                }
            }
        }
        let presets = settings.presets.iter_mut().map(|preset| &mut preset.sampling);
        for sampling in presets.chain([&mut settings.sampling]) {
            if sampling.to_engine(false).check().is_err() {
                *sampling = SamplingParams::default();
            }
        }
        if !ZOOM_RANGE.contains(&settings.zoom) {
            settings.zoom = 1.0;
        }
        settings
    }

    /// The JSON for [`Settings::from_json`].
    pub fn to_json(&self) -> String {
        // Every field has a JSON form, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds a model of a server to the recently used ones. Returns those that no longer have a place.
    pub fn remember_server(&mut self, server: &ServerModel) -> Vec<SavedServer> {
        put_first(&mut self.servers, server.into(), MAX_SERVERS)
    }

    /// The weight format, if one is chosen.
    pub fn weight_format(&self) -> Option<WeightFormat> {
        self.weights.as_deref()?.parse().ok()
    }
}

/// Puts an entry first in a list that holds at most `most`, each once. Returns those that no longer have a place.
pub(crate) fn put_first<T: PartialEq>(recent: &mut Vec<T>, entry: T, most: usize) -> Vec<T> {
    recent.retain(|known| *known != entry);
    recent.insert(0, entry);
    recent.split_off(most.min(recent.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Address;

    #[test]
    fn settings_survive_a_restart() {
        let mut settings = Settings { zoom: 1.5, theme: Theme::Dark, ..Settings::default() };
        settings.sampling.seed = Some(7);
        settings.presets.push(Preset {
            name: "calm".into(),
            sampling: SamplingParams::default(),
            system: "Be calm.".into(),
            model: Some("/calm.gguf".into()),
        });
        settings.prompts.push(SavedPrompt { name: "shorter".into(), text: "Say it in one sentence.".into() });
        assert_eq!(Settings::from_json(&settings.to_json()), settings);
    }

    #[test]
    fn recent_servers_are_listed_once_each_and_survive_a_restart() {
        let mut settings = Settings::default();
        let mut dropped = Vec::new();
        for number in (0..20).chain([15]) {
            let address = Address::parse(&format!("localhost:{}", 8000 + number)).unwrap();
            dropped.extend(settings.remember_server(&ServerModel { address, model: "m".into() }));
        }
        let first = (0..12).map(|number| format!("http://localhost:{}/v1", 8000 + number));
        assert!(dropped.iter().map(|saved| saved.address.clone()).eq(first), "{dropped:?}");
        assert_eq!(settings.servers.len(), MAX_SERVERS);
        let addresses: Vec<&str> = settings.servers.iter().map(|saved| saved.address.as_str()).take(2).collect();
        assert_eq!(addresses, ["http://localhost:8015/v1", "http://localhost:8019/v1"]);
        assert_eq!(Settings::from_json(&settings.to_json()), settings);
    }

    #[test]
    fn invalid_settings_become_defaults() {
        assert_eq!(Settings::from_json("nonsense"), Settings::default());
        let invalid = r#"{"zoom": 900, "sampling": {"top_p": 7}, "new field": 1}"#;
        assert_eq!(Settings::from_json(invalid), Settings::default());
        let known = r#"{"weights": "q4_0"}"#;
        assert_eq!(Settings::from_json(known).weight_format(), Some(WeightFormat::Q4_0));
    }

    #[test]
    fn invalid_values_leave_the_others() {
        let text = r#"{
            "theme": "sepia", "zoom": 1.5, "sampling": {"seed": 7},
            "prompts": [{"name": "shorter", "text": "Say it in one sentence."}],
            "presets": [
                {"name": "calm", "sampling": {"top_p": 7}, "system": "Be calm."},
                {"name": "wild", "sampling": {"temperature": "hot"}, "system": "Be wild."},
                {"name": "brief", "system": "Be brief."}
            ]
        }"#;
        let settings = Settings::from_json(text);
        assert_eq!((settings.theme, settings.zoom), (Theme::System, 1.5));
        assert_eq!(settings.sampling.seed, Some(7));
        assert_eq!(settings.prompts[0].text, "Say it in one sentence.");
        let presets = settings.presets.iter().map(|preset| (preset.name.as_str(), preset.system.as_str()));
        assert!(presets.eq([("calm", "Be calm."), ("wild", "Be wild."), ("brief", "Be brief.")]));
        assert!(settings.presets.iter().all(|preset| preset.sampling == SamplingParams::default()));
    }
}
