//! Where the controls of the window are, for programs that test the page: a canvas does not tell them.

use std::cell::RefCell;

use egui::{Context, FullOutput, Plugin};
use serde::Serialize;

/// A control as screen readers would know it.
#[derive(Serialize)]
struct Control {
    name: String,
    /// Its middle, in points from the corner of the page.
    x: f64,
    y: f64,
    enabled: bool,
}

/// Keeps the controls of the last frame.
#[derive(Default)]
struct Controls(Vec<Control>);

impl Plugin for Controls {
    fn debug_name(&self) -> &'static str {
        "controls"
    }

    fn output_hook(&mut self, _: &Context, output: &mut FullOutput) {
        let Some(update) = output.platform_output.accesskit_update.take() else { return };
        let control = |(_, node): (_, egui::accesskit::Node)| {
            let (name, bounds) = (node.label()?.to_owned(), node.bounds()?);
            let (x, y) = ((bounds.x0 + bounds.x1) / 2.0, (bounds.y0 + bounds.y1) / 2.0);
            Some(Control { name, x, y, enabled: !node.is_disabled() })
        };
        self.0 = update.nodes.into_iter().filter_map(control).collect();
    }
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Lets [`list`] ask this window.
pub(super) fn of(ctx: &Context) {
    CONTEXT.set(Some(ctx.clone()));
}

/// The controls of the last frame as JSON. The first call only begins to watch them.
pub fn list() -> String {
    let Some(ctx) = CONTEXT.with_borrow(Clone::clone) else { return "[]".into() };
    ctx.enable_accesskit();
    ctx.request_repaint();
    let controls = ctx.plugin_or_default::<Controls>();
    let json = serde_json::to_string(&controls.lock().0);
    json.unwrap_or_else(|_| "[]".into())
}
