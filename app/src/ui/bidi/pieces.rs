//! Cuts a text into pieces that have one direction and one style each.

use std::ops::Range;

use egui::text::LayoutSection;
use unicode_bidi::{BidiClass, BidiInfo, Level, bidi_class};
use unicode_segmentation::UnicodeSegmentation;

/// Stands for a character of code or a formula: it has no direction of its own.
const OBJECT: char = '\u{fffc}';

/// The directions of a text's characters.
pub(super) struct Levels {
    /// The direction of the whole text.
    pub(super) base: Level,
    /// The embedding level of every character: odd ones run to the left.
    of_chars: Vec<Level>,
}

impl Levels {
    /// Finds the directions. `isolates` are characters that run to the right as one unit.
    pub(super) fn new(text: &str, isolates: &[Range<usize>]) -> Self {
        // They are in the order of the text.
        let isolated = |index: usize| {
            let at = isolates.partition_point(|range| range.end <= index);
            isolates.get(at).is_some_and(|range| range.contains(&index))
        };
        let stands_for =
            |(index, letter): (usize, char)| if isolated(index) && letter != '\n' { OBJECT } else { letter };
        let seen: String = text.chars().enumerate().map(stands_for).collect();
        let base = if is_rtl(&seen) { Level::rtl() } else { Level::ltr() };
        let info = BidiInfo::new(&seen, Some(base));
        let level = |(index, (byte, _)): (usize, (usize, char))| {
            let level = info.levels[byte];
            let inner = level.number() + 1;
            if isolated(index) && level.is_rtl() { Level::new(inner).unwrap_or(level) } else { level }
        };
        Self { base, of_chars: seen.char_indices().enumerate().map(level).collect() }
    }
}

/// Whether the first letter of a text runs from right to left.
pub(in crate::ui) fn is_rtl(text: &str) -> bool {
    let class = |letter: char| match letter {
        // Most texts are found out without the table.
        'a'..='z' | 'A'..='Z' => BidiClass::L,
        letter => bidi_class(letter),
    };
    let strong = text.chars().map(class).find(|class| matches!(class, BidiClass::L | BidiClass::R | BidiClass::AL));
    matches!(strong, Some(BidiClass::R | BidiClass::AL))
}

/// Whether a letter runs from right to left.
pub(super) fn is_right_to_left_letter(letter: char) -> bool {
    // No letter before Hebrew does.
    letter >= '\u{590}' && matches!(bidi_class(letter), BidiClass::R | BidiClass::AL)
}

/// What a [`Piece`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Letters that run from right to left.
    Letters,
    /// Other text without spaces.
    Word,
    /// One sign, which may be at the end of a line.
    Sign,
    Space,
    /// The end of a line.
    NewLine,
    /// Empty space of a width in points, beside code.
    Gap(f32),
}

/// A part of a text that is laid out for itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) bytes: Range<usize>,
    /// The number of its characters.
    pub(super) chars: usize,
    pub(super) level: Level,
    /// The index of its section in the job.
    pub(super) section: usize,
    pub(super) kind: Kind,
    /// Whether a line may end after it.
    pub(super) breaks: bool,
}

/// Cuts a text into pieces, in the order of the text.
pub(super) fn pieces(text: &str, sections: &[LayoutSection], levels: &Levels) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut char = 0;
    for (section, format) in sections.iter().enumerate() {
        let range = format.byte_range.start.0..format.byte_range.end.0;
        let mut gap = Some(format.leading_space).filter(|space| *space > 0.0);
        for (at, cluster) in text[range.clone()].grapheme_indices(true) {
            let level = levels.of_chars.get(char).copied().unwrap_or(levels.base);
            let count = cluster.chars().count();
            char += count;
            if let Some(space) = gap.take() {
                let before = pieces.last().map_or(levels.base, |piece| piece.level);
                let start = range.start + at;
                let (level, kind) = (before.min(level), Kind::Gap(space));
                pieces.push(Piece { bytes: start..start, chars: 0, level, section, kind, breaks: false });
            }
            let kind = kind(cluster, level);
            let bytes = range.start + at..range.start + at + cluster.len();
            let joins = |last: &&mut Piece| {
                (last.section, last.level, last.kind) == (section, level, kind)
                    && matches!(kind, Kind::Letters | Kind::Word | Kind::Space)
            };
            match pieces.last_mut().filter(joins) {
                Some(last) => {
                    last.bytes.end = bytes.end;
                    last.chars += count;
                }
                None => {
                    let breaks = kind == Kind::Space || cluster.chars().next().is_some_and(is_ideograph);
                    pieces.push(Piece { bytes, chars: count, level, section, kind, breaks });
                }
            }
        }
    }
    pieces
}

fn kind(cluster: &str, level: Level) -> Kind {
    let Some(first) = cluster.chars().next() else { return Kind::Word };
    match first {
        '\n' => Kind::NewLine,
        '\u{a0}' | '\u{202f}' => Kind::Sign,
        _ if first.is_whitespace() => Kind::Space,
        _ if is_right_to_left_letter(first) => Kind::Letters,
        // Digits of right-to-left scripts would be shaped as their letters are, from the right.
        _ if level.is_rtl() || is_ideograph(first) || (!first.is_ascii() && is_digit(first)) => Kind::Sign,
        _ => Kind::Word,
    }
}

fn is_digit(letter: char) -> bool {
    matches!(bidi_class(letter), BidiClass::AN | BidiClass::EN)
}

/// Whether a letter stands for a word or a syllable, so that a line may end after it.
fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The text of a piece as it is drawn: signs that have a direction, such as brackets, point the other way in text that
/// runs to the left.
pub(super) fn drawn_text(text: &str, piece: &Piece) -> String {
    let text = &text[piece.bytes.clone()];
    if piece.level.is_ltr() || piece.kind != Kind::Sign {
        return text.to_owned();
    }
    text.chars().map(|sign| unicode_bidi_mirroring::get_mirrored(sign).unwrap_or(sign)).collect()
}

/// The order from left to right in which the pieces of a line are seen, by their indices in the line.
pub(super) fn visual_order(line: &[Piece], base: Level) -> Vec<usize> {
    let mut levels: Vec<Level> = line.iter().map(|piece| piece.level).collect();
    // What is empty at the end of a line is at the end of the paragraph's direction.
    for (piece, level) in line.iter().zip(&mut levels).rev() {
        if !is_empty(piece) {
            break;
        }
        *level = base;
    }
    BidiInfo::reorder_visual(&levels)
}

/// Whether nothing is seen of a piece.
pub(super) fn is_empty(piece: &Piece) -> bool {
    matches!(piece.kind, Kind::Space | Kind::NewLine | Kind::Gap(_))
}

#[cfg(test)]
mod tests {
    use egui::text::{LayoutJob, TextFormat};

    use super::*;

    /// A line of text as it is seen, from left to right. The letters of a word are shaped by egui, and turned round here.
    fn seen(text: &str, isolates: &[Range<usize>]) -> String {
        let job = LayoutJob::single_section(text.to_owned(), TextFormat::default());
        let levels = Levels::new(text, isolates);
        let pieces = pieces(text, &job.sections, &levels);
        let word = |index: usize| {
            let drawn = drawn_text(text, &pieces[index]);
            if pieces[index].kind == Kind::Letters { drawn.chars().rev().collect() } else { drawn }
        };
        visual_order(&pieces, levels.base).into_iter().map(word).collect()
    }

    #[test]
    fn words_run_in_the_direction_of_their_letters() {
        assert_eq!(seen("one two", &[]), "one two");
        assert_eq!(seen("שלום עולם", &[]), "םלוע םולש");
        assert_eq!(seen("say שלום עולם now", &[]), "say םלוע םולש now");
        assert_eq!(seen("שלום Gemma 2 עולם", &[]), "םלוע Gemma 2 םולש");
        assert_eq!(seen("مرحبا بالعالم", &[]), "ملاعلاب ابحرم");
    }

    #[test]
    fn signs_and_numbers_are_where_the_algorithm_puts_them() {
        assert_eq!(seen("עברית: שלום.", &[]), ".םולש :תירבע");
        assert_eq!(seen("(שלום)", &[]), "(םולש)");
        assert_eq!(seen("מחיר 1,250.50 ש", &[]), "ש 1,250.50 ריחמ");
        assert_eq!(seen("عام ۱۹۸۴", &[]), "۱۹۸۴ ماع");
        assert_eq!(seen("عام ١٩٨٤", &[]), "١٩٨٤ ماع");
    }

    #[test]
    fn code_runs_to_the_right_as_one_unit() {
        let text = "קרא f(x) עכשיו";
        assert_eq!(seen(text, std::slice::from_ref(&(4..8))), "וישכע f(x) ארק");
        assert_eq!(seen("קרא f()", std::slice::from_ref(&(4..7))), "f() ארק");
        // Code decides nothing about the text around it.
        assert!(Levels::new("f(x) עושה", std::slice::from_ref(&(0..4))).base.is_rtl());
    }

    #[test]
    fn the_first_letter_decides_the_direction_of_a_paragraph() {
        for (text, rtl) in [("1. שלום", true), ("«سلام» is hello", true), ("hello שלום", false), ("123 !", false)]
        {
            assert_eq!(is_rtl(text), rtl, "{text}");
        }
    }

    #[test]
    fn letters_and_their_marks_stay_together() {
        let text = "שָׁלוֹם";
        let job = LayoutJob::single_section(text.to_owned(), TextFormat::default());
        let levels = Levels::new(text, &[]);
        let pieces = pieces(text, &job.sections, &levels);
        assert_eq!((pieces.len(), pieces[0].chars, pieces[0].kind), (1, text.chars().count(), Kind::Letters));
    }
}
