//! A sequence of tokens: their ids, and their keys and values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gpu::Buffer;
use crate::leases::{Lease, Leases};
use crate::model::SequenceBuffers;
use crate::ops::{NO_TOKEN, PAGE};

/// A sequence of tokens with its KV cache. It is the only owner of its ids; it shares pages of its cache only with
/// sequences that begin with the same tokens. A runner, which several sequences can share, extends it.
pub(crate) struct Sequence {
    engine: Engine,
    /// Which runner it is of.
    runner: Arc<()>,
    /// The tokens that the host has read, without those of steps in flight.
    ids: Vec<u32>,
    /// Positions whose keys and values are in the cache once all submitted steps are done.
    computed: usize,
    buffers: Arc<SequenceBuffers>,
    slot: Lease,
    /// The pages of its cache. A page of another sequence's as well is not written to.
    pages: Vec<Arc<Lease>>,
    free_pages: Leases,
}

/// What became of a guess.
#[derive(Clone, Copy)]
pub(crate) struct GuessOutcome {
    /// Tokens that were guessed.
    pub(crate) guessed: usize,
    /// Those of them that were right, up to the first that was not.
    pub(crate) right: usize,
}

impl GuessOutcome {
    /// Tokens that were computed for nothing.
    pub(crate) fn wrong(self) -> usize {
        self.guessed - self.right
    }
}

impl Sequence {
    /// An empty sequence of a runner.
    pub(crate) fn new(
        engine: &Engine,
        runner: &Arc<()>,
        buffers: &Arc<SequenceBuffers>,
        slot: Lease,
        free_pages: &Leases,
    ) -> Self {
        Self {
            engine: engine.clone(),
            runner: runner.clone(),
            ids: Vec::new(),
            computed: 0,
            buffers: buffers.clone(),
            slot,
            pages: Vec::new(),
            free_pages: free_pages.clone(),
        }
    }

    /// The tokens whose keys and values are in the cache.
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.ids[..self.ids.len().min(self.computed)]
    }

    /// How many of its tokens, from the first on, are those of another text.
    pub(crate) fn shared_with(&self, text: &[u32]) -> usize {
        self.tokens().iter().zip(text).take_while(|(a, b)| a == b).count()
    }

    /// Pages that only these sequences have, by their numbers: they are free once all of these are dropped.
    pub(crate) fn pages_of_only<'a>(sequences: impl IntoIterator<Item = &'a Self>) -> BTreeSet<u32> {
        // How many other sequences have each page.
        let mut others: BTreeMap<u32, usize> = BTreeMap::new();
        for page in sequences.into_iter().flat_map(|sequence| &sequence.pages) {
            *others.entry(page.number()).or_insert_with(|| Arc::strong_count(page)) -= 1;
        }
        others.into_iter().filter(|(_, others)| *others == 0).map(|(page, _)| page).collect()
    }

    /// The numbers of the pages that hold its first `len` tokens and no others.
    pub(crate) fn whole_pages(&self, len: usize) -> impl Iterator<Item = u32> {
        self.pages[..len / PAGE].iter().map(|page| page.number())
    }

    /// Pages that the sequence gives back or keeps for its own use when it is rewound to `len` tokens.
    pub(crate) fn reusable_pages(&self, len: usize) -> usize {
        let (kept, given_back) = self.pages.split_at(len / PAGE);
        kept.len() + given_back.iter().filter(|page| Arc::strong_count(page) == 1).count()
    }

    /// Its number among the sequences of its runner.
    pub(crate) fn slot(&self) -> u32 {
        self.slot.number()
    }

    /// Removes all tokens after the first `len`. This costs nothing: attention does not read cache positions past the
    /// sequence.
    pub(crate) fn rewind(&mut self, len: usize) {
        self.computed = len.min(self.tokens().len());
        self.ids.truncate(self.computed);
        // Steps in flight may still write to these pages. Who takes them writes later, because the queue keeps its order.
        self.pages.truncate(self.computed.div_ceil(PAGE));
    }

    /// Makes room in the cache for positions up to `end`, of which those from the sequence's length on can then be written to.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if a sequence of the runner has no such positions: shaders check no bounds. [`Error::CacheFull`] if
    /// the runner has no page left. What the sequence has stays right.
    pub(crate) fn reserve(&mut self, end: usize) -> Result<()> {
        self.check_fits(end)?;
        let first = self.computed / PAGE;
        let mut changed = self.pages.len();
        if let Some(page) = self.pages.get(first).filter(|page| Arc::strong_count(page) > 1) {
            self.pages[first] = self.copy_of(page)?;
            changed = first;
        }
        let mut outcome = Ok(());
        while self.pages.len() * PAGE < end && outcome.is_ok() {
            outcome = self.take_page().map(|page| self.pages.push(page));
        }
        let numbers: Vec<u32> = self.pages[changed..].iter().map(|page| page.number()).collect();
        if !numbers.is_empty() {
            self.buffers.tables.write(&self.engine.inner.gpu, self.slot() as usize, changed, &numbers);
        }
        outcome
    }

    /// Checks that a sequence of the runner can have this many tokens.
    ///
    /// # Errors
    /// [`Error::ContextFull`].
    pub(crate) fn check_fits(&self, tokens: usize) -> Result<()> {
        let context = self.buffers.tables.context();
        if tokens <= context { Ok(()) } else { Err(Error::ContextFull { tokens, context }) }
    }

    fn take_page(&self) -> Result<Arc<Lease>> {
        let full = || Error::CacheFull { tokens: self.buffers.tables.pages() * PAGE };
        self.free_pages.take().map(Arc::new).ok_or_else(full)
    }

    /// A page of its own with what a page of the same runner holds.
    fn copy_of(&self, page: &Lease) -> Result<Arc<Lease>> {
        let own = self.take_page()?;
        self.encode(|encoder| self.buffers.duplicate_page(encoder, page.number(), own.number()));
        Ok(own)
    }

    fn encode(&self, copies: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let gpu = &self.engine.inner.gpu;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        copies(&mut encoder);
        gpu.submit_commands([encoder.finish()]);
    }

    /// Gives an empty sequence the first `len` tokens of another one of the same engine. Whole pages are shared where both are of
    /// the same runner, and the rest is copied.
    ///
    /// # Errors
    /// [`Error::ContextFull`] and [`Error::CacheFull`], as for [`Sequence::reserve`].
    pub(crate) fn begin_as(&mut self, other: &Self, len: usize) -> Result<()> {
        let len = len.min(other.tokens().len());
        self.check_fits(len)?;
        let numbers = |pages: &[Arc<Lease>]| pages.iter().map(|page| page.number()).collect::<Vec<_>>();
        if Arc::ptr_eq(&self.runner, &other.runner) {
            self.pages = other.pages[..len / PAGE].to_vec();
            if !len.is_multiple_of(PAGE) {
                self.pages.push(self.copy_of(&other.pages[len / PAGE])?);
            }
            self.buffers.tables.write(&self.engine.inner.gpu, self.slot() as usize, 0, &numbers(&self.pages));
        } else {
            self.reserve(len)?;
            let (from, to) = (numbers(&other.pages[..len.div_ceil(PAGE)]), numbers(&self.pages));
            self.encode(|encoder| self.buffers.copy_pages(encoder, &other.buffers, &from, &to));
        }
        self.extend(&other.ids[..len]);
        Ok(())
    }

    /// Appends tokens whose keys and values are in the cache.
    pub(crate) fn extend(&mut self, ids: &[u32]) {
        debug_assert_eq!(self.ids.len(), self.computed, "steps in flight come first");
        self.ids.extend_from_slice(ids);
        self.computed = self.ids.len();
    }

    /// Appends a token that the host knows. Its keys and values may still be to come.
    pub(crate) fn push(&mut self, id: u32) {
        self.ids.push(id);
    }

    /// Sets the tokens that the repetition penalty applies to at the start of a reply.
    pub(crate) fn set_seen(&self, ids: &[u32]) {
        self.write_bits(&self.buffers.sink.seen, |bits| {
            for id in ids {
                bits[*id as usize / 32] |= 1 << (id % 32);
            }
        });
    }

    /// Sets the tokens that can be drawn next: `set` gets their bits, none of which is set.
    pub(crate) fn set_allowed(&self, set: impl FnOnce(&mut [u32])) -> Vec<u32> {
        self.write_bits(&self.buffers.sink.allowed, set)
    }

    /// Writes a bit per token of the vocabulary to this sequence's part of a buffer.
    fn write_bits(&self, buffer: &Buffer, set: impl FnOnce(&mut [u32])) -> Vec<u32> {
        let sink = &self.buffers.sink;
        let mut bits = vec![0; sink.seen_words() as usize];
        set(&mut bits);
        self.engine.inner.gpu.write(buffer, sink.seen_offset(self.slot() as usize), bytemuck::cast_slice(&bits));
        bits
    }

    /// Sets the input token of the next decode step.
    pub(crate) fn set_token(&self, id: u32) {
        self.engine.inner.gpu.write(&self.buffers.sink.tokens, 4 * u64::from(self.slot()), bytemuck::bytes_of(&id));
    }

    /// All tokens that the host has read: those [with keys and values](Self::tokens), and the newest one without.
    pub(crate) fn taken(&self) -> &[u32] {
        &self.ids
    }

    /// The position of the next decode step's input token.
    pub(crate) fn position(&self) -> usize {
        self.computed
    }

    /// Counts the input tokens of a decode step that is submitted, whose positions are reserved.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.computed += tokens;
    }

    /// Compares a guess with what was drawn after the newest token and after each token of the guess. What was computed after a wrong
    /// one is taken back, and the next step's input is what was drawn in its place.
    pub(crate) fn check(&mut self, guess: &[u32], drawn: &[u32]) -> GuessOutcome {
        let right = guess.iter().zip(drawn).take_while(|(guess, drawn)| guess == drawn).count();
        let checked = GuessOutcome { guessed: guess.len(), right };
        if checked.wrong() > 0 {
            self.computed -= checked.wrong();
            if let Ok(token) = self.engine.token_of(drawn[right]) {
                self.set_token(token);
            }
        }
        checked
    }
}

impl Engine {
    /// The token that a word of a sequence's results stands for.
    ///
    /// # Errors
    /// [`Error::NoToken`] if all logits were NaN.
    pub(crate) fn token_of(&self, word: u32) -> Result<u32> {
        let vocab_size = self.inner.config.vocab_size;
        match word {
            NO_TOKEN => Err(Error::NoToken { model: self.name().to_owned() }),
            token if token as usize >= vocab_size => Err(Error::Internal {
                reason: format!("the token {token} was drawn from a vocabulary of {vocab_size}"),
            }),
            token => Ok(token),
        }
    }
}
