//! The rows of a run: text on standard output, and lines of JSON in a file.

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

use serde_json::{Value, json};

use crate::predictions;

/// Writes rows, and says when a phase has to end.
pub(crate) struct Report {
    json: Option<File>,
    started: Instant,
    seconds: f64,
    phase: &'static str,
    phase_end: f64,
    adapter: String,
    /// Bytes per second that a kernel can read from memory, once measured.
    pub(crate) stream: f64,
    /// Operations per second of cooperative matrices, else of f32, once measured.
    pub(crate) arithmetic: f64,
    rows: usize,
    failed: usize,
}

impl Report {
    pub(crate) fn new(seconds: f64, json: Option<&str>) -> io::Result<Self> {
        Ok(Self {
            json: json.map(File::create).transpose()?,
            started: Instant::now(),
            seconds,
            phase: "",
            phase_end: 0.0,
            adapter: String::new(),
            stream: 0.0,
            arithmetic: 0.0,
            rows: 0,
            failed: 0,
        })
    }

    fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Begins a phase, which may take this share of the time that is left.
    pub(crate) fn begin(&mut self, phase: &'static str, share: f64) {
        let now = self.elapsed();
        self.phase = phase;
        self.phase_end = now + (self.seconds - now).max(0.0) * share;
        println!("\n{phase}  (after {now:.0} s)");
    }

    /// Whether the phase has time for another measurement.
    pub(crate) fn has_time(&self) -> bool {
        self.elapsed() < self.phase_end
    }

    /// A row of text.
    pub(crate) fn fact(&mut self, what: &str, value: &str) {
        if what == "adapter" {
            value.clone_into(&mut self.adapter);
        }
        println!("  {what:<48} {value}");
        self.line(what, &json!({"text": value}));
    }

    /// A row of a measurement: its median and range, and the share of a ceiling that it reaches, if there is one.
    pub(crate) fn value(&mut self, what: &str, unit: &str, mut values: Vec<f64>, ceiling: Option<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first().copied(), values.last().copied()) else { return 0.0 };
        let median = values[values.len() / 2];
        let share = ceiling.filter(|ceiling| *ceiling > 0.0).map(|ceiling| median / ceiling);
        let predicted = predictions::of(&self.adapter, what);
        let mut text = format!("  {what:<48} {median:>12.2} {unit:<10} ({least:.2} to {most:.2})");
        if let Some(share) = share {
            text += &format!("  {:.1} % of the ceiling", 100.0 * share);
        }
        if let Some(predicted) = predicted {
            text += &format!("  predicted {predicted}");
        }
        println!("{text}");
        self.line(
            what,
            &json!({"unit": unit, "median": median, "min": least, "max": most, "share": share, "predicted": predicted}),
        );
        median
    }

    /// A row of a measurement that failed.
    pub(crate) fn failure(&mut self, what: &str, error: &str) {
        self.failed += 1;
        println!("  {what:<48} FAILED: {error}");
        self.line(what, &json!({"error": error}));
    }

    fn line(&mut self, what: &str, row: &Value) {
        self.rows += 1;
        let Some(file) = &mut self.json else { return };
        let mut line = json!({"phase": self.phase, "what": what, "at_s": self.started.elapsed().as_secs_f64()});
        if let (Some(line), Some(row)) = (line.as_object_mut(), row.as_object()) {
            line.extend(row.clone());
        }
        // A full disk must not end the run: the text has the same rows.
        if let Err(error) = writeln!(file, "{line}").and_then(|()| file.flush()) {
            eprintln!("laboratory: cannot write JSON: {error}");
            self.json = None;
        }
    }

    /// Ends the run. Gives the number of rows that failed.
    pub(crate) fn end(&self) -> usize {
        println!("\n{} rows, {} failed, {:.0} s", self.rows, self.failed, self.elapsed());
        self.failed
    }
}
