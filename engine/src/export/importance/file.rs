//! Reads the importance matrices that llama.cpp's tool writes: GGUF files, and those of earlier versions.
//!
//! An earlier file is a count, then per matrix the length of its name, its name, the number of calls, the number of columns and a float
//! per column, all numbers little-endian in 32 bits. In GGUF files the sums of a matrix are in the tensor `NAME.in_sum2`.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::Importance;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::load::gguf::{MAGIC, float_tensors};
use crate::load::{TensorId, bad};

/// Those of the largest models have some megabytes.
const MAX_FILE: u64 = 256 << 20;
/// The tensor of a matrix's sums in a GGUF file, after the matrix's name.
const SUMS: &str = ".in_sum2";

impl Importance {
    /// Whether a file's first bytes can be those of an importance matrix, and not of a text.
    pub fn is_file(start: &[u8]) -> bool {
        // The length of the first name is short, and texts have no zero bytes.
        start.starts_with(MAGIC) || matches!(start, [_, _, 0, 0, _, 0, 0, 0, ..])
    }

    /// Reads an importance matrix of llama.cpp for a model of this shape. What it has about other matrices is left out.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, and [`Error::BadFile`] where it is no importance matrix or of another model.
    pub fn read(path: &Path, config: &Config) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(bad(path, format!("it has more than {} MiB, which no importance matrix has", MAX_FILE >> 20)));
        }
        let mut sums: HashMap<String, Vec<f32>> = match bytes.starts_with(MAGIC) {
            true => float_tensors(path, &bytes, SUMS)?,
            false => entries(&bytes).ok_or_else(|| bad(path, "it is no importance matrix of llama.cpp".to_owned()))?,
        };
        let mut columns = HashMap::new();
        for id in TensorId::all(config).into_iter().filter(|id| !id.is_norm()) {
            let Some(sums) = sums.remove(&id.gguf_name()) else { continue };
            let [_, cols] = id.shape(config);
            if sums.len() != cols {
                let (name, has) = (id.gguf_name(), sums.len());
                return Err(bad(
                    path,
                    format!("{name} has {has} columns there and {cols} in the model; it is of another model"),
                ));
            }
            if !sums.iter().all(|sum| sum.is_finite() && *sum >= 0.0) {
                return Err(bad(path, format!("{} has sums of squares that are none; make it again", id.gguf_name())));
            }
            columns.insert(id, sums);
        }
        if columns.is_empty() {
            return Err(bad(path, "it knows none of the model's matrices; it is of another model".to_owned()));
        }
        Ok(Self { columns })
    }
}

/// The entries of a file of earlier versions; `None` where it is damaged.
fn entries(mut bytes: &[u8]) -> Option<HashMap<String, Vec<f32>>> {
    let count = number(&mut bytes)?;
    let mut entries = HashMap::new();
    for _ in 0..count {
        let len = number(&mut bytes)?;
        let (name, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        let _calls = number(&mut bytes)?;
        let len = number(&mut bytes)?;
        let (values, rest) = bytes.split_at_checked(len.checked_mul(4)?)?;
        bytes = rest;
        entries.insert(name, values.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect());
    }
    Some(entries)
}

/// A number that is not negative.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(i32::from_le_bytes(*number)).ok()
}
