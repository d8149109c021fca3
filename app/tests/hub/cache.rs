//! Caches as other programs leave them.

use std::fs;

use lapidary_app::hub::{Cache, Reference, find, find_named};

use crate::server::COMMIT;

#[test]
fn a_cache_without_links_is_read_too() {
    // As on Windows, where files are in the snapshot itself.
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("models--bartowski--gemma-2-2b-it-GGUF");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for file in ["gemma-2-2b-it-Q4_K_M.gguf", "gemma-2-2b-it-Q8_0.gguf"] {
        fs::write(snapshot.join(file), "x").unwrap();
    }
    let cache = Cache::new(folder.path());
    let found = |text: &str| find(&cache, &text.parse::<Reference>().unwrap());
    let name = |text: &str| found(text).map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    assert_eq!(name("bartowski/gemma-2-2b-it-GGUF").as_deref(), Some("gemma-2-2b-it-Q4_K_M.gguf"));
    assert_eq!(name("bartowski/gemma-2-2b-it-GGUF:q8_0").as_deref(), Some("gemma-2-2b-it-Q8_0.gguf"));
    assert_eq!(name("bartowski/gemma-2-2b-it-GGUF:q2_k"), None);
    assert_eq!(name("bartowski/gemma-2-2b-it-GGUF@other"), None);
    assert_eq!(name("google/gemma-2-2b-it"), None);
    assert_eq!(find_named("no such name"), None);
    // A folder in which a part of the weights is missing is not offered.
    fs::remove_file(snapshot.join("gemma-2-2b-it-Q4_K_M.gguf")).unwrap();
    assert_eq!(name("bartowski/gemma-2-2b-it-GGUF:q4_k_m"), None);
}
