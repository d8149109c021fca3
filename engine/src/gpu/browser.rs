//! A device of a browser, with the features of WebGPU that wgpu does not know yet.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use wasm_bindgen::prelude::*;

use crate::error::{Error, Result};

#[wasm_bindgen(module = "/src/gpu/browser.js")]
extern "C" {
    #[wasm_bindgen(js_name = findsOutAtSubmits)]
    fn finds_out_at_submits() -> bool;

    /// Resolves after these milliseconds, or a few more.
    async fn sleep(ms: f64);

    /// What is known of an adapter that was asked for a device.
    pub(super) type Asked;

    #[wasm_bindgen(js_name = whileAsking)]
    fn while_asking(with_subgroups: bool, ask: &mut dyn FnMut()) -> Asked;

    /// Whether the device has subgroups.
    #[wasm_bindgen(method, getter)]
    pub(super) fn subgroups(this: &Asked) -> bool;

    /// The adapter's maker and architecture, as far as the browser tells.
    #[wasm_bindgen(method, getter)]
    pub(super) fn name(this: &Asked) -> String;

    /// The name and version of the browser.
    #[wasm_bindgen(method, getter)]
    pub(super) fn browser(this: &Asked) -> String;
}

/// Opens a device; with subgroups, if they are wanted and the adapter has them.
///
/// # Errors
/// [`Error::Adapter`] if the browser refuses.
pub(super) async fn request_device(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
    with_subgroups: bool,
) -> Result<(wgpu::Device, wgpu::Queue, Asked)> {
    let mut opening = None;
    // wgpu calls the browser's function before it returns the future.
    let asked = while_asking(with_subgroups, &mut || opening = Some(adapter.request_device(descriptor)));
    let refused = |reason: String| Error::Adapter { adapter: asked.name(), reason };
    let opening = opening.ok_or_else(|| refused("the browser was not asked".into()))?;
    let (device, queue) = opening.await.map_err(|error| refused(error.to_string()))?;
    Ok((device, queue, asked))
}

/// Waits until the browser resolves `done`: a submit has ended, or a buffer is mapped. Firefox finds out at each submit what has
/// ended, and otherwise ten times per second. So there an empty list of commands is submitted every few milliseconds meanwhile.
pub(super) async fn wait_for<T>(queue: &wgpu::Queue, done: impl Future<Output = T>) -> T {
    if !finds_out_at_submits() {
        return done.await;
    }
    let mut done = pin!(done);
    loop {
        let mut timer = pin!(sleep(4.0));
        let first = poll_fn(|context| match done.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => timer.as_mut().poll(context).map(|()| None),
        });
        match first.await {
            Some(value) => return value,
            None => drop(queue.submit([])),
        }
    }
}
