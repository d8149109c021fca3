//! What a request adds to the logits before a token is chosen.

use std::collections::HashMap;

use super::error::ApiError;
use super::fields::Fields;

/// The most entries of `logit_bias`.
const MAX_ENTRIES: usize = 1024;

/// `logit_bias`, `presence_penalty` and `frequency_penalty` of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Biases {
    /// Token ids with what is added to their logits.
    fixed: Vec<(u32, f32)>,
    /// Subtracted for each token that the reply has.
    presence: f32,
    /// Subtracted as often as the reply has the token.
    frequency: f32,
}

impl Biases {
    /// Reads the fields. Ids are below `vocab_size`.
    pub(super) fn read(fields: &Fields, vocab_size: usize) -> Result<Self, ApiError> {
        Ok(Self {
            fixed: fixed(fields, vocab_size)?,
            presence: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
            frequency: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        })
    }

    /// Whether nothing is added.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds to the logits of the token after `reply`, whose beginning `counts` may have read.
    pub(super) fn add(&self, reply: &[u32], counts: &mut Counts, logits: &mut [f32]) {
        let mut add = |id: u32, value: f32| {
            // Rows of the embedding without a token have no logit.
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit += value;
            }
        };
        self.fixed.iter().for_each(|(id, value)| add(*id, *value));
        if self.presence != 0.0 || self.frequency != 0.0 {
            counts.read_on(reply);
            counts.by_token.iter().for_each(|(id, count)| add(*id, -(self.presence + count * self.frequency)));
        }
    }
}

/// How often each token is in one reply.
#[derive(Default)]
pub(super) struct Counts {
    by_token: HashMap<u32, f32>,
    /// Tokens of the reply that it has read.
    read: usize,
}

impl Counts {
    /// Counts what a reply has grown by.
    fn read_on(&mut self, reply: &[u32]) {
        let new = &reply[self.read.min(reply.len())..];
        new.iter().for_each(|id| *self.by_token.entry(*id).or_default() += 1.0);
        self.read = reply.len();
    }
}

/// `logit_bias`: an object from token ids, which are texts there, to numbers.
fn fixed(fields: &Fields, vocab_size: usize) -> Result<Vec<(u32, f32)>, ApiError> {
    let wrong = || {
        let message = format!(
            "logit_bias must be an object of up to {MAX_ENTRIES} token ids below {vocab_size}, with numbers from -100 to 100"
        );
        ApiError::field("logit_bias", message)
    };
    let Some(value) = fields.get("logit_bias") else { return Ok(Vec::new()) };
    let object = value.as_object().filter(|object| object.len() <= MAX_ENTRIES).ok_or_else(wrong)?;
    let entry = |(id, value): (&String, &serde_json::Value)| {
        let id = id.parse().ok().filter(|id: &u32| (*id as usize) < vocab_size)?;
        let value = value.as_f64().filter(|value| (-100.0..=100.0).contains(value))?;
        // -100 excludes a token, and 100 excludes all others.
        Some((id, if value == -100.0 { f32::NEG_INFINITY } else { value as f32 }))
    };
    object.iter().map(|pair| entry(pair).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(body: Value) -> Result<Biases, ApiError> {
        Biases::read(&Fields::parse(body.to_string().as_bytes()).unwrap(), 8)
    }

    #[test]
    fn penalties_grow_with_the_reply_and_fixed_biases_do_not() {
        let body = json!({"logit_bias": {"1": -100, "2": 5.5}, "presence_penalty": 0.5, "frequency_penalty": 0.25});
        let biases = read(body).unwrap();
        let mut logits = [1.0; 6];
        biases.add(&[], &mut Counts::default(), &mut logits);
        assert_eq!(logits, [1.0, f32::NEG_INFINITY, 6.5, 1.0, 1.0, 1.0]);
        let mut logits = [1.0; 6];
        biases.add(&[2, 3, 3, 7], &mut Counts::default(), &mut logits);
        assert_eq!(logits, [1.0, f32::NEG_INFINITY, 5.75, 0.0, 1.0, 1.0]);
        // The same when the reply is read as it grows.
        let mut counts = Counts::default();
        for len in 0..4 {
            biases.add(&[2, 3, 3, 7][..len], &mut counts, &mut [1.0; 6]);
        }
        let mut logits = [1.0; 6];
        biases.add(&[2, 3, 3, 7], &mut counts, &mut logits);
        assert_eq!(logits, [1.0, f32::NEG_INFINITY, 5.75, 0.0, 1.0, 1.0]);
        assert!(read(json!({"logit_bias": {}, "presence_penalty": 0})).unwrap().is_empty());
    }

    #[test]
    fn wrong_biases_are_refused() {
        for value in
            [json!([1]), json!({"x": 1}), json!({"8": 1}), json!({"-1": 1}), json!({"1": "1"}), json!({"1": 101})]
        {
            assert!(read(json!({"logit_bias": value})).is_err(), "{value}");
        }
        assert!(read(json!({"frequency_penalty": 2.5})).is_err());
    }
}
