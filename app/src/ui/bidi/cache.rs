//! Keeps what was laid out as long as it is drawn, as egui does with its own texts.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use egui::{Color32, FontId, Galley, Id, Ui};

#[derive(Default)]
struct Galleys {
    /// The frame that is drawn.
    frame: u64,
    /// A galley that egui keeps until it draws all letters anew, because the scale or the fonts changed or there were too many.
    /// Those below show parts of the same texture.
    of_egui: Option<Arc<Galley>>,
    /// With the frame in which each was drawn last.
    known: HashMap<u64, (u64, Arc<Galley>)>,
}

/// The galley of a text, which `lay_out` makes if it was not drawn in the frame before.
pub(super) fn cached(ui: &Ui, text: &impl Hash, lay_out: impl FnOnce() -> Arc<Galley>) -> Arc<Galley> {
    let galleys = ui.data_mut(|data| data.get_temp_mut_or_default::<Arc<Mutex<Galleys>>>(Id::NULL).clone());
    let frame = ui.ctx().cumulative_frame_nr();
    let probe = ui.fonts_mut(|fonts| fonts.layout_no_wrap("א".to_owned(), FontId::default(), Color32::WHITE));
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let key = hasher.finish();
    // Nothing panics while it is locked.
    let locked = || galleys.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut galleys = locked();
        if galleys.of_egui.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &probe)) {
            galleys.known.clear();
            galleys.of_egui = Some(probe);
        }
        if galleys.frame != frame {
            let before = std::mem::replace(&mut galleys.frame, frame);
            galleys.known.retain(|_, (used, _)| *used >= before);
        }
        if let Some((used, galley)) = galleys.known.get_mut(&key) {
            *used = frame;
            return galley.clone();
        }
    }
    let galley = lay_out();
    locked().known.insert(key, (frame, galley.clone()));
    galley
}
