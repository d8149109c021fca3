//! Work that all cores share.

/// How many threads to share work between. Browsers have one.
pub(crate) fn threads() -> usize {
    if cfg!(target_arch = "wasm32") { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// Does each share of the work, on a thread each where there are several. The results are in the order of the shares.
pub(crate) fn on_threads<S: Send, R: Send>(shares: impl Iterator<Item = S>, work: impl Fn(S) -> R + Sync) -> Vec<R> {
    let shares: Vec<S> = shares.collect();
    if shares.len() <= 1 {
        return shares.into_iter().map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || work(share))).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        results.collect()
    })
}
