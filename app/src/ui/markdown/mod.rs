//! Draws the Markdown of messages.
//!
//! A text becomes a tree of blocks ([`document`]), of which every visible one is drawn with one text layout per
//! paragraph. Nothing is loaded from the network: a picture is shown as its name.

mod builder;
mod code;
mod document;
mod draw;
pub(crate) mod formulas;
pub(crate) mod highlight;
mod html;
mod inline;
mod list;
mod math;
mod split;
mod table;
mod text;
mod theme;
mod tree;

pub(super) use document::{Block, Documents};
pub(super) use draw::draw_block;
pub(super) use text::mark_found;

/// What is computed from messages and kept between frames: pictures of formulas, and the colours of code.
#[derive(Default)]
pub(super) struct Resources {
    formulas: formulas::Formulas,
    highlights: highlight::Highlights,
    /// The text that is looked for, whose places are marked; empty for none.
    pub(super) wanted: String,
}

impl Resources {
    /// Whether colours of code are still being computed. They come in later frames.
    pub(super) fn is_working(&self) -> bool {
        self.highlights.is_working()
    }
}
