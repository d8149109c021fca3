//! The typed keys and values before a GGUF file's tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::reader::Reader;
use super::tensors::TensorInfo;
use super::{bad, shorten};
use crate::error::{Error, Result};

/// Bytes that the format allows a key.
const MAX_KEY: u64 = 65_535;
/// Real files have some forty keys.
const MAX_KEYS: u64 = 65_536;
/// Elements of a list: a vocabulary has 262,144, its merges twice as many.
const MAX_ELEMENTS: u64 = 16 << 20;
/// No key that is read has lists of lists.
const MAX_DEPTH: u32 = 4;
/// The most ids of a list. A model has a few that end its replies.
const MAX_IDS: usize = 256;

/// The metadata of a model, and the tensors that its files list.
#[derive(Debug)]
pub(crate) struct Metadata {
    path: PathBuf,
    values: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
}

/// A value. Numbers of all widths become the widest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Any unsigned whole number.
    Unsigned(u64),
    /// Any signed whole number.
    Signed(i64),
    /// Any floating-point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A string.
    Text(String),
    /// A list of whole numbers.
    Ints(Vec<i64>),
    /// A list of floating-point numbers.
    Floats(Vec<f32>),
    /// A list of truth values.
    Bools(Vec<bool>),
    /// A list of strings.
    Texts(Vec<String>),
    /// A list of lists. No key that is read has one, so its content is dropped.
    Nested,
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Text(_) => "a string",
            Self::Ints(_) => "a list of whole numbers",
            Self::Floats(_) => "a list of numbers",
            Self::Bools(_) => "a list of truth values",
            Self::Texts(_) => "a list of strings",
            Self::Nested => "a list of lists",
        }
    }

    fn unsigned(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }
}

impl Metadata {
    pub(super) fn new(path: &Path, values: HashMap<String, Value>, tensors: HashMap<String, TensorInfo>) -> Self {
        Self { path: path.to_owned(), values, tensors }
    }

    /// The tensor of that name.
    pub(crate) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = (&String, &TensorInfo)> {
        self.tensors.iter()
    }

    pub(super) fn set_tensors(&mut self, tensors: HashMap<String, TensorInfo>) {
        self.tensors = tensors;
    }

    /// Adds the tensors of a further part of a split file.
    pub(super) fn append(&mut self, part: Metadata) -> Result<()> {
        for (name, info) in part.tensors {
            if self.tensors.contains_key(&name) {
                return Err(bad(
                    &part.path,
                    format!("the tensor {} is also in another part of the model", shorten(&name)),
                ));
            }
            self.tensors.insert(name, info);
        }
        Ok(())
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A whole number of 0 and more.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where the value is of another type; also in the functions below.
    pub(crate) fn unsigned(&self, key: &str) -> Result<Option<u64>> {
        self.read(key, "a whole number of 0 or more", Value::unsigned)
    }

    /// The id of a piece.
    pub(crate) fn token_id(&self, key: &str) -> Result<Option<u32>> {
        self.read(key, "a token id", |value| value.unsigned().and_then(|id| u32::try_from(id).ok()))
    }

    /// A list of at most [`MAX_IDS`] ids of pieces.
    ///
    /// # Errors
    /// As [`Metadata::unsigned`].
    pub(crate) fn token_ids(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.read(key, "a list of at most 256 token ids", |value| match value {
            Value::Ints(list) if list.len() <= MAX_IDS => list.iter().map(|id| u32::try_from(*id).ok()).collect(),
            _ => None,
        })
    }

    /// A whole number, or a list of one per layer, which must all be the same.
    pub(crate) fn same_in_all_layers(&self, key: &str) -> Result<Option<u64>> {
        let same = |value: &Value| match value {
            Value::Ints(list) => {
                let first = *list.first()?;
                let same = list.iter().all(|value| *value == first);
                same.then(|| u64::try_from(first).ok()).flatten()
            }
            value => value.unsigned(),
        };
        self.read(key, "a whole number of 0 or more that is the same in every layer", same)
    }

    /// A number as f32.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f32>> {
        self.read(key, "a number", |value| match value {
            Value::Float(value) => Some(*value as f32),
            Value::Unsigned(value) => Some(*value as f32),
            Value::Signed(value) => Some(*value as f32),
            _ => None,
        })
    }

    /// A truth value.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "a truth value", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A string.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.read_ref(key, "a string", |value| match value {
            Value::Text(value) => Some(value.as_str()),
            _ => None,
        })
    }

    /// A list of strings.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.read_ref(key, "a list of strings", |value| match value {
            Value::Texts(list) => Some(list.as_slice()),
            _ => None,
        })
    }

    /// A list of strings, moved out.
    pub(super) fn take_texts(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.texts(key)?;
        match self.values.remove(key) {
            Some(Value::Texts(list)) => Ok(Some(list)),
            _ => Ok(None),
        }
    }

    /// A list of numbers, moved out.
    pub(super) fn take_floats(&mut self, key: &str) -> Result<Option<Vec<f32>>> {
        match self.values.remove(key) {
            None => Ok(None),
            Some(Value::Floats(list)) => Ok(Some(list)),
            Some(value) => Err(self.wrong(key, &value, "a list of numbers")),
        }
    }

    /// A list of 32-bit whole numbers, moved out.
    pub(super) fn take_ints(&mut self, key: &str) -> Result<Option<Vec<i32>>> {
        match self.values.remove(key) {
            None => Ok(None),
            Some(Value::Ints(list)) => {
                let narrow: Option<Vec<i32>> = list.iter().map(|value| i32::try_from(*value).ok()).collect();
                narrow.map(Some).ok_or_else(|| self.wrong(key, &Value::Ints(list), "a list of 32-bit numbers"))
            }
            Some(value) => Err(self.wrong(key, &value, "a list of whole numbers")),
        }
    }

    fn read<T>(&self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        self.read_ref(key, expected, read)
    }

    fn read_ref<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.wrong(key, value, expected)),
            },
        }
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        let found = match value {
            Value::Signed(value) => value.to_string(),
            value => value.kind().to_owned(),
        };
        Error::Config {
            path: self.path.clone(),
            field: key.to_owned(),
            reason: format!("it is {found}, but must be {expected}"),
        }
    }
}

/// The smallest key and value: a length of 0, the type, and one byte.
const MIN_PAIR_BYTES: usize = 8 + 4 + 1;

/// Reads the number of keys.
pub(super) fn read_key_count(reader: &mut Reader<'_>) -> Result<usize> {
    reader.count(MAX_KEYS, MIN_PAIR_BYTES, "the number of metadata keys")
}

/// Reads all keys and values.
pub(super) fn read_values(reader: &mut Reader<'_>, count: usize) -> Result<HashMap<String, Value>> {
    let mut values = HashMap::new();
    for _ in 0..count {
        let key = reader.string(MAX_KEY, "a metadata key")?;
        let what = format!("the value of {}", shorten(key));
        let kind = reader.u32(&what)?;
        let value = read_value(reader, kind, &what, 0)?;
        if values.insert(key.to_owned(), value).is_some() {
            return Err(bad(reader.path, format!("the metadata key {} is there twice", shorten(key))));
        }
    }
    Ok(values)
}

/// The types of values, as GGUF numbers them.
pub(crate) mod kind {
    pub(crate) const U8: u32 = 0;
    pub(crate) const I8: u32 = 1;
    pub(crate) const U16: u32 = 2;
    pub(crate) const I16: u32 = 3;
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const STRING: u32 = 8;
    pub(crate) const ARRAY: u32 = 9;
    pub(crate) const U64: u32 = 10;
    pub(crate) const I64: u32 = 11;
    pub(crate) const F64: u32 = 12;
}

fn read_value(reader: &mut Reader<'_>, kind: u32, what: &str, depth: u32) -> Result<Value> {
    Ok(match kind {
        kind::U8 => Value::Unsigned(u64::from(u8::from_le_bytes(reader.array(what)?))),
        kind::U16 => Value::Unsigned(u64::from(u16::from_le_bytes(reader.array(what)?))),
        kind::U32 => Value::Unsigned(u64::from(reader.u32(what)?)),
        kind::U64 => Value::Unsigned(reader.u64(what)?),
        kind::I8 => Value::Signed(i64::from(i8::from_le_bytes(reader.array(what)?))),
        kind::I16 => Value::Signed(i64::from(i16::from_le_bytes(reader.array(what)?))),
        kind::I32 => Value::Signed(i64::from(i32::from_le_bytes(reader.array(what)?))),
        kind::I64 => Value::Signed(i64::from_le_bytes(reader.array(what)?)),
        kind::F32 => Value::Float(f64::from(f32::from_le_bytes(reader.array(what)?))),
        kind::F64 => Value::Float(f64::from_le_bytes(reader.array(what)?)),
        kind::BOOL => Value::Bool(truth(reader.path, reader.array::<1>(what)?[0], what)?),
        kind::STRING => Value::Text(reader.string(u64::MAX, what)?.to_owned()),
        kind::ARRAY => read_list(reader, what, depth)?,
        _ => return Err(unknown_kind(reader, kind, what)),
    })
}

fn read_list(reader: &mut Reader<'_>, what: &str, depth: u32) -> Result<Value> {
    if depth == MAX_DEPTH {
        return Err(bad(reader.path, format!("{what} nests lists deeper than {MAX_DEPTH}")));
    }
    let kind = reader.u32(what)?;
    let min_bytes = match kind {
        kind::U8 | kind::I8 | kind::BOOL => 1,
        kind::U16 | kind::I16 => 2,
        kind::U32 | kind::I32 | kind::F32 => 4,
        kind::U64 | kind::I64 | kind::F64 | kind::STRING => 8,
        // The type and the count of a list without elements.
        kind::ARRAY => 12,
        _ => return Err(unknown_kind(reader, kind, what)),
    };
    let count = reader.count(MAX_ELEMENTS, min_bytes, &format!("the length of {what}"))?;
    match kind {
        kind::STRING => {
            // Not with room for `count`: the window may hold far fewer.
            let mut list = Vec::new();
            for _ in 0..count {
                list.push(reader.string(u64::MAX, what)?.to_owned());
            }
            return Ok(Value::Texts(list));
        }
        kind::ARRAY => {
            for _ in 0..count {
                read_list(reader, what, depth + 1)?;
            }
            return Ok(Value::Nested);
        }
        _ => {}
    }
    let path = reader.path;
    let bytes = reader.take((count * min_bytes) as u64, what)?;
    Ok(match kind {
        kind::BOOL => {
            let list: Result<_> = bytes.iter().map(|byte| truth(path, *byte, what)).collect();
            Value::Bools(list?)
        }
        kind::F32 => Value::Floats(each(bytes, f32::from_le_bytes)),
        kind::F64 => Value::Floats(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        kind::U8 => Value::Ints(each(bytes, |b| i64::from(u8::from_le_bytes(b)))),
        kind::I8 => Value::Ints(each(bytes, |b| i64::from(i8::from_le_bytes(b)))),
        kind::U16 => Value::Ints(each(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        kind::I16 => Value::Ints(each(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        kind::U32 => Value::Ints(each(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        kind::I32 => Value::Ints(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        kind::I64 => Value::Ints(each(bytes, i64::from_le_bytes)),
        // Numbers of 2^63 and more make no sense in any list. They stay out of range instead of wrapping around.
        _ => Value::Ints(each(bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX))),
    })
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

fn truth(path: &Path, byte: u8, what: &str) -> Result<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(bad(path, format!("{what} has a truth value of {byte}, which must be 0 or 1"))),
    }
}

fn unknown_kind(reader: &Reader<'_>, kind: u32, what: &str) -> Error {
    bad(reader.path, format!("{what} has the type {kind}, but types run from 0 to 12"))
}
