//! Checking what was downloaded.

use std::fs::File;
use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::repo::Hash;

/// Computes the hash of a file while it comes.
pub(super) enum Hasher {
    Sha256(Sha256),
    GitSha1(Sha1),
}

impl Hasher {
    /// For a file of `size` bytes, with the kind of hash that the hub gives.
    pub(super) fn new(hash: &Hash, size: u64) -> Self {
        match hash {
            Hash::Sha256(_) => Self::Sha256(Sha256::new()),
            // Git puts the kind and the size before the content.
            Hash::GitSha1(_) => Self::GitSha1(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitSha1(hasher) => hasher.update(bytes),
        }
    }

    /// Adds the rest of a file. `on_bytes` gets the number of bytes read, and returns whether to go on.
    pub(super) fn update_from(&mut self, file: &mut File, mut on_bytes: impl FnMut(u64) -> bool) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.update(&buffer[..read]);
            if !on_bytes(read as u64) {
                return Ok(());
            }
        }
    }

    /// The lower-case hexadecimal digits.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => digits(&hasher.finalize()),
            Self::GitSha1(hasher) => digits(&hasher.finalize()),
        }
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        let of = |hash: Hash, text: &str| {
            let mut hasher = Hasher::new(&hash, text.len() as u64);
            hasher.update(text.as_bytes());
            hasher.finish()
        };
        // printf hello | git hash-object --stdin
        assert_eq!(of(Hash::GitSha1(String::new()), "hello"), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
        let expected = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(of(Hash::Sha256(String::new()), "hello"), expected);
    }
}
