//! Reads `tokenizer.json` into the parts of a tokenizer.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokenizers::AddedToken;
use tokenizers::normalizers::Replace;

use super::{Parts, SPACE_MARK, bad, is_control_name};
use crate::error::{Error, Result, clip};

/// Reads the parts of a `tokenizer.json`. Control pieces beyond the embedding are skipped and are no error, because
/// Gemma-3's text models have a piece for images without a row in the embedding.
pub(super) fn parts(path: &Path, bytes: &[u8], vocab_size: usize) -> Result<Parts> {
    let unsupported = |what: &str| Error::Unsupported {
        what: format!("{what} in {}", path.display()),
        hint: "use the tokenizer.json that Gemma comes with".to_owned(),
    };
    let file = serde_json::from_slice::<TokenizerJson>(bytes);
    // Other kinds have vocabularies of other shapes. So check the kind first, which gives the clearer error.
    let kind = match &file {
        Ok(file) => file.model.kind.clone(),
        Err(_) => serde_json::from_slice::<KindJson>(bytes).ok().and_then(|file| file.model.kind),
    };
    if let Some(kind) = kind.filter(|kind| kind != "BPE") {
        return Err(unsupported(&format!("the tokenizer kind {:?}", clip(&kind))));
    }
    let file = file.map_err(|error| bad(path, error))?;
    for (part, json) in
        [("decoder", &file.decoder), ("normalizer", &file.normalizer), ("pre_tokenizer", &file.pre_tokenizer)]
    {
        if json.as_ref().is_some_and(|json| !is_gemmas(part, json)) {
            return Err(unsupported(&format!("the {part}")));
        }
    }
    // Gemma-3's pre-tokenizer splits at spaces. It has no effect, because the normalizer has replaced all spaces.
    if file.pre_tokenizer.is_some() && file.normalizer.is_none() {
        return Err(unsupported("the pre_tokenizer"));
    }
    if let Some(token) = file.added_tokens.iter().find(|token| token.lstrip || token.rstrip || token.single_word) {
        return Err(unsupported(&format!("lstrip, rstrip or single_word of {:?}", clip(&token.content))));
    }
    let normalizer = match file.normalizer {
        Some(_) => Some(Replace::new(" ", SPACE_MARK).map_err(|error| bad(path, error))?.into()),
        None => None,
    };
    let model = file.model;
    let affix = |affix: Option<String>| affix.is_some_and(|affix| !affix.is_empty());
    if model.ignore_merges || affix(model.continuing_subword_prefix) || affix(model.end_of_word_suffix) {
        return Err(unsupported("ignore_merges, continuing_subword_prefix or end_of_word_suffix"));
    }

    let mut parts = Parts {
        path: path.to_owned(),
        merges: model.merges.into_iter().map(|merge| (merge.0, merge.1)).collect(),
        byte_fallback: model.byte_fallback,
        fuse_unk: model.fuse_unk,
        normalizer,
        ..Parts::default()
    };
    let mut added: HashMap<String, AddedJson> = HashMap::with_capacity(file.added_tokens.len());
    for token in file.added_tokens {
        let (piece, id) = (token.content.clone(), token.id);
        if added.insert(piece.clone(), token).is_some_and(|other| other.id != id) {
            return Err(bad(path, format!("the piece {:?} has two ids", clip(&piece))));
        }
    }
    let mut unk = None;
    for (piece, id) in model.vocab.0 {
        let token = added.remove(&piece);
        if token.as_ref().is_some_and(|token| token.id != id) {
            return Err(bad(path, format!("the piece {:?} has two ids", clip(&piece))));
        }
        let is_unk = model.unk_token.as_ref() == Some(&piece);
        if is_unk {
            unk = Some(id);
        }
        let control = is_unk || is_control_name(&piece) || token.as_ref().is_some_and(|token| token.special);
        parts.add(piece, id, control, token.map(AddedJson::into_token));
    }
    if let Some(unk) = model.unk_token.filter(|_| unk.is_none()) {
        return Err(bad(path, format!("its unk_token {:?} is not in its vocabulary", clip(&unk))));
    }
    parts.unk = unk;
    // The remaining added tokens are not in the vocabulary.
    for (piece, token) in added {
        let control = token.special || is_control_name(&piece);
        if control && token.id as usize >= vocab_size {
            log::debug!("{}: the model has no row for {:?}", path.display(), clip(&piece));
            continue;
        }
        parts.add(piece, token.id, control, Some(token.into_token()));
    }
    Ok(parts)
}

/// Only the kind of a `tokenizer.json`.
#[derive(Deserialize)]
struct KindJson {
    model: KindModel,
}

#[derive(Deserialize)]
struct KindModel {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The fields of a `tokenizer.json` that are read. Truncation, padding and the post-processor, which adds `<bos>`, are
/// not.
#[derive(Deserialize)]
struct TokenizerJson {
    #[serde(default)]
    added_tokens: Vec<AddedJson>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Option<Value>,
    model: ModelJson,
}

#[derive(Deserialize)]
struct AddedJson {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl AddedJson {
    fn into_token(self) -> AddedToken {
        AddedToken::from(self.content, self.special).normalized(self.normalized)
    }
}

#[derive(Deserialize)]
struct ModelJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: Entries,
    merges: Vec<Merge>,
}

/// Whether a part of the file is Gemma's. Others are refused: the library panics on some, and
/// [`Detokenizer`](super::Detokenizer) implements Gemma's decoder alone.
fn is_gemmas(part: &str, json: &Value) -> bool {
    let pattern = &json["pattern"];
    let finds_spaces = pattern["String"] == " " || pattern["Regex"] == " ";
    match (part, json["type"].as_str().unwrap_or_default()) {
        ("normalizer", "Replace") => finds_spaces && json["content"] == SPACE_MARK,
        ("pre_tokenizer", "Split") => {
            let not_inverted = matches!(json["invert"], Value::Null | Value::Bool(false));
            finds_spaces && not_inverted && json["behavior"] == "MergedWithPrevious"
        }
        ("decoder", "Sequence") => {
            json["decoders"].as_array().is_some_and(|steps| steps.iter().all(|step| is_gemmas(part, step)))
        }
        ("decoder", "Replace") => json["content"] == " ",
        ("decoder", "ByteFallback" | "Fuse") => true,
        _ => false,
    }
}

/// A JSON object of pieces and ids in the file's order. It keeps duplicates, which a map would hide.
struct Entries(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of pieces and ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Entry)
    }
}

/// A merge: `["a", "b"]` in newer files, `"a b"` in older ones.
struct Merge(String, String);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two pieces")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Merge, E> {
                let mut pieces = text.split(' ');
                match (pieces.next(), pieces.next(), pieces.next()) {
                    (Some(left), Some(right), None) => Ok(Merge(left.to_owned(), right.to_owned())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<Merge, A::Error> {
                let left = pieces.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let right = pieces.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                Ok(Merge(left, right))
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
