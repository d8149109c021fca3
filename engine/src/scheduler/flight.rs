//! A decode step in flight: submitted, and not yet read by the host.

use super::request::RequestId;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Mapping, Readback};
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

    pub(super) fn give_back(&mut self, readback: Option<Readback>) {
        self.free.extend(readback);
    }
}

pub(super) struct Flight {
    rows: Vec<Row>,
    result_bytes: u64,
    logits_bytes: u64,
    in_flight: Option<(wgpu::SubmissionIndex, Mapping, Readback)>,
}

impl Flight {
    /// A step of these rows; all results take so many bytes, and the logits of a row so many.
    pub(super) fn new(rows: Vec<Row>, result_bytes: u64, logits_bytes: u64) -> Self {
        Self { rows, result_bytes, logits_bytes, in_flight: None }
    }

    /// Bytes that the host reads of a step: all results, and the logits of the rows that say so.
    pub(super) fn bytes_of(reads_logits: impl Iterator<Item = bool>, result_bytes: u64, logits_bytes: u64) -> u64 {
        result_bytes + reads_logits.filter(|reads| *reads).count() as u64 * logits_bytes
    }

    fn bytes(&self) -> u64 {
        let rows = self.rows.iter().map(|row| row.reads_logits);
        Self::bytes_of(rows, self.result_bytes, self.logits_bytes)
    }

    /// Encodes the copies to the buffer that the host maps: all results, then the logits of the rows that need them.
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

    /// Notes the submission.
    pub(super) fn departed(&mut self, submission: wgpu::SubmissionIndex, readback: Readback) {
        let mapping = readback.request(self.bytes());
        self.in_flight = Some((submission, mapping, readback));
    }

    /// The request ended, and the token of its row is not needed.
    pub(super) fn forget(&mut self, id: RequestId) {
        self.rows.iter_mut().filter(|row| row.id == id).for_each(|row| row.id = RequestId(u64::MAX));
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Waits for the step.
    pub(super) async fn land(&mut self, gpu: &Gpu) -> Result<Landed> {
        let Some((submission, mapping, readback)) = &mut self.in_flight else {
            return Err(Error::Gpu { reason: "a step was never submitted".into() });
        };
        let words = readback.take(gpu, submission.clone(), mapping, bytemuck::pod_collect_to_vec).await?;
        let mut at = self.result_bytes as usize / 4;
        let mut starts = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            starts.push(row.reads_logits.then_some(at));
            at += if row.reads_logits { self.logits_bytes as usize / 4 } else { 0 };
        }
        Ok(Landed { words, starts, logits: self.logits_bytes as usize / 4 })
    }

    /// The buffer, after the step has landed.
    pub(super) fn take_readback(&mut self) -> Option<Readback> {
        self.in_flight.take().filter(|(_, mapping, _)| mapping.is_over()).map(|(_, _, readback)| readback)
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
