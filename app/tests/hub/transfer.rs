//! Files come whole, whatever happens on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapidary_app::hub::{Cache, Client, HubError, HubSettings, Phase, Plan, Reference, Stop, find, plan_first};

use crate::server::{COMMIT, Server, noise};

const REPO: &str = "someone/gemma-tiny-GGUF";
const FILE: &str = "gemma-tiny-Q4_K_M.gguf";

/// A server with one large file, and its content.
pub(crate) fn with_file(len: usize) -> (Server, Vec<u8>) {
    let server = Server::new();
    let content = noise(len, 7);
    server.put(REPO, FILE, &content, true);
    server.put(REPO, "README.md", b"A tiny model.", false);
    (server, content)
}

pub(crate) fn reference() -> Reference {
    REPO.parse().unwrap()
}

/// Downloads with a new client, and returns the content.
fn pull(server: &Server, cache: &Cache) -> Result<Vec<u8>, HubError> {
    let client = server.client(cache, None);
    let plan = Plan::new(&client, &reference())?;
    let path = plan.run(&client, cache, &mut |_| {})?;
    Ok(fs::read(path).unwrap())
}

/// Where the plan's first file is kept until it is whole. Makes the folder.
fn part_file(cache: &Cache, plan: &Plan) -> PathBuf {
    let blobs = cache.root().join("models--someone--gemma-tiny-GGUF/blobs");
    fs::create_dir_all(&blobs).unwrap();
    blobs.join(format!("{}.incomplete", plan.files[0].hash.digits()))
}

/// Asserts that the folder holds one blob and nothing half done.
fn assert_tidy(cache: &Cache) {
    let blobs = cache.root().join("models--someone--gemma-tiny-GGUF/blobs");
    let names: Vec<_> = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
}

#[test]
fn a_file_comes_whole_and_only_what_is_needed_comes() {
    let (server, content) = with_file(3 << 20);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let mut last = None;
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    assert_eq!((plan.total(), plan.present(&cache)), (content.len() as u64, 0));
    let path = plan.run(&client, &cache, &mut |progress| last = Some(progress.clone())).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
    let last = last.unwrap();
    assert_eq!((last.done, last.total, last.phase), (plan.total(), plan.total(), Phase::Receiving));
    assert_tidy(&cache);
    assert!(path.ends_with(format!("snapshots/{COMMIT}/{FILE}")));
    assert_eq!(find(&cache, &reference()), Some(path.clone()));
    assert!(path.parent().unwrap().join("GEMMA_NOTICE.txt").exists());
    // The second time nothing but the list of files comes.
    let requests = server.state().storage.len();
    assert_eq!(pull(&server, &cache).unwrap(), content);
    assert_eq!(server.state().storage.len(), requests);
    assert_eq!(server.state().sent, content.len() as u64);
}

#[test]
fn a_cut_connection_goes_on_where_it_ended() {
    let (server, content) = with_file(1 << 20);
    // The last number is taken first.
    server.faults(|faults| faults.cut_after = vec![0, 5, 300_000, 1, 200_000]);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    assert_eq!(pull(&server, &cache).unwrap(), content);
    assert_eq!(server.state().sent, content.len() as u64, "no byte came twice");
    let ranges: Vec<_> = server.state().storage.iter().map(|seen| seen.range.clone()).collect();
    assert_eq!(ranges[0], None);
    assert_eq!(ranges[1].as_deref(), Some("bytes=200000-"));
    assert_eq!(ranges[2].as_deref(), Some("bytes=200001-"));
    assert_tidy(&cache);
}

#[test]
fn a_truncated_body_is_noticed() {
    let (server, content) = with_file(100_000);
    server.faults(|faults| faults.truncated = 1);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(pull(&server, &Cache::new(folder.path())).unwrap(), content);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let (server, content) = with_file(500_000);
    server.faults(|faults| {
        faults.no_ranges = true;
        faults.cut_after = vec![300_000];
    });
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(pull(&server, &Cache::new(folder.path())).unwrap(), content);
    assert_eq!(server.state().sent, 800_000);
}

#[test]
fn a_server_without_ranges_that_never_gets_further_is_given_up() {
    let (server, _) = with_file(500_000);
    server.faults(|faults| {
        faults.no_ranges = true;
        // Every second attempt gets further than the one before, and none further than the first.
        faults.cut_after = [100_000, 200_000].repeat(50);
    });
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&server, &Cache::new(folder.path())).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(server.state().storage.len() < 10, "{} requests", server.state().storage.len());
}

#[test]
fn wrong_content_never_becomes_visible() {
    let (server, content) = with_file(200_000);
    server.faults(|faults| faults.corrupt = 1);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    assert_eq!(pull(&server, &cache).unwrap(), content, "the second time it comes right");
    assert_tidy(&cache);

    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    server.faults(|faults| faults.corrupt = usize::MAX);
    let error = pull(&server, &cache).unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
    assert_eq!(find(&cache, &reference()), None);
    assert_tidy(&cache);
}

#[test]
fn a_part_of_other_content_is_thrown_away() {
    let (server, content) = with_file(200_000);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    let part = part_file(&cache, &plan);
    // As long as a part, as long as the whole, and longer.
    for len in [1000, 200_000, 300_000] {
        fs::write(&part, noise(len, 99)).unwrap();
        assert_eq!(pull(&server, &cache).unwrap(), content, "{len}");
        fs::remove_dir_all(cache.root().join("models--someone--gemma-tiny-GGUF/snapshots")).unwrap();
        fs::remove_file(part.with_extension("")).unwrap();
    }
}

#[test]
fn a_part_is_completed_from_where_it_ends() {
    let (server, content) = with_file(200_000);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    fs::write(part_file(&cache, &plan), &content[..150_000]).unwrap();
    assert_eq!(plan.present(&cache), 150_000);
    assert_eq!(pull(&server, &cache).unwrap(), content);
    assert_eq!(server.state().sent, 50_000);
}

#[test]
fn a_file_that_changed_on_the_hub_is_fetched_anew() {
    let (server, _) = with_file(200_000);
    server.faults(|faults| faults.cut_after = vec![0, 0, 0, 0, 100_000]);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    pull(&server, &cache).unwrap_err();
    let content = noise(250_000, 8);
    server.put(REPO, FILE, &content, true);
    server.faults(|faults| faults.cut_after.clear());
    assert_eq!(pull(&server, &cache).unwrap(), content);

    // Also where it changes between the list and the file.
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    server.put(REPO, FILE, &noise(250_000, 11), true);
    let error = plan.run(&client, &cache, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
}

#[test]
fn busy_servers_are_asked_again() {
    let (server, content) = with_file(50_000);
    server.faults(|faults| faults.statuses = vec![(503, ""), (500, ""), (429, "Retry-After: 0\r\n")]);
    let folder = tempfile::tempdir().unwrap();
    let mut retries = 0;
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, None);
    let plan = Plan::new(&client, &reference()).unwrap();
    let path =
        plan.run(&client, &cache, &mut |progress| retries += u32::from(matches!(progress.phase, Phase::Retrying(_))));
    assert_eq!(fs::read(path.unwrap()).unwrap(), content);
    assert!(retries >= 3, "{retries}");
    server.faults(|faults| faults.statuses = vec![(503, ""); 10]);
    let folder = tempfile::tempdir().unwrap();
    let error = pull(&server, &Cache::new(folder.path())).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 503, .. }), "{error}");
    server.faults(|faults| faults.statuses = vec![(429, "Retry-After: 3600\r\n")]);
    let error = pull(&server, &Cache::new(folder.path())).unwrap_err();
    assert!(error.to_string().contains("3600 seconds"), "{error}");
}

#[test]
fn a_connection_on_which_nothing_comes_is_given_up() {
    let (server, content) = with_file(400_000);
    server.faults(|faults| faults.stall = 1);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(pull(&server, &Cache::new(folder.path())).unwrap(), content);
    assert_eq!(server.state().sent, 400_000);
}

#[test]
fn a_slow_connection_is_waited_for() {
    let (server, content) = with_file(40_000);
    // Slower than the limit for silence, as a whole.
    server.faults(|faults| faults.slow = Some((2000, Duration::from_millis(100))));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(pull(&server, &Cache::new(folder.path())).unwrap(), content);
    assert_eq!(server.state().storage.len(), 1);
}

#[test]
fn stopping_ends_at_once_and_keeps_what_came() {
    let (server, content) = with_file(1 << 20);
    server.faults(|faults| faults.slow = Some((10_000, Duration::from_millis(20))));
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let stop = Stop::default();
    let client = Client::new(server.settings(folder.path()), stop.clone()).unwrap();
    let plan = Plan::new(&client, &reference()).unwrap();
    let started = std::time::Instant::now();
    let error = plan.run(&client, &cache, &mut |progress| {
        if progress.done > 30_000 {
            stop.stop();
        }
    });
    assert!(matches!(error, Err(HubError::Cancelled)));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(plan.present(&cache) > 30_000);
    server.faults(|faults| faults.slow = None);
    let before = server.state().sent;
    assert_eq!(pull(&server, &cache).unwrap(), content);
    assert!(server.state().sent - before < content.len() as u64 - 30_000);
}

#[test]
fn stopping_does_not_wait_for_a_silent_server() {
    let (server, _) = with_file(400_000);
    server.faults(|faults| faults.stall = 1);
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let settings = HubSettings { stall: Duration::from_secs(60), ..server.settings(folder.path()) };
    let client = Client::new(settings, stop.clone()).unwrap();
    let cache = Cache::new(folder.path());
    let plan = Plan::new(&client, &reference()).unwrap();
    let started = std::time::Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.stop();
    });
    assert!(matches!(plan.run(&client, &cache, &mut |_| {}), Err(HubError::Cancelled)));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

const INDEX: &[u8] =
    br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;

#[test]
fn several_files_make_a_folder_with_everything_that_loads() {
    let server = Server::new();
    let repo = "someone/gemma-tiny";
    for (path, content, lfs) in [
        ("config.json", &b"{}"[..], false),
        ("tokenizer.json", b"{\"a\":1}", true),
        ("model-00001-of-00002.safetensors", b"one", true),
        ("model-00002-of-00002.safetensors", b"", false),
        ("model.safetensors.index.json", INDEX, false),
        ("pytorch_model.bin", b"not wanted", true),
        ("../../../escape.json", b"unsafe", false),
    ] {
        server.put(repo, path, content, lfs);
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("cache"));
    let client = server.client(&cache, None);
    let reference: Reference = repo.parse().unwrap();
    let plan = plan_first(&client, std::slice::from_ref(&reference)).unwrap();
    let path = plan.run(&client, &cache, &mut |_| {}).unwrap();
    assert_eq!(fs::read(path.join("model-00001-of-00002.safetensors")).unwrap(), b"one");
    let files = cache.files(&reference.repo, COMMIT);
    assert_eq!(files.len(), 6, "{files:?}");
    let escaped: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(escaped, ["cache"]);
    assert_eq!(find(&cache, &reference).as_deref(), Some(Path::new(&path)));
}

#[test]
fn two_downloads_at_once_fetch_a_file_once() {
    let (server, content) = with_file(1 << 20);
    server.faults(|faults| faults.slow = Some((50_000, Duration::from_millis(10))));
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| pull(&server, &cache).unwrap()));
        for one in both {
            assert!(one.join().unwrap() == content);
        }
    });
    assert_eq!(server.state().sent, content.len() as u64);
}

#[test]
fn a_disk_without_room_is_noticed_before_the_download() {
    let (server, _) = with_file(1000);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("not/yet/there"));
    let client = server.client(&cache, None);
    let mut plan = Plan::new(&client, &reference()).unwrap();
    plan.files[0].size = u64::MAX / 2;
    let error = plan.run(&client, &cache, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("HF_HUB_CACHE"), "{error}");
    assert!(server.state().storage.is_empty());
}
