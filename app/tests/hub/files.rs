//! Files of the server: their content and what identifies it.

use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A file of a repository.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) content: Arc<Vec<u8>>,
    /// Whether it is large: identified by SHA-256 and sent by the second origin.
    pub(crate) lfs: bool,
}

/// Numbers that look random and are the same each time.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes.extend(x.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl File {
    pub(crate) fn sha256(&self) -> String {
        hex(&Sha256::digest(&*self.content))
    }

    pub(crate) fn git_sha1(&self) -> String {
        let mut sha1 = Sha1::new_with_prefix(format!("blob {}\0", self.content.len()));
        sha1.update(&*self.content);
        hex(&sha1.finalize())
    }
}
