//! The table of tensors in a GGUF file.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::reader::Reader;
use super::{bad, shorten};
use crate::error::Result;
use crate::quant::WeightFormat;

/// Bytes of a name. GGML itself stops at 64; other writers may not.
const MAX_NAME: u64 = 1024;
/// Real files have some thousand tensors.
const MAX_TENSORS: u64 = 1 << 20;
/// GGML's tensors have one to four dimensions.
const MAX_DIMS: u32 = 4;
/// The smallest entry: an empty name, the number of dimensions, one dimension, the type and the offset.
const MIN_ENTRY_BYTES: usize = 8 + 4 + 8 + 4 + 8;

/// A tensor's shape, type and place.
#[derive(Debug, Clone)]
pub(crate) struct TensorInfo {
    /// Its dimensions, the slowest first (the file has them the other way around): `[rows, cols]` or `[n]`.
    pub(crate) shape: Vec<usize>,
    /// The type, as GGML numbers it.
    pub(crate) kind: u32,
    /// Which part of a split model it is in, from 0.
    pub(crate) file: usize,
    /// Its bytes in that file, or nothing where its type is not supported: its size is then not known.
    pub(crate) range: Option<Range<u64>>,
}

impl TensorInfo {
    /// The type, where it is supported.
    pub(crate) fn format(&self) -> Option<WeightFormat> {
        WeightFormat::of_ggml_type(self.kind)
    }
}

/// The name of a type that is not supported.
pub(in crate::load) fn kind_name(kind: u32) -> String {
    let name = match kind {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("number {kind}"),
    };
    name.to_owned()
}

/// An entry of the table before the start of the data is known.
pub(super) struct Entry<'a> {
    name: &'a str,
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

/// Reads the number of tensors.
pub(super) fn read_tensor_count(reader: &mut Reader<'_>) -> Result<usize> {
    reader.count(MAX_TENSORS, MIN_ENTRY_BYTES, "the number of tensors")
}

/// Reads the table.
pub(super) fn read_entries<'a>(reader: &mut Reader<'a>, count: usize) -> Result<Vec<Entry<'a>>> {
    let path = reader.path;
    let mut entries = Vec::new();
    for _ in 0..count {
        let name = reader.string(MAX_NAME, "the name of a tensor")?;
        let what = format!("the entry of the tensor {}", shorten(name));
        let dims = reader.u32(&what)?;
        if dims > MAX_DIMS {
            return Err(bad(path, format!("{what} has {dims} dimensions, but at most {MAX_DIMS} are possible")));
        }
        let mut shape = Vec::new();
        for _ in 0..dims {
            let size = reader.u64(&what)?;
            let size = usize::try_from(size).map_err(|_| bad(path, format!("{what} has a dimension of {size}")))?;
            shape.push(size);
        }
        shape.reverse();
        let kind = reader.u32(&what)?;
        let offset = reader.u64(&what)?;
        entries.push(Entry { name, shape, kind, offset });
    }
    Ok(entries)
}

/// Places the entries after `data_start` in a file of `file_size` bytes, and checks that they fit and do not overlap.
pub(super) fn place(
    path: &Path,
    entries: Vec<Entry<'_>>,
    file: usize,
    data_start: u64,
    alignment: u64,
    file_size: u64,
) -> Result<HashMap<String, TensorInfo>> {
    let mut tensors = HashMap::new();
    let mut taken: Vec<(u64, u64, &str)> = Vec::new();
    for entry in entries {
        let what = format!("the tensor {}", shorten(entry.name));
        if !entry.offset.is_multiple_of(alignment) {
            let offset = entry.offset;
            return Err(bad(
                path,
                format!("{what} starts at {offset}, which is no multiple of the alignment {alignment}"),
            ));
        }
        let start = data_start
            .checked_add(entry.offset)
            .filter(|start| *start <= file_size)
            .ok_or_else(|| {
                bad(
                    path,
                    format!(
                        "{what} starts {} bytes into the data, but the file has only {file_size} bytes; it is damaged or truncated, so download it again",
                        entry.offset
                    ),
                )
            })?;
        let range = match WeightFormat::of_ggml_type(entry.kind) {
            None => None,
            Some(format) => {
                let size = byte_size(format, &entry.shape).ok_or_else(|| {
                    bad(
                        path,
                        format!(
                            "{what} has the shape {:?}, which is no whole number of {} blocks or too large",
                            entry.shape,
                            format.name()
                        ),
                    )
                })?;
                let end = start
                    .checked_add(size)
                    .filter(|end| *end <= file_size)
                    .ok_or_else(|| {
                        bad(
                            path,
                            format!(
                                "{what} takes {size} bytes from byte {start} on, but the file has only {file_size}; it is damaged or truncated, so download it again"
                            ),
                        )
                    })?;
                if start < end {
                    taken.push((start, end, entry.name));
                }
                Some(start..end)
            }
        };
        let info = TensorInfo { shape: entry.shape, kind: entry.kind, file, range };
        if tensors.insert(entry.name.to_owned(), info).is_some() {
            return Err(bad(path, format!("{what} is there twice")));
        }
    }
    taken.sort_unstable();
    for pair in taken.windows(2) {
        let [(_, end, first), (start, _, second)] = pair else {
            continue;
        };
        if start < end {
            return Err(bad(path, format!("the tensors {} and {} overlap", shorten(first), shorten(second))));
        }
    }
    Ok(tensors)
}

/// Bytes of a tensor, which may be more than this machine's memory.
fn byte_size(format: WeightFormat, shape: &[usize]) -> Option<u64> {
    let (cols, outer) = shape.split_last().unwrap_or((&1, &[]));
    let row_bytes = format.row_bytes(*cols)? as u64;
    outer.iter().try_fold(row_bytes, |size, dim| size.checked_mul(*dim as u64))
}
