//! Reading the fields of a JSON object, with errors that name them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// Ids that may end a reply; real models have one to four.
const MAX_STOPS: usize = 64;

/// Parses a file that is one object.
pub(super) fn parse(json: &[u8], path: &Path) -> Result<Object> {
    let reason = match serde_json::from_slice(json) {
        Ok(Value::Object(map)) => return Ok(map),
        Ok(_) => "it must be a JSON object".to_owned(),
        Err(error) => format!("it is not JSON: {error}"),
    };
    Err(Error::BadFile { path: path.to_owned(), reason })
}

/// One id or a list of them.
pub(super) fn ids(fields: &Fields<'_>, name: &str) -> Result<Option<Vec<u32>>> {
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match value {
        Value::Array(list) if list.len() > MAX_STOPS => None,
        Value::Array(list) => list.iter().map(id).collect(),
        value => id(value).map(|id| vec![id]),
    };
    match ids {
        Some(ids) => Ok(Some(ids)),
        None => Err(fields.error(name, &format!("it must be a token id or a list of at most {MAX_STOPS}"))),
    }
}

/// An object of the file. Fields that are null count as absent.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    /// What stands before the names of the object's fields in errors, for example `text_config.`.
    pub(super) prefix: &'a str,
    pub(super) map: &'a Object,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn spell(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn error(&self, name: &str, reason: &str) -> Error {
        Error::Config { path: self.path.to_owned(), field: self.spell(name), reason: reason.to_owned() }
    }

    pub(super) fn unsupported(&self, name: &str, value: &str, hint: &str) -> Error {
        Error::Unsupported {
            what: format!("{} {value} in {}", self.spell(name), self.path.display()),
            hint: hint.to_owned(),
        }
    }

    fn typed<T>(&self, name: &str, expected: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        match self.get(name).map(read) {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(self.error(name, &format!("it must be {expected}"))),
        }
    }

    pub(super) fn size(&self, name: &str, default: Option<usize>) -> Result<usize> {
        let read = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
        match self.typed(name, "a whole number of 0 or more", read)?.or(default) {
            Some(size) => Ok(size),
            None => Err(self.error(name, "it is missing; expected a whole number")),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a number", Value::as_f64)
    }

    /// A cap, where null means none.
    pub(super) fn cap(&self, name: &str, default: Option<f32>) -> Result<Option<f32>> {
        if !self.map.contains_key(name) {
            return Ok(default);
        }
        Ok(self.number(name)?.map(|cap| cap as f32))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&'a Object>> {
        self.typed(name, "an object", Value::as_object)
    }

    pub(super) fn id(&self, name: &str) -> Result<Option<u32>> {
        self.typed(name, "a token id", |value| value.as_u64().and_then(|id| u32::try_from(id).ok()))
    }
}
