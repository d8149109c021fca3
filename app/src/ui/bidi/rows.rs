//! Builds the rows of a galley from its pieces.

use std::ops::Range;
use std::sync::Arc;

use egui::emath::GuiRounding;
use egui::epaint::text::{Glyph, PlacedRow, Row, RowVisuals};
use egui::text::LayoutJob;
use egui::{Align, Galley, Mesh, Rect, Ui, Vec2, pos2, vec2};
use unicode_segmentation::UnicodeSegmentation;

use super::break_lines::break_lines;
use super::pieces::{Kind, Levels, Piece, drawn_text, is_empty, pieces, visual_order};

/// Lays out a job whose text has these directions.
pub(super) fn galley(ui: &Ui, job: LayoutJob, levels: &Levels) -> Arc<Galley> {
    let most = job.wrap.max_width;
    let mut parts = Vec::new();
    let mut laid_out = Vec::new();
    for piece in pieces(&job.text, &job.sections, levels) {
        let Some(row) = piece_row(ui, &job, &piece) else { continue };
        // A word that is wider than a line is broken anywhere.
        if row.size.x > most && piece.chars > 1 && !is_empty(&piece) {
            for letter in single_letters(&job.text, &piece) {
                let Some(row) = piece_row(ui, &job, &letter) else { continue };
                laid_out.push(row);
                parts.push(letter);
            }
        } else {
            laid_out.push(row);
            parts.push(piece);
        }
    }
    let widths: Vec<f32> = laid_out.iter().map(|row| row.size.x).collect();
    let lines = break_lines(&parts, &widths, most);

    // The job, and how large its text is without line breaks, come from a layout of the usual kind.
    let mut galley = Galley::clone(&ui.fonts_mut(|fonts| fonts.layout_job(job)));
    let job = galley.job.clone();
    galley.rows.clear();
    galley.rect = Rect::ZERO;
    galley.mesh_bounds = Rect::NOTHING;
    (galley.num_vertices, galley.num_indices, galley.elided) = (0, 0, false);
    let scale = galley.pixels_per_point;
    let mut top = 0.0;
    // The last row gives an empty one its height.
    let Some(last) = laid_out.last() else { return Arc::new(galley) };
    for line in lines {
        let ends_with_newline = parts[line.clone()].last().is_some_and(|piece| piece.kind == Kind::NewLine);
        let mut row = last.clone();
        fill_line(&mut row, &job, levels, &parts[line.clone()], &laid_out[line], scale);
        let left = match job.halign {
            Align::LEFT => 0.0,
            Align::Center => (-0.5 * row.size.x).round_to_pixels(scale),
            Align::RIGHT => (-row.size.x).round_to_pixels(scale),
        };
        let placed = PlacedRow { pos: pos2(left, top), row: Arc::new(row), ends_with_newline };
        top = (top + placed.row.size.y).round_to_pixels(scale);
        galley.rect |= placed.rect();
        galley.mesh_bounds |= placed.visuals.mesh_bounds.translate(placed.pos.to_vec2());
        galley.num_vertices += placed.visuals.mesh.vertices.len();
        galley.num_indices += placed.visuals.mesh.indices.len();
        galley.rows.push(placed);
    }
    galley.rect = galley.rect.round_ui();
    Arc::new(galley)
}

/// The letters of a piece as pieces of their own, after each of which a line may end.
fn single_letters(text: &str, piece: &Piece) -> Vec<Piece> {
    let letter = |(at, letter): (usize, &str)| {
        let start = piece.bytes.start + at;
        let (bytes, chars) = (start..start + letter.len(), letter.chars().count());
        Piece { bytes, chars, breaks: true, ..piece.clone() }
    };
    text[piece.bytes.clone()].grapheme_indices(true).map(letter).collect()
}

/// A piece, laid out by egui.
fn piece_row(ui: &Ui, job: &LayoutJob, piece: &Piece) -> Option<Row> {
    let text = if piece.kind == Kind::NewLine { String::new() } else { drawn_text(&job.text, piece) };
    let format = job.sections.get(piece.section).map(|section| section.format.clone()).unwrap_or_default();
    let mut alone = LayoutJob::single_section(text, format);
    alone.break_on_newline = false;
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(alone));
    let mut row = Row::clone(&galley.rows.first()?.row);
    if let Kind::Gap(width) = piece.kind {
        row.size.x = width;
    }
    Some(row)
}

/// Puts the pieces of a line beside each other.
fn fill_line(target: &mut Row, job: &LayoutJob, levels: &Levels, line: &[Piece], rows: &[Row], scale: f32) {
    let height = rows.iter().map(|row| row.size.y).fold(0.0, f32::max);
    // What is empty at the end of a line is outside its width.
    let seen = line.iter().rposition(|piece| !is_empty(piece)).map_or(0, |last| last + 1);
    let outside: f32 = rows[seen..].iter().map(|row| row.size.x).sum();
    let mut x = if levels.base.is_rtl() { -outside } else { 0.0 };
    let mut lefts = vec![0.0; line.len()];
    for index in visual_order(line, levels.base) {
        lefts[index] = x;
        x += rows[index].size.x;
    }
    let width = rows[..seen].iter().map(|row| row.size.x).sum();
    let mut builder = RowBuilder::default();
    for ((piece, row), left) in line.iter().zip(rows).zip(lefts) {
        if matches!(piece.kind, Kind::NewLine | Kind::Gap(_)) {
            continue;
        }
        let align = job.sections.get(piece.section).map_or(Align::BOTTOM, |section| section.format.valign);
        let down = (align.to_factor() * (height - row.size.y)).round_to_pixels(scale);
        builder.add(&job.text[piece.bytes.clone()], piece, row, vec2(left.round_to_pixels(scale), down));
    }
    target.size = vec2(width, if rows.is_empty() { target.size.y } else { height });
    builder.finish(target);
}

/// The glyphs and the three layers of a row that is being built.
#[derive(Default)]
struct RowBuilder {
    glyphs: Vec<Glyph>,
    /// What is behind the letters.
    ground: Mesh,
    letters: Mesh,
    /// Lines below and through the letters.
    strokes: Mesh,
}

impl RowBuilder {
    /// Adds a piece at an offset in points from the left and the top of the row.
    fn add(&mut self, text: &str, piece: &Piece, row: &Row, offset: Vec2) {
        let visuals = &row.visuals;
        let letters = visuals.glyph_vertex_range.clone();
        let indices = &visuals.mesh.indices;
        let after = |from: usize| {
            indices[from..]
                .iter()
                .position(|index| *index as usize >= letters.end)
                .map_or(indices.len(), |at| from + at)
        };
        let first = visuals.glyph_index_start.min(indices.len());
        let last = after(first);
        let first_vertex = self.letters.vertices.len() as u32;
        add_part(&mut self.ground, &visuals.mesh, 0..letters.start, 0..first, offset);
        add_part(&mut self.letters, &visuals.mesh, letters.clone(), first..last, offset);
        let end = visuals.mesh.vertices.len();
        add_part(&mut self.strokes, &visuals.mesh, letters.end..end, last..indices.len(), offset);
        let glyphs = match piece.kind {
            Kind::Letters => leftward_glyphs(row, text),
            _ => rightward_glyphs(row, text),
        };
        self.glyphs.extend(glyphs.into_iter().map(|mut glyph| {
            glyph.pos += offset;
            // Letters of one piece that run to the left are coloured together where they are selected.
            let within = if piece.kind == Kind::Letters { 0 } else { glyph.first_vertex - letters.start as u32 };
            glyph.first_vertex = first_vertex + within;
            glyph
        }));
    }

    fn finish(self, row: &mut Row) {
        let Self { mut glyphs, ground, letters, strokes } = self;
        let start = ground.vertices.len();
        glyphs.iter_mut().for_each(|glyph| glyph.first_vertex += start as u32);
        let (glyph_index_start, glyph_vertex_range) = (ground.indices.len(), start..start + letters.vertices.len());
        let mut mesh = ground;
        mesh.append(letters);
        mesh.append(strokes);
        let mesh_bounds = mesh.calc_bounds();
        row.glyphs = glyphs;
        row.visuals = RowVisuals { mesh, mesh_bounds, glyph_index_start, glyph_vertex_range };
    }
}

fn add_part(target: &mut Mesh, source: &Mesh, vertices: Range<usize>, indices: Range<usize>, offset: Vec2) {
    let (first, base) = (vertices.start as u32, target.vertices.len() as u32);
    target.vertices.extend(source.vertices[vertices].iter().map(|vertex| {
        let mut vertex = *vertex;
        vertex.pos += offset;
        vertex
    }));
    target.indices.extend(source.indices[indices].iter().map(|index| index - first + base));
}

/// The glyphs of text that runs to the right, one per character.
fn rightward_glyphs(row: &Row, text: &str) -> Vec<Glyph> {
    let mut glyphs = Vec::new();
    for (index, letter) in text.chars().enumerate() {
        // Some marks that no font has are left out.
        let Some(mut glyph) = row.glyphs.get(index).or(row.glyphs.last()).copied() else { break };
        if index >= row.glyphs.len() {
            glyph.pos.x = glyph.max_x();
            glyph.advance_width = 0.0;
        }
        glyph.chr = letter;
        glyphs.push(glyph);
    }
    glyphs
}

/// The glyphs of letters that run to the left, one per character, in the order of the text. Their advances are negative.
fn leftward_glyphs(row: &Row, text: &str) -> Vec<Glyph> {
    let Some(sample) = row.glyphs.first().copied() else { return Vec::new() };
    let letters: Vec<&str> = text.graphemes(true).collect();
    // egui has the glyphs from left to right, and then empty ones. A ligature is one glyph for several letters.
    let mut edges = vec![None; letters.len() + 1];
    let mut next = 0;
    for glyph in row.glyphs.iter().rev().filter(|glyph| glyph.advance_width > 0.0) {
        let found = (next..letters.len()).find(|index| letters[*index].starts_with(glyph.chr));
        if let Some(index) = found {
            edges[index] = Some(glyph.max_x());
            next = index + 1;
        }
    }
    edges[0] = Some(row.size.x);
    edges[letters.len()] = Some(0.0);
    let edges = filled(&edges);
    let mut glyphs = Vec::new();
    for (letter, edge) in letters.iter().zip(edges.windows(2)) {
        for (index, chr) in letter.chars().enumerate() {
            // Marks have no width of their own.
            let (x, width) = if index == 0 { (edge[0], edge[1] - edge[0]) } else { (edge[1], 0.0) };
            let mut glyph = sample;
            (glyph.chr, glyph.pos.x, glyph.advance_width) = (chr, x, width);
            glyphs.push(glyph);
        }
    }
    glyphs
}

/// Fills in what is unknown with equal steps between what is known. The first and the last must be known.
fn filled(edges: &[Option<f32>]) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(edges.len());
    let mut unknown = 0;
    for edge in edges {
        let Some(edge) = edge else {
            unknown += 1;
            continue;
        };
        let before = values.last().copied().unwrap_or(*edge);
        let step = (edge - before) / (unknown + 1) as f32;
        values.extend((1..=unknown).map(|number| before + step * number as f32));
        values.push(*edge);
        unknown = 0;
    }
    values
}
