//! The models that the program knows by name.

use std::sync::LazyLock;

use lapidary_engine::config::Config;
use lapidary_engine::{ModelFiles, Recipe, Result as EngineResult};
use serde::Deserialize;

use super::error::{HubError, Result};
use super::name::{Reference, RepoId, shown};

/// A model of the catalogue.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// The name that it is asked for by, such as `gemma-2-2b-it`.
    pub name: String,
    /// The name to show.
    pub title: String,
    /// Whether it answers or only continues texts.
    pub kind: Kind,
    /// What it is for, as a sentence.
    pub purpose: String,
    /// The repositories that carry it, the best first.
    pub sources: Vec<Source>,
    /// The name of its shape, as the engine knows it.
    shape: String,
}

/// Whether a model was trained to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It answers.
    Instruct,
    /// It continues texts.
    Base,
}

/// A repository that carries a model.
#[derive(Clone, Debug, Deserialize)]
pub struct Source {
    /// Its name.
    #[serde(deserialize_with = "repo_id")]
    pub repo: RepoId,
    /// The kind of its files.
    pub files: Files,
    /// Whether accounts must accept terms on its page before they may download.
    pub gated: bool,
    /// The formats that it has, as tags of file names.
    pub formats: Vec<String>,
}

/// The kind of a repository's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Files {
    /// One file per format.
    Gguf,
    /// A folder with the weights as they were trained.
    Safetensors,
}

#[derive(Deserialize)]
struct Catalogue {
    models: Vec<Entry>,
}

fn repo_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<RepoId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    // The file is a part of the program, and a test reads it.
    serde_json::from_str(include_str!("catalogue.json")).expect("the catalogue is a part of the program")
});

/// All models of the catalogue: those that answer first, each kind from small to large.
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE.models
}

impl Entry {
    /// The model of that name, in any case.
    pub fn of_name(name: &str) -> Option<&'static Self> {
        catalogue().iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    /// The model's shape, for computing sizes before anything is downloaded.
    ///
    /// # Errors
    /// None for the entries of the catalogue, as a test shows.
    pub fn config(&self) -> EngineResult<Config> {
        Config::of_shape(&self.shape)
    }

    /// Bytes of the weights in a format, which are nearly all of a download: a vocabulary adds some ten megabytes.
    ///
    /// # Errors
    /// As [`Entry::config`].
    pub fn bytes(&self, recipe: Recipe) -> EngineResult<u64> {
        Ok(recipe.bytes(&self.config()?))
    }

    /// The model's headers in a format, for pricing: its weights are noise.
    ///
    /// # Errors
    /// As [`Entry::config`].
    pub fn files(&self, recipe: Recipe) -> EngineResult<ModelFiles> {
        let config = self.config()?;
        let format_of = |id| recipe.format_of(id, &config);
        Ok(ModelFiles::synthetic_mixed(config.clone(), format_of, &self.title))
    }

    /// The formats that its sources list, as recipes, from the smallest to the largest.
    pub fn recipes(&self) -> Vec<Recipe> {
        let listed = self.sources.iter().flat_map(|source| &source.formats);
        let mut recipes: Vec<Recipe> = listed.filter_map(|format| format.parse().ok()).collect();
        recipes.sort_by_key(|recipe| self.bytes(*recipe).unwrap_or(0));
        recipes.dedup();
        recipes
    }

    /// The references to try in turn for a format, `None` for the usual one. Those whose list has it come first.
    fn references(&self, format: Option<&str>) -> Vec<Reference> {
        let wants_folder = format.is_some_and(|format| matches!(format, "safetensors" | "bf16"));
        let has = |source: &&Source| match (source.files, format) {
            (Files::Safetensors, Some(_)) => wants_folder,
            (Files::Safetensors, None) => true,
            (Files::Gguf, Some("safetensors")) => false,
            (Files::Gguf, _) => true,
        };
        // A list that is out of date must not hide a format that a repository has meanwhile.
        let lists = |source: &Source| format.is_none_or(|format| source.formats.iter().any(|known| known == format));
        let mut sources: Vec<&Source> = self.sources.iter().filter(has).collect();
        sources.sort_by_key(|source| !lists(source));
        let reference = |source: &Source| {
            let file = match source.files {
                Files::Gguf => format.map(str::to_owned),
                Files::Safetensors => Some("safetensors".to_owned()),
            };
            Reference::main(source.repo.clone(), file)
        };
        sources.into_iter().map(reference).collect()
    }
}

/// The repositories to try in turn for what a person typed: a name of the catalogue, perhaps with a format
/// (`gemma-2-2b-it:q8_0`), or what [`Reference`] parses.
///
/// # Errors
/// [`HubError::Name`], and [`HubError::NoSuchFormat`] where no source can have the format.
pub fn references(text: &str) -> Result<Vec<Reference>> {
    let (name, format) = match text.trim().split_once(':') {
        Some((name, format)) => (name, Some(format.to_lowercase())),
        None => (text.trim(), None),
    };
    match Entry::of_name(name) {
        Some(entry) => {
            let sources = entry.references(format.as_deref());
            match format {
                Some(format) if sources.is_empty() => Err(HubError::NoSuchFormat {
                    model: entry.name.clone(),
                    format: format.chars().take(40).collect(),
                    formats: entry.recipes().into_iter().map(|recipe| recipe.name().to_owned()).collect(),
                }),
                _ => Ok(sources),
            }
        }
        None if !text.contains('/') => Err(HubError::Name {
            text: shown(text),
            reason: format!("the catalogue has no model of that name; it has {}", names()),
        }),
        None => Ok(vec![text.parse()?]),
    }
}

fn names() -> String {
    catalogue().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_shape_and_a_source_without_a_gate() {
        for entry in catalogue() {
            let config = entry.config().unwrap();
            assert_eq!(config.layers.len(), config.num_layers, "{}", entry.name);
            assert!(entry.sources.iter().any(|source| !source.gated), "{}", entry.name);
            assert!(Entry::of_name(&entry.name.to_uppercase()).is_some());
            let formats = entry.sources.iter().flat_map(|source| &source.formats);
            formats.for_each(|format| assert!(format.parse::<Recipe>().is_ok(), "{format}"));
            let recipes = entry.recipes();
            assert!(!recipes.is_empty() && entry.bytes(recipes[0]).unwrap() > 100 << 20, "{}", entry.name);
        }
        let names: std::collections::BTreeSet<_> = catalogue().iter().map(|entry| &entry.name).collect();
        assert_eq!(names.len(), catalogue().len(), "names are unique");
    }

    #[test]
    fn a_format_that_no_source_can_have_is_an_error_that_lists_the_others() {
        let error = references("gemma-2-2b:q4_k_m").unwrap_err();
        assert!(matches!(&error, HubError::NoSuchFormat { formats, .. } if !formats.is_empty()), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("q4_k_m") && message.contains("gemma-2-2b:bf16"), "{message}");
        assert!(!references("gemma-2-2b:bf16").unwrap().is_empty());
        for entry in catalogue() {
            assert!(!references(&entry.name).unwrap().is_empty(), "{}", entry.name);
            for recipe in entry.recipes() {
                assert!(
                    !references(&format!("{}:{recipe}", entry.name)).unwrap().is_empty(),
                    "{} {recipe}",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn names_of_the_catalogue_lead_to_repositories() {
        let first = |text: &str| references(text).unwrap()[0].to_string();
        assert_eq!(first("gemma-2-2b-it"), "bartowski/gemma-2-2b-it-GGUF");
        assert_eq!(first("Gemma-2-2B-it:Q8_0"), "bartowski/gemma-2-2b-it-GGUF:q8_0");
        assert_eq!(first("gemma-3-4b-it:q4_0"), "google/gemma-3-4b-it-qat-q4_0-gguf:q4_0");
        assert_eq!(first("gemma-2-2b-it:safetensors"), "unsloth/gemma-2-2b-it:safetensors");
        assert_eq!(first("google/gemma-2-2b-it"), "google/gemma-2-2b-it");
        assert!(references("gemma-9").unwrap_err().to_string().contains("gemma-3-27b-it"));
    }
}
