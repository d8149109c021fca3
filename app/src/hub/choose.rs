//! Which files of a repository make the model that a person asked for.

use super::error::{HubError, Result};
use super::name::RepoId;

/// Files beside the weights of a safetensors model that are used here, or by other programs that load the folder.
const BESIDE: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];
/// Tags of the usual choice among several GGUF files, the first that is there: small, and close to the original.
const USUAL: [&str; 4] = ["q4_k_m", "q4_0", "q5_k_m", "q8_0"];

/// The files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The file to open; `None` for the folder of all files.
    pub open: Option<String>,
    /// All its files, as paths in the repository.
    pub files: Vec<String>,
}

/// Chooses a model among the files of a repository: the one whose file or tag is `wanted`, else safetensors, else the only
/// GGUF model or the usual one.
///
/// # Errors
/// [`HubError::FileNotFound`], [`HubError::SeveralModels`] and [`HubError::NoModel`].
pub fn choose(repo: &RepoId, files: &[String], wanted: Option<&str>) -> Result<Choice> {
    let ggufs = gguf_models(files);
    let folder = folder_model(files);
    let names = || ggufs.iter().map(|gguf| gguf.open.clone().unwrap_or_default()).collect::<Vec<_>>();
    let Some(wanted) = wanted else {
        if let Some(folder) = folder {
            return Ok(folder);
        }
        if let [only] = ggufs.as_slice() {
            return Ok(only.clone());
        }
        let usual = USUAL.iter().find_map(|tag| one(ggufs.iter().filter(|gguf| has_tag(gguf, tag))));
        return match (usual, ggufs.is_empty()) {
            (Some(usual), _) => Ok(usual),
            (None, true) => Err(HubError::NoModel { repo: repo.to_string() }),
            (None, false) => Err(HubError::SeveralModels { repo: repo.to_string(), found: names() }),
        };
    };
    let exact = ggufs.iter().find(|gguf| gguf.files.iter().any(|file| file == wanted));
    if let Some(exact) = exact {
        return Ok(exact.clone());
    }
    let tagged: Vec<&Choice> = ggufs.iter().filter(|gguf| has_tag(gguf, wanted)).collect();
    match (tagged.as_slice(), folder) {
        ([only], _) => Ok((*only).clone()),
        ([], Some(folder)) if is_folder_name(wanted, &folder) => Ok(folder),
        ([], _) => Err(HubError::FileNotFound { repo: repo.to_string(), file: wanted.to_owned(), found: names() }),
        (several, _) => Err(HubError::SeveralModels {
            repo: repo.to_string(),
            found: several.iter().filter_map(|gguf| gguf.open.clone()).collect(),
        }),
    }
}

/// The safetensors model of a repository: those of `model.safetensors`, or of all parts that its index lists.
fn folder_model(files: &[String]) -> Option<Choice> {
    let has = |name: &str| files.iter().any(|file| file == name);
    let single = has("model.safetensors");
    if !has("config.json") || !(single || has("model.safetensors.index.json")) {
        return None;
    }
    let is_weight = |file: &str| match single {
        true => file == "model.safetensors",
        false => {
            file == "model.safetensors.index.json"
                || (file.starts_with("model-") && file.ends_with(".safetensors") && !file.contains('/'))
        }
    };
    let chosen = files.iter().filter(|file| BESIDE.contains(&file.as_str()) || is_weight(file));
    Some(Choice { open: None, files: chosen.cloned().collect() })
}

/// The GGUF models of a repository, each with all its parts. Encoders of images are no models.
fn gguf_models(files: &[String]) -> Vec<Choice> {
    let mut models: Vec<(String, Choice)> = Vec::new();
    for file in files.iter().filter(|file| file.ends_with(".gguf") && !name_of(file).starts_with("mmproj")) {
        let stem = stem_of(file);
        match models.iter_mut().find(|(known, _)| *known == stem) {
            Some((_, model)) => model.files.push(file.clone()),
            None => models.push((stem, Choice { open: Some(file.clone()), files: vec![file.clone()] })),
        }
    }
    for (_, model) in &mut models {
        model.files.sort();
        model.open = model.files.first().cloned();
    }
    models.into_iter().map(|(_, model)| model).collect()
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the paths of all parts of a split model start with, or the path itself.
fn stem_of(file: &str) -> String {
    let stem = file.strip_suffix(".gguf").unwrap_or(file);
    match split_name(stem) {
        Some((start, _, count)) => format!("{start}-of-{count}"),
        None => stem.to_owned(),
    }
}

/// Which part of how many a file is, by its name `…-00001-of-00003.gguf`; `None` where it is no part.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn part_of(file: &str) -> Option<(u32, u32)> {
    let (_, number, count) = split_name(file.strip_suffix(".gguf")?)?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

/// The start, the number and the count of the name of a part, without its ending.
fn split_name(stem: &str) -> Option<(&str, &str, &str)> {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (start, number) = rest.rsplit_once('-')?;
    (digits(number) && digits(count)).then_some((start, number, count))
}

/// Whether a word such as `Q4_K_M` is a part of the model's file name, between punctuation.
fn has_tag(model: &Choice, tag: &str) -> bool {
    let name = model.open.as_deref().map(name_of).unwrap_or_default().to_lowercase();
    let tag = tag.to_lowercase();
    let is_border = |c: char| matches!(c, '-' | '.' | '_');
    name.match_indices(&tag).any(|(start, _)| {
        let (before, after) = (&name[..start], &name[start + tag.len()..]);
        let begins = before.is_empty() || before.ends_with(is_border);
        // `q4_k` is not `q4_k_m`, and `it` is not `it-qat`'s format either: a tag ends the name.
        begins && (after == ".gguf" || (after.starts_with('-') && after.contains("-of-")))
    })
}

fn is_folder_name(wanted: &str, folder: &Choice) -> bool {
    wanted.eq_ignore_ascii_case("safetensors") || folder.files.iter().any(|file| file == wanted)
}

/// The only item.
fn one<'a>(mut items: impl Iterator<Item = &'a Choice>) -> Option<Choice> {
    let first = items.next()?;
    items.next().is_none().then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str], wanted: Option<&str>) -> Result<Choice> {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        choose(&"a/b".parse().unwrap(), &files, wanted)
    }

    fn opened(files: &[&str], wanted: Option<&str>) -> Option<String> {
        chosen(files, wanted).unwrap().open
    }

    #[test]
    fn a_gguf_is_chosen_by_name_tag_or_custom() {
        let files = ["m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-Q4_K.gguf", "m-f16.gguf", "mmproj-m-f16.gguf", "README.md"];
        assert_eq!(opened(&files, None).as_deref(), Some("m-Q4_K_M.gguf"));
        assert_eq!(opened(&files, Some("q4_k")).as_deref(), Some("m-Q4_K.gguf"));
        assert_eq!(opened(&files, Some("F16")).as_deref(), Some("m-f16.gguf"));
        assert_eq!(opened(&files, Some("m-Q4_K_S.gguf")).as_deref(), Some("m-Q4_K_S.gguf"));
        assert!(matches!(chosen(&files, Some("q2_k")), Err(HubError::FileNotFound { found, .. }) if found.len() == 4));
        assert_eq!(opened(&["odd.gguf"], None).as_deref(), Some("odd.gguf"));
        assert!(matches!(chosen(&["x.gguf", "y.gguf"], None), Err(HubError::SeveralModels { .. })));
        assert!(matches!(chosen(&["README.md"], None), Err(HubError::NoModel { .. })));
    }

    #[test]
    fn a_split_gguf_is_one_model() {
        let files = ["q8/m-Q8_0-00002-of-00002.gguf", "q8/m-Q8_0-00001-of-00002.gguf", "m-Q4_0.gguf"];
        let choice = chosen(&files, Some("q8_0")).unwrap();
        assert_eq!(choice.open.as_deref(), Some("q8/m-Q8_0-00001-of-00002.gguf"));
        assert_eq!(choice.files.len(), 2);
    }

    #[test]
    fn safetensors_come_with_what_they_need_and_nothing_else() {
        let files = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
            "README.md",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "m-Q4_0.gguf",
        ];
        let choice = chosen(&files, None).unwrap();
        assert_eq!((choice.open, choice.files.len()), (None, 5));
        assert_eq!(opened(&files, Some("q4_0")).as_deref(), Some("m-Q4_0.gguf"));
        assert_eq!(opened(&files, Some("safetensors")), None);
    }
}
