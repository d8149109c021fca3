//! What a client can make the server hold, and for how long.

use std::time::Duration;

/// The most bytes of a request's body.
pub(super) const MAX_BODY: usize = 2 << 20;
/// The most bytes of a body that is too large which are read, so that the client sees the answer.
pub(super) const MAX_DISCARDED: usize = 32 << 20;
/// The most bytes of a request's head.
pub(super) const MAX_HEAD: usize = 64 << 10;
/// How long a client may take for a request's head, and be silent between two requests.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(15);
/// How long a client may take for a request's body.
pub(super) const BODY_TIME: Duration = Duration::from_secs(30);
/// How long a client may leave an answer unread.
pub(super) const WRITE_TIME: Duration = Duration::from_secs(30);
/// How long connections may last after the last reply of a server that stops.
pub(super) const CLOSE_TIME: Duration = Duration::from_secs(5);
/// The most connections.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// The most connections beyond those that are told to try again. Further ones are closed.
pub(super) const MAX_REFUSALS: usize = 64;
/// Pieces of a reply that wait for the client. A client that lets more wait is taken for gone.
pub(super) const MAX_UNSENT: usize = 4096;
/// The most replies of a request: prompts times `n`.
pub(super) const MAX_CHOICES: usize = 128;
/// The largest `n`.
pub(super) const MAX_N: u64 = 16;
/// The most alternatives per position.
pub const MAX_LOGPROBS: u64 = 20;
/// The most log-probabilities per position of all replies to a request.
pub(super) const MAX_SCORES: usize = 256;
/// The most log-probabilities of all positions of all replies to a request, prompts that are repeated included.
pub(super) const MAX_TOTAL_SCORES: usize = 500_000;
/// The most stop strings.
pub(super) const MAX_STOPS: usize = 16;
/// The most bytes of a stop string.
pub(super) const MAX_STOP_BYTES: usize = 512;
