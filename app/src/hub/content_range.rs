//! Which part of a file an answer holds.

/// The first byte and the size of the whole file, as far as a `Content-Range` header such as `bytes 100-199/200` tells them.
pub(crate) fn content_range(header: &str) -> (Option<u64>, Option<u64>) {
    let range = header.strip_prefix("bytes").unwrap_or_default();
    let (range, size) = range.split_once('/').unwrap_or((range, ""));
    (range.split_once('-').and_then(|(start, _)| number(start)), number(size))
}

/// The number of bytes in a header.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}
