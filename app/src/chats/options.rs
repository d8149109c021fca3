//! What a chat chooses for itself in place of the settings.

use serde::{Deserialize, Serialize};

use crate::settings::SamplingParams;

/// A chat's own choices. What is `None` follows the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatOptions {
    /// How the tokens of its replies are chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingParams>,
    /// The path of the model that answers, or [`guide::NAME`](crate::guide::NAME); `None` for the loaded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether the model continues the chat's text, instead of answering in turns.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
    /// The name of the preset that was applied last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
}

impl ChatOptions {
    /// Reads saved options. Invalid ones become defaults, because a value of another version must not hide the chat.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn from_json(text: &str) -> Self {
        let mut options: Self = serde_json::from_str(text).unwrap_or_else(|error| {
            log::warn!("the options of a chat cannot be read and are reset: {error}");
            Self::default()
        });
        options.drop_invalid();
        options
    }

    /// Drops sampling parameters that the engine would refuse.
    pub(super) fn drop_invalid(&mut self) {
        self.sampling.take_if(|sampling| sampling.to_engine(false).check().is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_options_are_dropped() {
        let own = ChatOptions { model: Some("guide".into()), ..ChatOptions::default() };
        assert_eq!(ChatOptions::from_json(r#"{"model": "guide", "new field": 1}"#), own);
        assert_eq!(ChatOptions::from_json(r#"{"model": "guide", "sampling": {"top_p": 7}}"#), own);
        for text in ["", "[]", "{\"model\": 3}"] {
            assert_eq!(ChatOptions::from_json(text), ChatOptions::default());
        }
    }
}
