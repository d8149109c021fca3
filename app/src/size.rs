//! Sizes as people read them.

/// Bytes for people: `1.6 GB`. Powers of 1000, as shops sell disks and the hub's pages count.
pub fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes * 1e-9),
        _ if bytes >= 1e6 => format!("{:.0} MB", bytes * 1e-6),
        _ => format!("{:.0} kB", (bytes * 1e-3).ceil()),
    }
}
