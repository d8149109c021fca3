//! Finds text in text, ignoring case.

use std::ops::Range;

/// The most characters of a text that is searched for. More cannot be typed with purpose, and would make a search slow.
pub(super) const MAX_WANTED: usize = 200;

/// The byte ranges in which `text` contains `wanted`, ignoring case; the first `most` that do not overlap.
pub fn find_ignoring_case(text: &str, wanted: &str, most: usize) -> Vec<Range<usize>> {
    let wanted: Vec<char> = wanted.chars().flat_map(char::to_lowercase).take(MAX_WANTED).collect();
    let Some(first) = wanted.first().copied() else { return Vec::new() };
    let mut found = Vec::new();
    let mut free = 0;
    for (start, c) in text.char_indices() {
        if found.len() == most {
            break;
        }
        if start < free || c.to_lowercase().next() != Some(first) {
            continue;
        }
        if let Some(bytes) = matched_bytes(&text[start..], &wanted) {
            free = start + bytes;
            found.push(start..free);
        }
    }
    found
}

/// The bytes of the start of `text` whose lower case is `wanted`; `None` if it starts otherwise.
fn matched_bytes(text: &str, wanted: &[char]) -> Option<usize> {
    let mut rest = wanted;
    for (at, c) in text.char_indices() {
        for lower in c.to_lowercase() {
            // A letter of which only a part is wanted counts as wanted.
            if let Some((next, after)) = rest.split_first() {
                if *next != lower {
                    return None;
                }
                rest = after;
            }
        }
        if rest.is_empty() {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// Sorts ranges and joins those that touch or overlap.
pub(super) fn join_ranges(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_original_letters() {
        let found = |text: &str, wanted: &str| {
            find_ignoring_case(text, wanted, 100).into_iter().map(|range| text[range].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("Äpfel und ÄPFEL", "äpfel"), ["Äpfel", "ÄPFEL"]);
        assert_eq!(found("aaaa", "AA"), ["aa", "aa"]);
        // This capital letter has two characters in lower case.
        assert_eq!(found("xİstanbul", "i\u{307}stan"), ["İstan"]);
        assert_eq!(found("xİstanbul", "i"), ["İ"]);
        assert!(found("abc", "").is_empty() && found("", "abc").is_empty() && found("ab", "abc").is_empty());
    }

    #[test]
    fn no_more_than_the_wanted_number_is_found() {
        assert_eq!(find_ignoring_case(&"a ".repeat(100), "a", 3), [0..1, 2..3, 4..5]);
    }

    #[test]
    fn ranges_that_overlap_are_joined() {
        assert_eq!(join_ranges(vec![5..7, 0..2, 1..3, 3..4]), [0..4, 5..7]);
    }
}
