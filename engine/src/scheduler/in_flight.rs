//! A step in flight that draws tokens: submitted, and not yet read by the host.

use super::IN_FLIGHT;
use super::job::Job;
use super::request::RequestId;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Mapping, Readback, Step, Tensor};
use crate::ops::TokenSink;
use crate::runner::Runner;

/// A row of a step: a token of a reply.
pub(super) struct Row {
    pub(super) id: RequestId,
    pub(super) slot: u32,
    pub(super) draw: u32,
    /// Whether the host reads its logits.
    pub(super) reads_logits: bool,
}

impl Row {
    /// The row of a step that draws a token of this reply.
    pub(super) fn new(job: &Job, step: &Step) -> Self {
        Self { id: job.id, slot: step.slot, draw: step.draw, reads_logits: job.reads_logits() }
    }
}

/// Buffers that the host can map, for reuse. Each is large enough for what it was last used for.
pub(super) struct Readbacks {
    free: Vec<Readback>,
}

impl Readbacks {
    /// Enough for the tokens of all steps in flight.
    pub(super) async fn new(runner: &Runner) -> Result<Self> {
        let mut free = Vec::new();
        for _ in 0..IN_FLIGHT {
            free.push(Readback::new(&runner.engine.inner.gpu, runner.buffers.sink.results.bytes()).await?);
        }
        Ok(Self { free })
    }

    /// A buffer for what the host reads of these rows of a step of the runner.
    pub(super) async fn of(&mut self, runner: &Runner, rows: &Rows) -> Result<Readback> {
        match self.free.pop() {
            Some(readback) if readback.bytes() >= rows.bytes() => Ok(readback),
            _ => Readback::new(&runner.engine.inner.gpu, rows.bytes()).await,
        }
    }

    /// Takes a buffer back, if it is free again.
    pub(super) fn give_back(&mut self, readback: Option<Readback>) {
        self.free.extend(readback);
    }
}

/// The rows of a step, and what the host reads of it: all results, then the logits of the rows that need them.
pub(super) struct Rows {
    rows: Vec<Row>,
    /// Of all sequences.
    results: Buffer,
    logits: Tensor,
}

impl Rows {
    /// Rows of a step of this runner.
    pub(super) fn new(runner: &Runner, rows: impl Iterator<Item = Row>) -> Self {
        let (results, logits) = (runner.buffers.sink.results.clone(), runner.activations.logits.clone());
        Self { rows: rows.collect(), results, logits }
    }

    /// Bytes that the host reads.
    fn bytes(&self) -> u64 {
        let reads = self.rows.iter().filter(|row| row.reads_logits).count();
        self.results.bytes() + (reads * self.logits_bytes()) as u64
    }

    /// Bytes of a row of logits.
    fn logits_bytes(&self) -> usize {
        4 * self.logits.stride()
    }

    /// Encodes the copies to the buffer that the host maps.
    fn copy(&self, encoder: &mut wgpu::CommandEncoder, readback: &Readback) {
        readback.copy(encoder, self.results.memory(), 0, self.results.bytes());
        let (mut to, row_bytes) = (self.results.bytes(), self.logits_bytes() as u64);
        for (i, _) in self.rows.iter().enumerate().filter(|(_, row)| row.reads_logits) {
            readback.copy_to(encoder, self.logits.buffer().memory(), i as u64 * row_bytes, to, row_bytes);
            to += row_bytes;
        }
    }
}

/// A step that was submitted, and that the host has not read.
pub(super) struct StepInFlight {
    rows: Rows,
    /// The tokens after the newest one of the only sequence, as they were guessed: a row for each.
    guess: Vec<u32>,
    submission: wgpu::SubmissionIndex,
    mapping: Mapping,
    readback: Readback,
}

impl StepInFlight {
    /// Submits a step. `encode` gets a function that encodes the copies of what the host reads.
    pub(super) fn submit(
        gpu: &Gpu,
        readback: Readback,
        rows: Rows,
        encode: impl FnOnce(&dyn Fn(&mut wgpu::CommandEncoder)) -> wgpu::CommandBuffer,
    ) -> Self {
        let commands = encode(&|encoder| rows.copy(encoder, &readback));
        let submission = gpu.submit_commands([commands]);
        let mapping = readback.request(rows.bytes());
        Self { rows, guess: Vec::new(), submission, mapping, readback }
    }

    /// The same of one sequence, whose tokens after the newest one were guessed.
    pub(super) fn with_guess(self, guess: Vec<u32>) -> Self {
        Self { guess, ..self }
    }

    /// Whether it has a guess.
    pub(super) fn is_guessing(&self) -> bool {
        !self.guess.is_empty()
    }

    /// The request ended, and the token of its row is not needed.
    pub(super) fn forget(&mut self, id: RequestId) {
        self.rows.rows.iter_mut().filter(|row| row.id == id).for_each(|row| row.id = RequestId(u64::MAX));
    }

    /// Waits for the step.
    pub(super) async fn output(&mut self, gpu: &Gpu) -> Result<StepOutput> {
        let Self { rows, submission, mapping, readback, .. } = self;
        let words = readback.take(gpu, submission.clone(), mapping, bytemuck::pod_collect_to_vec).await?;
        let (mut at, row_words) = (rows.results.bytes() as usize / 4, rows.logits_bytes() / 4);
        let mut starts = Vec::with_capacity(rows.rows.len());
        for row in &rows.rows {
            starts.push(row.reads_logits.then_some(at));
            at += if row.reads_logits { row_words } else { 0 };
        }
        Ok(StepOutput { words, starts, row_words })
    }

    /// The rows, the guess, and the buffer if it is free again.
    pub(super) fn into_parts(self) -> (Vec<Row>, Vec<u32>, Option<Readback>) {
        (self.rows.rows, self.guess, self.mapping.is_over().then_some(self.readback))
    }
}

/// What the host has read of a step.
pub(super) struct StepOutput {
    words: Vec<u32>,
    /// Where each row's logits begin.
    starts: Vec<Option<usize>>,
    /// Of a row of logits.
    row_words: usize,
}

impl StepOutput {
    /// The result of a row.
    pub(super) fn word(&self, row: &Row) -> u32 {
        self.words[TokenSink::result_word(row.slot as usize, row.draw)]
    }

    /// The logits of the row at this index, padding included, if the host reads them.
    pub(super) fn logits(&mut self, index: usize) -> Option<&mut [f32]> {
        let start = self.starts[index]?;
        Some(bytemuck::cast_slice_mut(&mut self.words[start..start + self.row_words]))
    }
}
