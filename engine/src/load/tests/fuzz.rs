//! Random damage to small valid files must never panic, hang or take much memory.

use std::path::Path;

use super::read_all;
use super::write::{Gguf, Safetensors, hub_config};
use crate::config::Config;
use crate::load::ModelFiles;
use crate::load::hub::read_header;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Cuts the bytes short, or spoils some of the first `head`, where the tables are.
    fn damage(&mut self, bytes: &[u8], head: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if self.below(4) == 0 {
            bytes.truncate(self.below(bytes.len()));
            return bytes;
        }
        for _ in 0..1 + self.below(4) {
            let at = self.below(head.min(bytes.len()));
            bytes[at] = match self.below(4) {
                0 => 0xff,
                1 => 0,
                2 => bytes[at] ^ (1 << self.below(8)),
                _ => self.next() as u8,
            };
        }
        bytes
    }
}

#[test]
fn damaged_ggufs() {
    for (seed, arch) in [(1, "gemma2"), (2, "gemma3")] {
        let good = Gguf::model(arch).bytes();
        read_all(&ModelFiles::from_gguf_bytes(good.clone(), "good").unwrap());
        let mut random = Random(seed);
        for _ in 0..3000 {
            let bytes = random.damage(&good, 5000);
            if let Ok(model) = ModelFiles::from_gguf_bytes(bytes, "damaged") {
                read_all(&model);
            }
        }
    }
}

#[test]
fn every_truncation_of_a_gguf_is_refused() {
    let good = Gguf::model("gemma3").bytes();
    for len in (0..6000.min(good.len())).chain([good.len() - 1]) {
        let result = ModelFiles::from_gguf_bytes(good[..len].to_vec(), "short");
        assert!(result.is_err(), "{len} bytes were enough");
    }
}

#[test]
fn damaged_safetensors() {
    let good = Safetensors::model(true, "model.").bytes();
    let path = Path::new("damaged");
    read_header(&good, path).unwrap();
    let mut random = Random(3);
    for _ in 0..3000 {
        let bytes = random.damage(&good, 3000);
        if let Ok((start, tensors)) = read_header(&bytes, path) {
            for info in tensors.values() {
                let (from, to) = info.data_offsets;
                assert!(bytes.get(start + from..start + to).is_some());
            }
        }
    }
}

#[test]
fn damaged_configurations() {
    let good = hub_config(true).to_string().into_bytes();
    let mut random = Random(4);
    for _ in 0..3000 {
        let bytes = random.damage(&good, good.len());
        let _ = Config::from_hub(&bytes, Path::new("damaged"));
    }
}
