//! Several connections for one large file.

use std::fs;
use std::time::{Duration, Instant};

use lapidary_app::hub::{Cache, Client, HubSettings, Plan, Stop};

use crate::server::Server;
use crate::transfer::{reference, with_file};

/// Downloads the file and returns its bytes and the time that this took.
fn download(server: &Server, connections: usize) -> (Vec<u8>, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let settings = HubSettings { connections, ..server.settings(folder.path()) };
    let client = Client::new(settings, Stop::default()).unwrap();
    let plan = Plan::new(&client, &reference()).unwrap();
    let started = Instant::now();
    let mut last = 0;
    let path = plan.run(&client, &cache, &mut |progress| last = last.max(progress.done)).unwrap();
    let taken = started.elapsed();
    let content = fs::read(path).unwrap();
    assert!(last <= content.len() as u64);
    (content, taken)
}

#[test]
fn several_connections_are_faster_where_each_is_slow() {
    let (server, content) = with_file(12 << 20);
    server.faults(|faults| faults.slow = Some((64 << 10, Duration::from_millis(10))));
    let (one, with_one) = download(&server, 1);
    let before = server.state().storage.len();
    let (four, with_four) = download(&server, 4);
    assert!(one == content && four == content);
    let ranges: Vec<_> = server.state().storage[before..].iter().map(|seen| seen.range.clone()).collect();
    assert!(ranges.len() >= 4 && ranges.iter().all(Option::is_some), "{ranges:?}");
    println!("12 MiB at 6.5 MB/s per connection: {with_one:?} over one, {with_four:?} over four");
    assert!(2 * with_four < with_one, "{with_four:?} is not less than half of {with_one:?}");
    assert!(server.state().storage.iter().all(|seen| seen.token.is_none()));
}

#[test]
fn a_large_file_comes_whole_whatever_the_server_does() {
    let (server, content) = with_file(20 << 20);
    let sent = |change: &dyn Fn(&mut crate::server::Faults)| {
        let before = server.state().sent;
        server.faults(|faults| change(faults));
        assert!(download(&server, 4).0 == content);
        server.faults(|faults| *faults = Default::default());
        server.state().sent - before
    };
    assert_eq!(sent(&|_| {}), content.len() as u64, "no byte comes twice");
    sent(&|faults| faults.no_ranges = true);
    sent(&|faults| faults.cut_after = vec![300_000; 6]);
    sent(&|faults| faults.truncated = 3);
    sent(&|faults| faults.corrupt = 1);
    sent(&|faults| faults.stall = 1);
    sent(&|faults| faults.statuses = vec![(503, ""), (429, "Retry-After: 0\r\n"), (500, "")]);
}
