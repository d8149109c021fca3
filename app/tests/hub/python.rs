//! The cache is the one of Python's `huggingface_hub`, in both directions.

use std::fs;
use std::path::{Path, PathBuf};

use lapidary_app::hub::{Cache, Plan, find};

use crate::pip::{Python, python_with};
use crate::server::{COMMIT, Server};
use crate::transfer::{reference, with_file};

fn python() -> Option<Python> {
    python_with("huggingface_hub", "0.36.0", "the cache is not compared with Python's")
}

/// Runs a script, and returns what it prints.
fn run(python: &Python, server: Option<&Server>, cache: &Path, script: &str) -> String {
    let mut command = python.command();
    command.args(["-c", script]).env("HF_HUB_CACHE", cache).env("HF_HOME", cache.join("home"));
    command.env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_DISABLE_TELEMETRY", "1").env_remove("HF_TOKEN");
    for variable in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(variable);
    }
    match server {
        Some(server) => command.env("HF_ENDPOINT", &server.address).env_remove("HF_HUB_OFFLINE"),
        None => command.env("HF_HUB_OFFLINE", "1"),
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn python_finds_what_was_downloaded() {
    let Some(python) = python() else { return };
    let (server, content) = with_file(100_000);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, None);
    let path = Plan::new(&client, &reference()).unwrap().run(&client, &cache, &mut |_| {}).unwrap();
    let script = "from huggingface_hub import hf_hub_download, snapshot_download, scan_cache_dir\n\
        print(hf_hub_download('someone/gemma-tiny-GGUF', 'gemma-tiny-Q4_K_M.gguf', local_files_only=True))\n\
        print(snapshot_download('someone/gemma-tiny-GGUF', local_files_only=True))\n\
        info = scan_cache_dir()\n\
        assert not info.warnings, info.warnings\n\
        print([repo.repo_id for repo in info.repos])";
    let printed = run(&python, None, folder.path(), script);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], path.display().to_string());
    assert_eq!(lines[1], path.parent().unwrap().display().to_string());
    assert_eq!(lines[2], "['someone/gemma-tiny-GGUF']");
    assert!(fs::read(lines[0]).unwrap() == content);
}

#[test]
fn what_python_downloaded_is_found() {
    let Some(python) = python() else { return };
    let (server, content) = with_file(100_000);
    let folder = tempfile::tempdir().unwrap();
    let script = "from huggingface_hub import hf_hub_download\n\
        print(hf_hub_download('someone/gemma-tiny-GGUF', 'gemma-tiny-Q4_K_M.gguf'))";
    let path = run(&python, Some(&server), folder.path(), script);
    let cache = Cache::new(folder.path());
    assert_eq!(find(&cache, &reference()), Some(PathBuf::from(&path)));
    assert_eq!(cache.commit(&reference().repo, "main").as_deref(), Some(COMMIT));
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    assert_eq!(plan.present(&cache), content.len() as u64);
    let requests = server.state().storage.len();
    assert_eq!(plan.run(&client, &cache, &mut |_| {}).unwrap(), PathBuf::from(path));
    assert_eq!(server.state().storage.len(), requests, "nothing comes twice");
}

#[test]
fn a_lock_of_python_is_waited_for() {
    let Some(python) = python() else { return };
    let (server, _) = with_file(100_000);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    let lock = folder.path().join(".locks/models--someone--gemma-tiny-GGUF");
    fs::create_dir_all(&lock).unwrap();
    let lock = lock.join(format!("{}.lock", plan.files[0].hash.digits()));
    let script = format!(
        "import time\nfrom huggingface_hub.utils import WeakFileLock\n\
         with WeakFileLock({:?}):\n  open({:?}, 'w').close()\n  time.sleep(1)",
        lock.display().to_string(),
        folder.path().join("held").display().to_string()
    );
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| run(&python, None, folder.path(), &script));
        while !folder.path().join("held").exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut waited = false;
        let waiting = lapidary_app::hub::Phase::Waiting;
        plan.run(&client, &cache, &mut |progress| waited |= progress.phase == waiting).unwrap();
        holder.join().unwrap();
        assert!(waited);
    });
}
