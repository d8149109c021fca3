//! How much the browser keeps for the page.

use std::cell::RefCell;
use std::time::Duration;

use egui::Context;
use js_sys::Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_time::Instant;

#[wasm_bindgen(module = "/src/page/storage.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn storage() -> Result<JsValue, JsValue>;
}

/// What the browser keeps for the address of the page.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) bytes: u64,
    /// The most bytes that it would keep.
    pub(crate) most: u64,
    /// Whether it will not delete them by itself.
    pub(crate) for_good: bool,
}

/// How long an answer of the browser is shown before it is asked again.
const FRESH: Duration = Duration::from_secs(1);

thread_local! {
    static KEPT: RefCell<(Option<Instant>, Option<Kept>)> = const { RefCell::new((None, None)) };
}

/// What the browser last answered, if it did. Asks it again now and then while the answer is shown.
pub(crate) fn kept(ctx: &Context) -> Option<Kept> {
    ctx.request_repaint_after(FRESH);
    let (asked, kept) = KEPT.with_borrow(Clone::clone);
    if asked.is_none_or(|asked| asked.elapsed() > FRESH) {
        KEPT.with_borrow_mut(|(asked, _)| *asked = Some(Instant::now()));
        let ctx = ctx.clone();
        spawn_local(async move {
            let answer = storage().await.ok().and_then(|answer| read(&answer));
            KEPT.with_borrow_mut(|(_, kept)| *kept = answer);
            ctx.request_repaint();
        });
    }
    kept
}

/// The answer of the script. Browsers need not tell sizes.
fn read(answer: &JsValue) -> Option<Kept> {
    let answer: &Array = answer.dyn_ref()?;
    let bytes = |i| answer.get(i).as_f64().map(|bytes| bytes as u64);
    Some(Kept { bytes: bytes(0)?, most: bytes(1)?, for_good: answer.get(2).is_truthy() })
}
