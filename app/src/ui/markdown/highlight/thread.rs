//! The thread that colours code.

use std::sync::mpsc::{Receiver, Sender, channel};

use egui::Context;

use super::colourer::Colourer;
use super::{Answer, Request};

/// Sends code to the thread, which ends when this is dropped.
pub(super) struct Colouring {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
}

impl Colouring {
    /// Starts the thread. The window is drawn again after each answer.
    pub(super) fn start(ctx: &Context) -> Option<Self> {
        let (request_sender, requests) = channel::<Request>();
        let (answer_sender, answers) = channel();
        let ctx = ctx.clone();
        let work = move || {
            let mut colourer = Colourer::new(two_face::syntax::extra_newlines());
            for request in requests {
                if answer_sender.send(colourer.answer(&request)).is_err() {
                    return;
                }
                ctx.request_repaint();
            }
        };
        match std::thread::Builder::new().name("highlighter".into()).spawn(work) {
            Ok(_) => Some(Self { requests: request_sender, answers }),
            Err(error) => {
                log::warn!("code is not coloured, because no thread can be started: {error}");
                None
            }
        }
    }

    /// Sends code. Returns whether an answer comes.
    pub(super) fn send(&self, request: Request) -> bool {
        self.requests.send(request).is_ok()
    }

    /// The answers that came.
    pub(super) fn answers(&self) -> impl Iterator<Item = Answer> {
        self.answers.try_iter()
    }
}
