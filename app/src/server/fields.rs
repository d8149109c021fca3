//! Reads the fields of a request and says which one is wrong.

use std::ops::RangeInclusive;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::error::ApiError;

/// The fields of a JSON object. A field that is null counts as absent, as in OpenAI's API.
pub(super) struct Fields {
    object: Map<String, Value>,
}

impl Fields {
    /// The fields of a request's body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(Self { object }),
            Ok(_) => Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", "the body is not a JSON object")),
            Err(error) => {
                let message = format!("the body is not valid JSON: {error}");
                Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message))
            }
        }
    }

    /// Those of an object that was parsed.
    pub(super) fn of(object: Map<String, Value>) -> Self {
        Self { object }
    }

    /// The object that they are of.
    pub(super) fn into_object(self) -> Map<String, Value> {
        self.object
    }

    /// The names of the fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.object.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.read(name, "a string", Value::as_str)
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    pub(super) fn integer(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        self.read(name, &expected, |value| value.as_u64().filter(|number| range.contains(number)))
    }

    pub(super) fn number(&self, name: &str, range: RangeInclusive<f32>) -> Result<Option<f32>, ApiError> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let in_range = |number: &f32| range.contains(number);
        self.read(name, &expected, |value| value.as_f64().map(|number| number as f32).filter(in_range))
    }

    /// A seed: any integer of 64 bits, negative ones included.
    pub(super) fn seed(&self) -> Result<Option<u64>, ApiError> {
        let seed = |value: &Value| value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned));
        self.read("seed", "an integer of 64 bits", seed)
    }

    /// Refuses a field that would change the reply, unless it has the value that changes nothing.
    pub(super) fn refuse(&self, name: &str, neutral: &[Value], message: &str) -> Result<(), ApiError> {
        match self.get(name) {
            Some(value) if !neutral.contains(value) => Err(ApiError::unsupported(name, format!("{name}: {message}"))),
            _ => Ok(()),
        }
    }

    fn read<'a, T>(
        &'a self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(ApiError::field(name, format!("{name} must be {expected}"))),
        }
    }
}

/// The token ids in a JSON array; `None` if one of the items is none.
pub(super) fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let id = |item: &Value| item.as_u64().and_then(|id| u32::try_from(id).ok());
    value.as_array()?.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        Fields::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn wrong_types_and_ranges_name_their_field() {
        let fields = fields(json!({"n": 1.5, "t": "1", "s": 7, "b": 0, "null": null, "big": 1e300, "one": 1.0}));
        let param = |error: ApiError| error.to_json()["error"]["param"].clone();
        assert_eq!(param(fields.integer("n", 1..=2).unwrap_err()), "n");
        assert_eq!(param(fields.number("t", 0.0..=1.0).unwrap_err()), "t");
        assert_eq!(param(fields.number("big", 0.0..=1.0).unwrap_err()), "big");
        assert_eq!(param(fields.string("s").unwrap_err()), "s");
        assert_eq!(param(fields.boolean("b").unwrap_err()), "b");
        assert_eq!(fields.string("null").unwrap(), None);
        assert_eq!(fields.number("one", 0.0..=1.0).unwrap(), Some(1.0));
    }

    #[test]
    fn seeds_may_be_negative() {
        assert_eq!(fields(json!({"seed": -1})).seed().unwrap(), Some(u64::MAX));
        assert_eq!(fields(json!({"seed": u64::MAX})).seed().unwrap(), Some(u64::MAX));
        assert!(fields(json!({"seed": 1e30})).seed().is_err());
    }

    #[test]
    fn fields_without_effect_are_let_through() {
        let fields = fields(json!({"q": 2, "tools": []}));
        assert!(fields.refuse("q", &[json!(1)], "").is_err());
        assert!(fields.refuse("tools", &[json!([])], "").is_ok());
        assert!(fields.refuse("absent", &[], "").is_ok());
    }

    #[test]
    fn nesting_and_text_that_is_not_utf8_are_refused() {
        assert!(Fields::parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(Fields::parse(b"{\"a\": \"\xff\"}").is_err());
        assert!(Fields::parse(b"{\"a\": 1e999}").is_err());
    }
}
