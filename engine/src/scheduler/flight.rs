//! A decode step in flight: submitted, and not yet read by the host.

use super::request::RequestId;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Mapping, Plan, Readback, Step, StepRing};
use crate::ops::TokenSink;

/// A row of a step: a token of a reply.
pub(super) struct Row {
    pub(super) id: RequestId,
    pub(super) slot: u32,
    pub(super) draw: u32,
    /// Whether the host reads its logits.
    pub(super) reads_logits: bool,
}

/// Buffers that the host can map, for reuse. Each is large enough for what it was last used for.
#[derive(Default)]
pub(super) struct Readbacks {
    free: Vec<Readback>,
}

impl Readbacks {
    /// A buffer of at least so many bytes.
    pub(super) async fn of(&mut self, gpu: &Gpu, bytes: u64) -> Result<Readback> {
        match self.free.pop() {
            Some(readback) if readback.bytes() >= bytes => Ok(readback),
            _ => Readback::new(gpu, bytes).await,
        }
    }

    /// Takes a buffer back, if it is free again.
    pub(super) fn give_back(&mut self, readback: Option<Readback>) {
        self.free.extend(readback);
    }
}

/// The rows of a step, and what the host reads of it: all results, then the logits of the rows that need them.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// Of all sequences.
    pub(super) result_bytes: u64,
    /// Of a row.
    pub(super) logits_bytes: u64,
}

impl Rows {
    /// Bytes that the host reads.
    pub(super) fn bytes(&self) -> u64 {
        let reads = self.rows.iter().filter(|row| row.reads_logits).count();
        self.result_bytes + reads as u64 * self.logits_bytes
    }

    /// Encodes the copies to the buffer that the host maps.
    pub(super) fn copy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        readback: &Readback,
        results: &wgpu::Buffer,
        logits: &wgpu::Buffer,
    ) {
        readback.copy(encoder, results, 0, self.result_bytes);
        let mut to = self.result_bytes;
        for (i, _) in self.rows.iter().enumerate().filter(|(_, row)| row.reads_logits) {
            readback.copy_to(encoder, logits, i as u64 * self.logits_bytes, to, self.logits_bytes);
            to += self.logits_bytes;
        }
    }
}

pub(super) struct Flight {
    rows: Rows,
    /// The tokens after the newest one of the only sequence, as they were guessed: a row for each.
    guess: Vec<u32>,
    submission: wgpu::SubmissionIndex,
    mapping: Mapping,
    readback: Readback,
}

impl Flight {
    /// Submits a step, and reads its rows from the results of all sequences and from the logits. Where the future is dropped, nothing
    /// is submitted.
    pub(super) async fn submit(
        gpu: &Gpu,
        ring: &mut StepRing,
        readbacks: &mut Readbacks,
        rows: Rows,
        steps: &[(&Plan, Step)],
        results: &Buffer,
        logits: &Buffer,
    ) -> Result<Self> {
        let readback = readbacks.of(gpu, rows.bytes()).await?;
        // Nothing waits after this.
        let (results, logits) = (results.memory(), logits.memory());
        let commands = gpu.encode_steps(ring, steps, |encoder| rows.copy(encoder, &readback, results, logits));
        let submission = gpu.submit_commands([commands]);
        let mapping = readback.request(rows.bytes());
        Ok(Self { rows, guess: Vec::new(), submission, mapping, readback })
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
    pub(super) async fn land(&mut self, gpu: &Gpu) -> Result<Landed> {
        let Self { rows, submission, mapping, readback, .. } = self;
        let words = readback.take(gpu, submission.clone(), mapping, bytemuck::pod_collect_to_vec).await?;
        let mut at = rows.result_bytes as usize / 4;
        let mut starts = Vec::with_capacity(rows.rows.len());
        for row in &rows.rows {
            starts.push(row.reads_logits.then_some(at));
            at += if row.reads_logits { rows.logits_bytes as usize / 4 } else { 0 };
        }
        Ok(Landed { words, starts, logits: rows.logits_bytes as usize / 4 })
    }

    /// The rows, the guess, and the buffer if it is free again.
    pub(super) fn into_parts(self) -> (Vec<Row>, Vec<u32>, Option<Readback>) {
        (self.rows.rows, self.guess, self.mapping.is_over().then_some(self.readback))
    }
}

/// What the host has read of a step.
pub(super) struct Landed {
    words: Vec<u32>,
    /// Where each row's logits begin.
    starts: Vec<Option<usize>>,
    logits: usize,
}

impl Landed {
    /// The result of a row.
    pub(super) fn word(&self, row: &Row) -> u32 {
        self.words[TokenSink::result_word(row.slot as usize, row.draw)]
    }

    /// The logits of the row at this index, padding included, if the host reads them.
    pub(super) fn logits(&mut self, index: usize) -> Option<&mut [f32]> {
        let start = self.starts[index]?;
        Some(bytemuck::cast_slice_mut(&mut self.words[start..start + self.logits]))
    }
}
