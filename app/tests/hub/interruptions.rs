//! A download that is killed at any moment goes on to the same bytes.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::commands::lapidary;
#[cfg(unix)]
use crate::ctrl_c::interrupt;
use crate::server::noise;
use crate::transfer::with_file;

const NAME: &str = "someone/gemma-tiny-GGUF";

#[test]
fn a_download_killed_fifty_times_goes_on() {
    goes_on(50, 6 << 20, 800_000);
}

#[test]
fn a_download_over_several_connections_that_is_killed_goes_on() {
    goes_on(15, 20 << 20, 6_000_000);
}

/// Starts a download, kills it at a random moment before so many bytes more were sent, and so on, then lets it end.
fn goes_on(kills: usize, size: usize, most: u64) {
    let (server, content) = with_file(size);
    let home = tempfile::tempdir().unwrap();
    server.faults(|faults| faults.slow = Some((64 << 10, Duration::from_millis(3))));
    let moments = noise(8 * kills, 12345);
    let mut in_the_middle = 0;
    for moment in moments.as_chunks::<8>().0 {
        let mut child = lapidary(&server, home.path(), &["pull", NAME, "--accept-terms"]).spawn().unwrap();
        // By bytes and not by time, because how soon a program starts depends on what else runs; and a little later, because
        // bytes that were sent are not yet written.
        let moment = u64::from_le_bytes(*moment);
        let (until, later) = (server.state().sent + moment % most, Duration::from_micros(moment / most % 8000));
        while server.state().sent < until && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(later);
        child.kill().unwrap();
        child.wait().unwrap();
        // What is visible is complete.
        let folder = home.path().join("hf/hub/models--someone--gemma-tiny-GGUF");
        for snapshot in fs::read_dir(folder.join("snapshots")).into_iter().flatten() {
            for file in fs::read_dir(snapshot.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|end| end == "gguf") {
                    assert!(fs::read(path).unwrap() == content);
                    // It ended before it was killed: begin again.
                    fs::remove_dir_all(&folder).unwrap();
                    break;
                }
            }
        }
        let blobs = fs::read_dir(folder.join("blobs")).into_iter().flatten();
        in_the_middle += blobs.filter(|blob| blob.as_ref().unwrap().metadata().unwrap().len() > 0).count();
    }
    assert!(in_the_middle > 0, "no download was killed in the middle");
    server.faults(|faults| faults.slow = None);
    let output = lapidary(&server, home.path(), &["pull", NAME]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = String::from_utf8(output.stdout).unwrap();
    assert!(fs::read(path.trim()).unwrap() == content);
    let blobs: Vec<_> =
        fs::read_dir(home.path().join("hf/hub/models--someone--gemma-tiny-GGUF/blobs")).unwrap().collect();
    assert_eq!(blobs.len(), 1, "nothing half done is left");
}

#[cfg(unix)]
#[test]
fn two_processes_on_one_file_wait_for_each_other() {
    let (server, content) = with_file(2 << 20);
    let home = tempfile::tempdir().unwrap();
    server.faults(|faults| faults.slow = Some((64 << 10, Duration::from_millis(10))));
    let start = || {
        let mut command = lapidary(&server, home.path(), &["pull", NAME, "--accept-terms"]);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let children = [start(), start(), start()];
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert!(fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap() == content);
    }
    assert_eq!(server.state().sent, content.len() as u64, "it came once");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_download_and_keeps_what_came() {
    let (server, content) = with_file(2 << 20);
    let home = tempfile::tempdir().unwrap();
    server.faults(|faults| faults.slow = Some((32 << 10, Duration::from_millis(20))));
    let mut child = lapidary(&server, home.path(), &["pull", NAME, "--accept-terms"]).spawn().unwrap();
    while server.state().sent < 200_000 {
        thread::sleep(Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
    }
    assert_eq!(interrupt(&mut child), Some(130));
    server.faults(|faults| faults.slow = None);
    let before = server.state().sent;
    let output = lapidary(&server, home.path(), &["pull", NAME]).output().unwrap();
    assert!(output.status.success());
    assert!(server.state().sent - before < content.len() as u64);
}
