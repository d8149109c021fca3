//! Tests of the layout of text in both directions. The fonts of the tests have no right-to-left letters, so that each is a
//! box of one width.

use std::sync::Arc;

use egui::text::{LayoutJob, LayoutSection, TextFormat};
use egui::{Align, Context, FontId, Galley, Stroke};

use super::{layout, selectable, title};

/// Lays out parts of a text, each in its format, at a width.
fn galley(parts: &[(&str, TextFormat)], width: f32, align: Align) -> Arc<Galley> {
    let ctx = Context::default();
    super::super::fonts::install(&ctx);
    let mut result = None;
    let output = ctx.run_ui(egui::RawInput::default(), |ui| {
        let mut job = LayoutJob { halign: align, ..LayoutJob::default() };
        for (text, format) in parts {
            job.append(text, 0.0, format.clone());
        }
        job.wrap.max_width = width;
        result = Some(layout(ui, job, &[]));
    });
    output.drop_without_applying_deltas();
    result.unwrap()
}

fn plain() -> TextFormat {
    TextFormat { font_id: FontId::proportional(16.0), ..TextFormat::default() }
}

/// The left edge of the first occurrence of a letter in a row.
fn left_of(galley: &Galley, row: usize, letter: char) -> f32 {
    let glyph = galley.rows[row].glyphs.iter().find(|glyph| glyph.chr == letter).unwrap();
    galley.rows[row].pos.x + glyph.pos.x.min(glyph.max_x())
}

#[test]
fn every_character_has_a_glyph_in_the_order_of_the_text() {
    for text in
        ["אב גד", "say אב, now", "שָׁלוֹם", "אב\nגד\n", "אב 👨‍👩‍👧 ab", "سلام لا", "אאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאאא"]
    {
        let galley = galley(&[(text, plain())], 120.0, Align::LEFT);
        let rows = galley.rows.iter().map(|row| row.text() + if row.ends_with_newline { "\n" } else { "" });
        assert_eq!(rows.collect::<String>(), text);
        assert_eq!(galley.text(), text, "what is copied");
        assert!(galley.rows.iter().all(|row| row.size.x <= 121.0 && row.size.y > 0.0), "{text}");
    }
}

#[test]
fn text_from_right_to_left_begins_at_the_right_of_the_first_line() {
    let text = "אבג דהו זחט יכל מנס עפצ קרש תאב";
    let galley = galley(&[(text, plain())], 110.0, Align::LEFT);
    assert!(galley.rows.len() > 1, "it is too long for one line");
    assert_eq!(galley.job.halign, Align::RIGHT);
    assert!(left_of(&galley, 0, 'א') > left_of(&galley, 0, 'ב') && left_of(&galley, 0, 'ב') > left_of(&galley, 0, 'ד'));
    for row in &galley.rows {
        assert!((row.pos.x + row.size.x).abs() < 1.0, "a line ends at {}", row.pos.x + row.size.x);
    }
    assert!(galley.rows.last().unwrap().text().ends_with('ב'), "the lines are read from the top");
}

#[test]
fn words_of_the_other_direction_keep_theirs() {
    let galley = galley(&[("אב 42 xy גד", plain())], 400.0, Align::LEFT);
    let lefts: Vec<f32> = "דגxy42בא".chars().map(|letter| left_of(&galley, 0, letter)).collect();
    assert!(lefts.windows(2).all(|pair| pair[0] < pair[1]), "{lefts:?}");
    let galley = self::galley(&[("say אב now", plain())], 400.0, Align::LEFT);
    let lefts: Vec<f32> = "sבאn".chars().map(|letter| left_of(&galley, 0, letter)).collect();
    assert!(galley.job.halign == Align::LEFT && lefts.windows(2).all(|pair| pair[0] < pair[1]), "{lefts:?}");
}

#[test]
fn lines_and_grounds_follow_their_letters() {
    let marked =
        TextFormat { background: egui::Color32::RED, underline: Stroke::new(1.0, egui::Color32::RED), ..plain() };
    let galley = galley(&[("אב ", plain()), ("גד", marked), (" הו", plain())], 400.0, Align::LEFT);
    let row = &galley.rows[0];
    let (left, right) = (left_of(&galley, 0, 'ד') - row.pos.x, left_of(&galley, 0, 'ב') - row.pos.x);
    let visuals = &row.visuals;
    assert!(visuals.glyph_index_start > 0, "the ground comes first");
    let red = visuals.mesh.vertices.iter().filter(|vertex| vertex.color == egui::Color32::RED);
    assert!(red.clone().count() >= 8);
    assert!(red.into_iter().all(|vertex| (left - 2.0..=right).contains(&vertex.pos.x)));
    let most = visuals.mesh.vertices.len() as u32;
    assert!(visuals.mesh.indices.iter().all(|index| *index < most));
    assert!(row.glyphs.iter().all(|glyph| glyph.first_vertex as usize <= visuals.glyph_vertex_range.end));
}

#[test]
fn the_end_of_a_long_title_is_left_out() {
    let ctx = Context::default();
    super::super::fonts::install(&ctx);
    let output = ctx.run_ui(egui::RawInput::default(), |ui| {
        let (font, colour) = (FontId::proportional(14.0), egui::Color32::WHITE);
        let long = "אבגדהוזח ".repeat(40);
        let galley = title(ui, &long, &font, colour, 120.0).unwrap();
        assert!(galley.size().x <= 120.0 && galley.rows.len() == 1);
        assert!(galley.text().starts_with("אבגד") && galley.text().ends_with('…'), "{}", galley.text());
        assert_eq!(title(ui, "אב גד", &font, colour, 400.0).unwrap().text(), "אב גד");
        assert_eq!(title(ui, "אב", &font, colour, 0.0).unwrap().text(), "…");
        assert!(title(ui, "Recipe", &font, colour, 400.0).is_none());
    });
    output.drop_without_applying_deltas();
}

#[test]
fn text_without_right_to_left_letters_is_left_to_egui() {
    let text = "one two three four five six seven eight nine ten";
    let galley = galley(&[(text, plain())], 110.0, Align::LEFT);
    assert!(galley.job.halign == Align::LEFT && galley.rows.len() > 1);
    assert!(galley.job.sections.iter().all(|section: &LayoutSection| section.byte_range.end.0 == text.len()));
}

#[test]
fn a_line_from_right_to_left_is_selected_as_a_whole() {
    let galley = galley(&[("אבג דהו זחט יכל מנס עפצ", plain())], 110.0, Align::LEFT);
    let selected = selectable(&galley);
    for row in &selected.rows {
        let count = row.glyphs.len();
        assert_eq!([1.0, row.size.x - 1.0, row.size.x + 1.0].map(|x| row.char_at(x).0), [0, 0, count]);
        assert!(row.x_offset(0.into()) < 1.0, "the ground of the selection begins at the left");
    }
    assert_eq!(selected.text(), galley.text());
}

#[test]
fn words_from_right_to_left_are_selected_together_in_another_text() {
    let galley = galley(&[("say אב גד now", plain())], 400.0, Align::LEFT);
    let selected = selectable(&galley);
    let row = &selected.rows[0];
    let place = |letter: char| row.glyphs.iter().position(|glyph| glyph.chr == letter).unwrap();
    // All letters between the Latin words have the place of the first one.
    assert_eq!(row.glyphs[place('א')].pos.x, row.glyphs[place('ד')].pos.x);
    assert!(row.glyphs[place('y')].pos.x < row.glyphs[place('א')].pos.x);
    let at = row.glyphs[place('ב')].pos.x + 2.0;
    assert_eq!(row.char_at(at).0, place('א'));
    assert_eq!(row.char_at(row.glyphs[place('o')].pos.x + 1.0).0, place('o'));
}
