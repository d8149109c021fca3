//! Models in the folders of other programs.
//!
//! Ollama keeps contents in `blobs/sha256-<digits>`, and in `manifests/<host>/<owner>/<name>/<tag>` which of them a model is made of.
//! LM Studio keeps `<publisher>/<repository>/<file>.gguf`. Any other folder is searched like that one.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Manifests have about a kilobyte.
const MAX_MANIFEST: u64 = 1 << 20;
/// Entries of a folder and the folders in it that are looked at.
const MAX_ENTRIES: usize = 20_000;
/// Folders below the one that was named.
const MAX_DEPTH: usize = 5;
/// The host and the owner that Ollama does not write in names.
const OLLAMA_HOST: &str = "registry.ollama.ai";
const OLLAMA_OWNER: &str = "library";
/// The kind of a manifest's layer that is the GGUF file, and the one that changes its weights.
const MODEL_LAYER: &str = "application/vnd.ollama.image.model";
const ADAPTER_LAYER: &str = "application/vnd.ollama.image.adapter";

/// A model in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name there: `gemma2:2b`, or `publisher/repository/file.gguf`.
    pub(super) name: String,
    /// The GGUF file.
    pub(super) path: PathBuf,
    /// Where it was found, as shown in lists.
    pub(super) note: &'static str,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
}

/// The models in a folder, sorted by name. What cannot be read is left out.
pub(super) fn in_folder(folder: &Path) -> Vec<Found> {
    // Ollama's folder, or the one that holds it.
    let ollama = [folder.to_owned(), folder.join("models")];
    let ollama = ollama.into_iter().find(|folder| folder.join("manifests").is_dir() && folder.join("blobs").is_dir());
    let mut found = match ollama {
        Some(folder) => of_ollama(&folder),
        None => ggufs(folder),
    };
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The model that a person named, by its name in the folder: in full, without `.gguf`, as `publisher/repository` where that has only
/// one, or as a name of Ollama without the tag `latest`.
pub(super) fn named<'a>(found: &'a [Found], name: &str) -> Option<&'a Found> {
    let latest = format!("{name}:latest");
    let file = name.replacen(':', "/", 1);
    let exact = |known: &str| {
        known == name
            || known == latest
            || known == file
            || known.strip_suffix(".gguf").is_some_and(|stem| stem == name)
    };
    found.iter().find(|model| exact(&model.name)).or_else(|| {
        let inside = |model: &&Found| model.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let mut inside = found.iter().filter(inside);
        inside.next().filter(|_| name.contains('/') && inside.next().is_none())
    })
}

fn of_ollama(folder: &Path) -> Vec<Found> {
    let manifests = folder.join("manifests");
    let model = |manifest: PathBuf| {
        let parts: Vec<String> = manifest
            .strip_prefix(&manifests)
            .ok()?
            .iter()
            .map(|part| Some(part.to_str()?.to_owned()))
            .collect::<Option<_>>()?;
        let [host, owner, name, tag] = parts.as_slice() else { return None };
        let name = match (host.as_str(), owner.as_str()) {
            (OLLAMA_HOST, OLLAMA_OWNER) => format!("{name}:{tag}"),
            (OLLAMA_HOST, _) => format!("{owner}/{name}:{tag}"),
            _ => format!("{host}/{owner}/{name}:{tag}"),
        };
        let path = folder.join("blobs").join(model_blob(&manifest)?);
        path.is_file().then_some(Found { name, path, note: "in Ollama's folder" })
    };
    files(&manifests).into_iter().filter_map(model).collect()
}

/// The name of the blob that is the model of a manifest; `None` where there is not exactly one, or an adapter would change it.
fn model_blob(manifest: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(manifest).ok()?.take(MAX_MANIFEST).read_to_end(&mut bytes).ok()?;
    let manifest: Manifest = serde_json::from_slice(&bytes).ok()?;
    if manifest.layers.iter().any(|layer| layer.media_type == ADAPTER_LAYER) {
        return None;
    }
    let mut models = manifest.layers.iter().filter(|layer| layer.media_type == MODEL_LAYER);
    let digest = models.next().filter(|_| models.next().is_none())?.digest.strip_prefix("sha256:")?;
    // A name of another form could lead out of the folder.
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_digest.then(|| format!("sha256-{digest}"))
}

/// The GGUF models below a folder, of which a split one is its first part. Encoders of images are no models.
pub(super) fn ggufs(folder: &Path) -> Vec<Found> {
    let model = |path: PathBuf| {
        let file = path.file_name()?.to_str()?;
        let is_later = part_of(file.strip_suffix(".gguf")?).is_some_and(|(_, number, _)| number != "00001");
        if is_later || file.starts_with("mmproj") {
            return None;
        }
        let name: Vec<&str> =
            path.strip_prefix(folder).ok()?.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        Some(Found { name: name.join("/"), note: "in a folder that you added", path })
    };
    files(folder).into_iter().filter_map(model).collect()
}

/// The files of a GGUF model: all parts of a split one, or else the file.
pub(super) fn parts(path: &Path) -> Vec<PathBuf> {
    let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".gguf"));
    let Some((name, _, count)) = stem.and_then(part_of) else { return vec![path.to_owned()] };
    let part = |number: u32| path.with_file_name(format!("{name}-{number:05}-of-{count}.gguf"));
    (1..=count.parse::<u32>().unwrap_or(0)).map(part).collect()
}

/// The name of a split model, the number of a part and how many there are, from a file's name without its ending:
/// `name-00002-of-00003`.
fn part_of(stem: &str) -> Option<(&str, &str, &str)> {
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (name, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some((name, number, count))
}

/// The files below a folder. Links to folders are not followed, because they could lead in a circle.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders, mut seen) = (Vec::new(), vec![(folder.to_owned(), 0)], 0);
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                log::warn!("{} holds more than {MAX_ENTRIES} files; the rest is not looked at", folder.display());
                return found;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => folders.push((entry.path(), depth + 1)),
                Ok(kind) if kind.is_dir() => {}
                Ok(_) if entry.path().is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn manifest(kind: &str, digest: &str) -> String {
        serde_json::json!({"schemaVersion": 2, "layers": [
            {"mediaType": kind, "digest": digest, "size": 1},
            {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:x", "size": 1},
        ]})
        .to_string()
    }

    fn names(found: &[Found]) -> Vec<&str> {
        found.iter().map(|model| model.name.as_str()).collect()
    }

    #[test]
    fn models_of_ollama_are_found_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let digits = "0123456789abcdef".repeat(4);
        let models = folder.path().join("models");
        let blob = models.join(format!("blobs/sha256-{digits}"));
        write(&blob, "GGUF");
        let good = manifest(MODEL_LAYER, &format!("sha256:{digits}"));
        for place in
            ["registry.ollama.ai/library/gemma2/2b", "registry.ollama.ai/library/gemma2/latest", "hf.co/a/b/Q4_0"]
        {
            write(&models.join("manifests").join(place), &good);
        }
        for folder in [folder.path(), &models] {
            let found = in_folder(folder);
            assert_eq!(names(&found), ["gemma2:2b", "gemma2:latest", "hf.co/a/b:Q4_0"]);
            assert!(found.iter().all(|model| model.path == blob));
            assert_eq!(named(&found, "gemma2").unwrap().name, "gemma2:latest");
            assert_eq!(named(&found, "gemma2:2b").unwrap().name, "gemma2:2b");
            assert!(named(&found, "gemma").is_none() && named(&found, "").is_none());
        }
    }

    #[test]
    fn hostile_manifests_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let digits = "0123456789abcdef".repeat(4);
        write(&folder.path().join("secret"), "GGUF");
        write(&folder.path().join("models/blobs/x"), "GGUF");
        write(&folder.path().join(format!("models/blobs/sha256-{digits}")), "GGUF");
        let good = format!("sha256:{digits}");
        let adapter = serde_json::json!({"layers": [
            {"mediaType": MODEL_LAYER, "digest": good}, {"mediaType": ADAPTER_LAYER, "digest": good}]});
        let two = serde_json::json!({"layers": [
            {"mediaType": MODEL_LAYER, "digest": good}, {"mediaType": MODEL_LAYER, "digest": good}]});
        let texts = [
            manifest(MODEL_LAYER, "sha256:../../secret"),
            manifest(MODEL_LAYER, "sha256:/etc/passwd"),
            manifest(MODEL_LAYER, "../x"),
            manifest(MODEL_LAYER, &format!("sha256:{}", "0".repeat(64))),
            manifest(MODEL_LAYER, &format!("sha256:{}", digits.to_uppercase())),
            manifest("text/plain", &good),
            adapter.to_string(),
            two.to_string(),
            "{".to_owned(),
            "[]".to_owned(),
            r#"{"layers": 7}"#.to_owned(),
            "[".repeat(100_000),
        ];
        for (i, text) in texts.iter().enumerate() {
            write(&folder.path().join(format!("models/manifests/registry.ollama.ai/library/m/{i}")), text);
        }
        write(&folder.path().join("models/manifests/too/short"), &manifest(MODEL_LAYER, &good));
        assert_eq!(in_folder(folder.path()), []);
    }

    #[test]
    fn files_of_lm_studio_are_found_by_publisher_and_repository() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "a/one/m-Q4_0.gguf",
            "a/one/mmproj-m.gguf",
            "a/split/m-00001-of-00002.gguf",
            "a/split/m-00002-of-00002.gguf",
            "b/two/x.gguf",
            "b/two/y.gguf",
            "b/two/é-00002-of-0002.gguf",
            "b/two/readme.md",
            "1/2/3/4/5/6/deep.gguf",
        ];
        files.iter().for_each(|file| write(&folder.path().join(file), "GGUF"));
        let found = in_folder(folder.path());
        let expected = [
            "a/one/m-Q4_0.gguf",
            "a/split/m-00001-of-00002.gguf",
            "b/two/x.gguf",
            "b/two/y.gguf",
            "b/two/é-00002-of-0002.gguf",
        ];
        assert_eq!(names(&found), expected);
        for (name, expected) in [
            ("a/one", Some("a/one/m-Q4_0.gguf")),
            ("a/one/m-Q4_0", Some("a/one/m-Q4_0.gguf")),
            ("b/two:y.gguf", Some("b/two/y.gguf")),
            ("b/two", None),
            ("a", None),
        ] {
            assert_eq!(named(&found, name).map(|model| model.name.as_str()), expected, "{name}");
        }
        assert!(in_folder(&folder.path().join("nothing")).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_circle_of_links_ends() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a/b/m.gguf"), "GGUF");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/again")).unwrap();
        assert_eq!(names(&in_folder(folder.path())), ["a/b/m.gguf"]);
    }
}
