//! Ends a reply at a text that the caller chose.

/// Looks for stop strings in a reply that comes in pieces. Text that may be the beginning of one is held back.
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
}

impl StopStrings {
    /// Ends a reply at the first of these. Empty ones are ignored.
    pub fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: String::new() }
    }

    /// Takes a piece. Returns the text that certainly belongs to the reply, and whether a stop string follows it.
    pub fn push(&mut self, piece: &str) -> (String, bool) {
        self.held.push_str(piece);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        let rest = self.held.split_off(self.held.len() - self.longest_beginning());
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// The text held back, when the reply has ended without a stop string.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of the held text with which a stop string begins.
    fn longest_beginning(&self) -> usize {
        let of = |stop: &String| {
            let longest = self.held.len().min(stop.len() - 1);
            (1..=longest).rev().find(|len| self.held.as_bytes().ends_with(&stop.as_bytes()[..*len]))
        };
        // It begins at a border of characters, because a stop string does.
        self.stops.iter().filter_map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut stops = StopStrings::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut texts = Vec::new();
        for piece in pieces {
            let (text, stopped) = stops.push(piece);
            texts.push(text);
            if stopped {
                return (texts, true);
            }
        }
        texts.push(stops.finish());
        (texts, false)
    }

    #[test]
    fn a_stop_string_is_found_across_pieces_and_held_back() {
        assert_eq!(all(&["END"], &["aE", "N", "Db"]), (vec!["a".into(), "".into(), "".into()], true));
        assert_eq!(all(&["END"], &["aE", "Nx", "END"]), (vec!["a".into(), "ENx".into(), "".into()], true));
        assert_eq!(all(&["END"], &["EEN", "D"]), (vec!["E".into(), "".into()], true));
    }

    #[test]
    fn the_first_of_several_ends_the_reply() {
        assert_eq!(all(&["c", "b"], &["abc"]), (vec!["a".into()], true));
        assert_eq!(all(&["abcd", "x"], &["abc", "x"]), (vec!["".into(), "abc".into()], true));
    }

    #[test]
    fn what_was_held_back_is_not_lost() {
        assert_eq!(all(&["END"], &["a", "EN"]), (vec!["a".into(), "".into(), "EN".into()], false));
        assert_eq!(all(&[""], &["a", "b"]), (vec!["a".into(), "b".into(), "".into()], false));
        assert_eq!(all(&[], &["a", "b"]), (vec!["a".into(), "b".into(), "".into()], false));
        assert_eq!(all(&["éß"], &["é", "é", "ßa"]), (vec!["".into(), "é".into(), "".into()], true));
        // `ã` ends with another byte than `é`, and begins with the same.
        assert_eq!(all(&["éa"], &["ã"]), (vec!["ã".into(), "".into()], false));
    }
}
