//! Random damage to small valid files must never panic, hang or take much memory.

use std::path::Path;

use super::sources::{Ranged, ranged};
use super::write::{Gguf, Safetensors, hub_config};
use super::{gguf, now, read_all};
use crate::config::Config;
use crate::error::Result;
use crate::load::gguf::read_tables;
use crate::load::safetensors::Header;
use crate::load::source::ModelFile;
use crate::load::{Bytes, ModelFiles};
use crate::random::random;

/// Cuts the bytes short, or spoils some of the first `head`, where the tables are.
fn damage(state: &mut u64, bytes: &[u8], head: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if random(state, 4) == 0 {
        bytes.truncate(random(state, bytes.len()));
        return bytes;
    }
    for _ in 0..1 + random(state, 4) {
        let at = random(state, head.min(bytes.len()));
        bytes[at] = match random(state, 4) {
            0 => 0xff,
            1 => 0,
            2 => bytes[at] ^ (1 << random(state, 8)),
            _ => random(state, 256) as u8,
        };
    }
    bytes
}

/// Both succeed, or both fail for the same reason.
#[track_caller]
fn assert_agree<T, U>(mapped: &Result<T>, ranged: &Result<U>) {
    let reasons = (mapped.as_ref().err().map(ToString::to_string), ranged.as_ref().err().map(ToString::to_string));
    assert_eq!(reasons.0, reasons.1);
}

/// Opens a GGUF file from memory and range by range, its tables also through a window that grows from 512 bytes.
fn open_gguf(bytes: Vec<u8>) -> Result<ModelFiles> {
    let tables_file = ModelFile::new("a.gguf".into(), Ranged::new(bytes.clone()));
    let tables = pollster::block_on(read_tables(&tables_file, 0, 512));
    let from_ranges = ranged("", [("a.gguf", Ranged::new(bytes.clone()))]);
    let from_memory = gguf(bytes, "a.gguf");
    assert_agree(&from_memory, &from_ranges);
    // The tables may be good where the model is not.
    if tables.is_err() {
        assert_agree(&from_memory, &tables);
    }
    from_memory
}

#[test]
fn damaged_ggufs() {
    for (seed, arch) in [(1, "gemma2"), (2, "gemma3")] {
        let good = Gguf::model(arch).bytes();
        read_all(&open_gguf(good.clone()).unwrap());
        let mut state = seed;
        for _ in 0..3000 {
            let bytes = damage(&mut state, &good, 5000);
            if let Ok(model) = open_gguf(bytes) {
                read_all(&model);
            }
        }
    }
}

#[test]
fn every_truncation_of_a_gguf_is_refused() {
    let good = Gguf::model("gemma3").bytes();
    for len in (0..6000.min(good.len())).chain([good.len() - 1]) {
        assert!(open_gguf(good[..len].to_vec()).is_err(), "{len} bytes were enough");
    }
}

#[test]
fn damaged_safetensors() {
    let good = Safetensors::model(true, "model.").bytes();
    let read = |bytes: &[u8]| {
        let from_memory = now(Header::read(&ModelFile::new("damaged".into(), Bytes::from(bytes.to_vec()))));
        let file = ModelFile::new("damaged".into(), Ranged::new(bytes.to_vec()));
        assert_agree(&from_memory, &pollster::block_on(Header::read(&file)));
        from_memory
    };
    read(&good).unwrap();
    let mut state = 3;
    for _ in 0..3000 {
        let bytes = damage(&mut state, &good, 3000);
        if let Ok(header) = read(&bytes) {
            for (_, range) in header.names().filter_map(|name| header.get(name)) {
                assert!(bytes.get(range.start as usize..range.end as usize).is_some());
            }
        }
    }
}

#[test]
fn damaged_configurations() {
    let good = hub_config(true).to_string().into_bytes();
    let mut state = 4;
    for _ in 0..3000 {
        let bytes = damage(&mut state, &good, good.len());
        let _ = Config::from_hub(&bytes, Path::new("damaged"));
    }
}
