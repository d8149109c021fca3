//! Searching titles and messages: the words that are searched for, and the hits.

#[cfg(not(target_arch = "wasm32"))]
mod index;

use std::ops::Range;

use super::find::{MAX_WANTED, find_ignoring_case, join_ranges};
use super::store_event::Hit;

#[cfg(not(target_arch = "wasm32"))]
pub(super) use index::{SCHEMA, index_more, register_functions, search};

/// The most hits that a search returns.
pub const MAX_HITS: usize = 200;
/// The most words of a search.
const MAX_WORDS: usize = 12;

/// Moves the hits of each chat to after its first one.
pub(super) fn grouped(hits: Vec<Hit>) -> Vec<Hit> {
    let mut groups: Vec<Vec<Hit>> = Vec::new();
    for hit in hits {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.chat == hit.chat)) {
            Some(group) => group.push(hit),
            None => groups.push(vec![hit]),
        }
    }
    groups.into_iter().flatten().collect()
}

/// The words of a search. Text in double quotes is one word.
pub(super) fn words(text: &str) -> Vec<String> {
    let text: String = text.chars().take(MAX_WANTED).collect();
    let mut words = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        // A quote that is not closed yet, because the user is still typing, counts as closed.
        if index % 2 == 1 {
            words.push(part.split_whitespace().collect::<Vec<_>>().join(" "));
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words.retain(|word| !word.is_empty());
    words.truncate(MAX_WORDS);
    words
}

/// The text around the first word that occurs, in one line, and the bytes of the words in it.
pub(super) fn excerpt(text: &str, words: &[String]) -> (String, Vec<Range<usize>>) {
    const BEFORE: usize = 24;
    const LONG: usize = 90;
    let first = words.iter().filter_map(|word| find_ignoring_case(text, word, 1).into_iter().next());
    let first = first.map(|range| range.start).min().unwrap_or(0);
    let from = text[..first].char_indices().rev().take(BEFORE).last().map_or(first, |(at, _)| at);
    let mut short = String::from(if text[..from].trim().is_empty() { "" } else { "…" });
    let (mut count, mut rest) = (0, text[from..].chars());
    for c in rest.by_ref() {
        if !c.is_whitespace() {
            short.push(c);
        } else if !short.is_empty() && !short.ends_with(' ') {
            short.push(' ');
        }
        count += 1;
        if count == LONG {
            break;
        }
    }
    short.truncate(short.trim_end().len());
    if rest.any(|c| !c.is_whitespace()) {
        short.push('…');
    }
    let ranges = words.iter().flat_map(|word| find_ignoring_case(&short, word, LONG)).collect();
    (short, join_ranges(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Vec<String> {
        words(text)
    }

    #[test]
    fn text_in_quotes_is_one_word() {
        assert_eq!(words_of(" one  two "), ["one", "two"]);
        assert_eq!(words_of("one \"two  three\" four"), ["one", "two three", "four"]);
        assert_eq!(words_of("\"still typing"), ["still typing"]);
        assert!(words_of(" \"\" ").is_empty());
        assert_eq!(words_of(&"a ".repeat(1000)).len(), MAX_WORDS);
    }

    #[test]
    fn excerpts_contain_the_words_and_their_places() {
        let text = format!("{} needle\n\n and   Pin {}", "hay ".repeat(50), "stack ".repeat(50));
        let (short, ranges) = excerpt(&text, &["pin".into(), "NEEDLE".into()]);
        assert!(short.starts_with('…') && short.contains("needle and Pin") && short.ends_with('…'), "{short}");
        assert_eq!(ranges.iter().map(|range| &short[range.clone()]).collect::<Vec<_>>(), ["needle", "Pin"]);
        let (short, ranges) = excerpt("An apple, a pear", &["apple".into(), "A p".into()]);
        assert_eq!((short.as_str(), ranges), ("An apple, a pear", vec![3..8, 10..13]));
        assert_eq!(excerpt("An apple.", &["pear".into()]), ("An apple.".into(), Vec::new()));
    }
}
