//! Waiting for the device without blocking the caller.
//!
//! wgpu's callbacks run only while the device is polled. Natively a thread polls it while anything is awaited; in the
//! browser the event loop does.

use futures_channel::oneshot;

/// Gives futures that resolve when a submission is done.
pub(crate) struct Waiter {
    #[cfg(not(target_arch = "wasm32"))]
    device: wgpu::Device,
    /// `None` only in `drop`.
    #[cfg(not(target_arch = "wasm32"))]
    jobs: Option<std::sync::mpsc::Sender<(wgpu::SubmissionIndex, oneshot::Sender<()>)>>,
    #[cfg(not(target_arch = "wasm32"))]
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Waits for the thread, which holds a reference to the device. If the thread dropped the last reference while the
/// program exits, the driver would be unloaded during its own exit handlers.
#[cfg(not(target_arch = "wasm32"))]
impl Drop for Waiter {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // `join` fails only if the thread panicked, and the panic has printed its own message.
            let _ = thread.join();
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Waiter {
    pub(crate) fn new(device: &wgpu::Device) -> Self {
        let (jobs, inbox) = std::sync::mpsc::channel::<(wgpu::SubmissionIndex, oneshot::Sender<()>)>();
        let polled = device.clone();
        // The thread ends when the `Waiter` is dropped.
        let thread = std::thread::Builder::new().name("lapidary-gpu".into()).spawn(move || {
            for (submission, done) in inbox {
                poll(&polled, submission);
                // Sending fails if the caller dropped its future, which is fine.
                let _ = done.send(());
            }
        });
        Self { device: device.clone(), jobs: Some(jobs), thread: thread.ok() }
    }

    /// Resolves when the submission is done and its callbacks have run, or the device is lost.
    pub(crate) async fn wait(&self, _queue: &wgpu::Queue, submission: wgpu::SubmissionIndex) {
        let (sender, receiver) = oneshot::channel();
        match &self.jobs {
            Some(jobs) if jobs.send((submission.clone(), sender)).is_ok() => {
                let _ = receiver.await;
            }
            // If the system cannot start a thread, block the caller here.
            _ => poll(&self.device, submission),
        }
    }
}

/// Blocks until the submission is done.
#[cfg(not(target_arch = "wasm32"))]
fn poll(device: &wgpu::Device, submission: wgpu::SubmissionIndex) {
    let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
    if let Err(error) = device.poll(wait) {
        log::error!("waiting for the GPU: {error}");
        // A refused submission is never done. Polling once more ends the mappings that wait for it, so that no caller
        // hangs.
        let _ = device.poll(wgpu::PollType::Poll);
    }
}

#[cfg(target_arch = "wasm32")]
impl Waiter {
    pub(crate) fn new(_device: &wgpu::Device) -> Self {
        Self {}
    }

    /// Resolves when the submission is done.
    pub(crate) async fn wait(&self, queue: &wgpu::Queue, _submission: wgpu::SubmissionIndex) {
        let (sender, receiver) = oneshot::channel();
        queue.on_submitted_work_done(move || {
            let _ = sender.send(());
        });
        let _ = super::browser::wait_for(queue, receiver).await;
    }
}
