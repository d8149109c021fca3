//! Finds the pieces of every line.

use std::ops::Range;

use super::pieces::{Kind, Piece, is_empty};

/// The pieces of every line, by their indices, for pieces with these widths in points. A line ends at a space or an
/// ideograph, or anywhere if there is none. Spaces at the end of a line may be beyond its width.
pub(super) fn break_lines(pieces: &[Piece], widths: &[f32], most: f32) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let (mut start, mut width, mut good) = (0, 0.0, None);
    for (index, (piece, piece_width)) in pieces.iter().zip(widths).enumerate() {
        if piece.kind == Kind::NewLine {
            lines.push(start..index + 1);
            (start, width, good) = (index + 1, 0.0, None);
            continue;
        }
        if width + piece_width > most && !is_empty(piece) && index > start {
            let end = good.unwrap_or(index);
            lines.push(start..end);
            width = widths[end..index].iter().sum();
            (start, good) = (end, None);
            // What was taken to the new line may already be too wide for one more piece.
            if width + piece_width > most && index > start {
                lines.push(start..index);
                (start, width) = (index, 0.0);
            }
        }
        width += piece_width;
        if piece.breaks {
            good = Some(index + 1);
        }
    }
    lines.push(start..pieces.len());
    lines
}

#[cfg(test)]
mod tests {
    use unicode_bidi::Level;

    use super::*;

    /// The lines of a text, in which a character is a piece of width 1.
    fn lines(text: &str, most: f32) -> Vec<String> {
        let piece = |(at, letter): (usize, char)| {
            let kind = match letter {
                ' ' => Kind::Space,
                '\n' => Kind::NewLine,
                _ => Kind::Sign,
            };
            let bytes = at..at + letter.len_utf8();
            Piece { bytes, chars: 1, level: Level::rtl(), section: 0, kind, breaks: letter == ' ' }
        };
        let pieces: Vec<Piece> = text.char_indices().map(piece).collect();
        let lines = break_lines(&pieces, &vec![1.0; pieces.len()], most);
        lines.into_iter().map(|line| pieces[line].iter().map(|piece| &text[piece.bytes.clone()]).collect()).collect()
    }

    #[test]
    fn lines_end_at_spaces_in_the_order_of_reading() {
        assert_eq!(lines("aa bb cc", 5.0), ["aa bb ", "cc"]);
        assert_eq!(lines("aa bb   cc", 4.0), ["aa ", "bb   ", "cc"]);
        assert_eq!(lines("aa\n\nbb", 9.0), ["aa\n", "\n", "bb"]);
        assert_eq!(lines("aa\n", 9.0), ["aa\n", ""]);
        assert_eq!(lines("", 9.0), [""]);
    }

    #[test]
    fn what_has_no_space_is_broken_anywhere() {
        assert_eq!(lines("aaaaaaa", 3.0), ["aaa", "aaa", "a"]);
        assert_eq!(lines("a bbbbbb", 3.0), ["a ", "bbb", "bbb"]);
        assert_eq!(lines("abc", 0.0), ["a", "b", "c"]);
    }
}
