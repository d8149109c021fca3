//! How far a download has come, how fast it is, and how long it will take.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use web_time::Instant;

/// The speed is that of this long a time.
const WINDOW: Duration = Duration::from_secs(8);
/// Reports come no more often, except when the phase changes.
const INTERVAL: Duration = Duration::from_millis(100);
/// A time left of more makes no sense to say.
const MAX_LEFT: f64 = 30.0 * 86_400.0;

/// How far a download has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The file that is being worked on.
    pub file: String,
    /// What is done with it.
    pub phase: Phase,
    /// Bytes of all files that are here.
    pub done: u64,
    /// Bytes of all files.
    pub total: u64,
    /// Bytes per second that come, once that is known.
    pub speed: Option<f64>,
    /// The time that the rest will take at that speed.
    pub left: Option<Duration>,
}

/// What is done with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It comes.
    Receiving,
    /// What came before is read again, for its checksum.
    Checking,
    /// Another program downloads it.
    Waiting,
    /// An attempt failed for this reason, and another follows.
    Retrying(String),
}

/// Measures the progress of several files, one after the other.
pub(crate) struct Meter {
    progress: Progress,
    /// Bytes of the files before the present one.
    before: u64,
    received: VecDeque<(Instant, u64)>,
    /// All bytes that came over the network, whether they were kept or not.
    traffic: u64,
    last_report: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(total: u64) -> Self {
        let progress =
            Progress { file: String::new(), phase: Phase::Receiving, done: 0, total, speed: None, left: None };
        Self { progress, before: 0, received: VecDeque::new(), traffic: 0, last_report: None }
    }

    /// Begins a file. The one before is complete.
    pub(crate) fn begin(&mut self, file: &str) {
        self.before = self.progress.done;
        self.progress.file = file.to_owned();
        self.progress.phase = Phase::Receiving;
    }

    /// So many bytes of the present file are here, `came` of which came just now.
    pub(crate) fn have(&mut self, bytes: u64, came: bool) {
        let done = (self.before + bytes).min(self.progress.total);
        if came {
            self.traffic += done.saturating_sub(self.progress.done);
            self.measure(Instant::now());
        }
        self.progress.done = done;
        self.progress.phase = Phase::Receiving;
        let rest = (self.progress.total - done) as f64;
        let left = self.progress.speed.map(|speed| rest / speed.max(1.0));
        self.progress.left = left.filter(|left| *left < MAX_LEFT).map(Duration::from_secs_f64);
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        if !matches!(phase, Phase::Receiving) {
            self.received.clear();
            (self.progress.speed, self.progress.left) = (None, None);
        }
        self.progress.phase = phase;
        self.last_report = None;
    }

    fn measure(&mut self, now: Instant) {
        self.received.push_back((now, self.traffic));
        while self.received.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.received.pop_front();
        }
        if let (Some((start, first)), Some((end, last))) = (self.received.front(), self.received.back()) {
            let seconds = end.duration_since(*start).as_secs_f64();
            // Less is noise.
            if seconds > 0.5 {
                self.progress.speed = Some((last - first) as f64 / seconds);
            }
        }
        // One point per packet would be many.
        if self.received.len() > 4096 {
            let mut keep = false;
            self.received.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// The progress, where it is time to report it.
    pub(crate) fn due(&mut self) -> Option<&Progress> {
        let now = Instant::now();
        let due = self.last_report.is_none_or(|last| now.duration_since(last) >= INTERVAL)
            || self.progress.done == self.progress.total;
        if !due {
            return None;
        }
        self.last_report = Some(now);
        Some(&self.progress)
    }
}

/// A time for people: `3 min 20 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_that_of_bytes_that_came_just_now() {
        let mut meter = Meter::new(1000);
        meter.begin("a");
        meter.have(600, false);
        let start = Instant::now();
        meter.measure(start);
        assert_eq!(meter.progress.speed, None);
        meter.traffic += 100;
        meter.measure(start + Duration::from_secs(2));
        assert_eq!(meter.progress.speed, Some(50.0));
        meter.have(700, false);
        assert_eq!(meter.progress.left, Some(Duration::from_secs(6)));
        meter.begin("b");
        meter.have(100, false);
        assert_eq!(meter.due().unwrap().done, 800);
        assert!(meter.due().is_none(), "not so soon again");
        meter.set_phase(Phase::Checking);
        assert_eq!(meter.due().unwrap().speed, None);
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7260, "2 h 1 min")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
