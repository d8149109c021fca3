//! The header of a safetensors file: a JSON object of tensors.
//!
//! The `safetensors` crate gives the types of values. The checks are here, because its own take the last of two tensors of
//! one name, do not name the tensor at fault, and count bytes in `usize`, which is too small in browsers.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::source::ModelFile;
use super::{bad, shorten};
use crate::error::Result;

/// What the format allows a header, in bytes.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The length of the header comes first, as a u64.
const PREFIX_BYTES: u64 = 8;

/// A tensor, as the header has it.
#[derive(Debug, Deserialize)]
pub(super) struct TensorInfo {
    pub(super) dtype: Dtype,
    /// Its dimensions, the slowest first.
    pub(super) shape: Vec<usize>,
    /// Its first byte and the end of its bytes, from the start of the data.
    data_offsets: (u64, u64),
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Header {
    /// Where the data starts in the file, in bytes.
    data_start: u64,
    tensors: HashMap<String, TensorInfo>,
}

impl Header {
    /// Reads and checks the header. Tensors must fill the data without gaps, as the format demands.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where the file cannot be read, and [`Error::BadFile`](crate::Error::BadFile) where it
    /// is damaged or truncated.
    pub(super) async fn read(file: &ModelFile) -> Result<Self> {
        let (path, size) = (&file.path, file.size());
        let Some(after_prefix) = size.checked_sub(PREFIX_BYTES) else {
            return Err(bad(path, format!("it has {size} bytes, too few for a safetensors file")));
        };
        let prefix = file.read(0..PREFIX_BYTES).await?;
        let len = prefix.first_chunk().map_or(0, |prefix| u64::from_le_bytes(*prefix));
        if len > after_prefix.min(MAX_HEADER_BYTES) {
            return Err(bad(
                path,
                format!(
                    "its header claims {len} bytes, but {after_prefix} follow; it is no safetensors file, or damaged or truncated"
                ),
            ));
        }
        let data_start = PREFIX_BYTES + len;
        let tensors = parse(&file.read(PREFIX_BYTES..data_start).await?, size - data_start, path)?;
        Ok(Self { data_start, tensors })
    }

    /// A tensor, and its bytes in the file.
    pub(super) fn get(&self, name: &str) -> Option<(&TensorInfo, Range<u64>)> {
        let info = self.tensors.get(name)?;
        let (start, end) = info.data_offsets;
        // Within the file, as was checked.
        Some((info, self.data_start + start..self.data_start + end))
    }

    /// The names of all tensors.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
}

fn parse(json: &[u8], data_len: u64, path: &Path) -> Result<HashMap<String, TensorInfo>> {
    let Entries(entries) =
        serde_json::from_slice(json).map_err(|error| bad(path, format!("its header is damaged: {error}")))?;
    let mut entries: Vec<(String, TensorInfo)> = entries;
    entries.sort_by_key(|(_, info)| info.data_offsets);

    let mut filled = 0;
    for (name, info) in &entries {
        let (start, end) = info.data_offsets;
        let name = shorten(name);
        if start != filled || end < start {
            return Err(bad(
                path,
                format!(
                    "the tensor {name} has the bytes {start} to {end}, but must start at {filled} where the one before it ends"
                ),
            ));
        }
        if end > data_len {
            return Err(bad(
                path,
                format!(
                    "the tensor {name} ends at byte {end} of the data, but there are only {data_len}; the file is damaged or truncated, so download it again"
                ),
            ));
        }
        // In 64 bits also where usize has 32: bits are eight times the bytes.
        let bits = info.shape.iter().try_fold(info.dtype.bitsize() as u64, |bits, dim| bits.checked_mul(*dim as u64));
        if bits.is_none_or(|bits| bits % 8 != 0 || bits / 8 != end - start) {
            return Err(bad(
                path,
                format!(
                    "the tensor {name} has {} bytes, which does not fit the shape {:?} of {}",
                    end - start,
                    info.shape,
                    info.dtype
                ),
            ));
        }
        filled = end;
    }
    if filled != data_len {
        return Err(bad(path, format!("its tensors take {filled} bytes, but {data_len} follow the header")));
    }
    let mut tensors = HashMap::with_capacity(entries.len());
    for (name, info) in entries {
        let shown = shorten(&name);
        if tensors.insert(name, info).is_some() {
            return Err(bad(path, format!("the tensor {shown} is there twice")));
        }
    }
    Ok(tensors)
}

/// A header's tensors in the file's order, with duplicates, which a map would hide.
struct Entries(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}
