//! The default of the generated [`Step`].

use bytemuck::Zeroable;

use crate::kernels::Step;

impl Default for Step {
    /// One token at position 0, without sampling.
    fn default() -> Self {
        Self { n_tokens: 1, temperature: 1.0, top_p: 1.0, repetition_penalty: 1.0, ..Self::zeroed() }
    }
}

impl Step {
    /// Elements of [`Step::places`], with the places of two tokens each.
    pub const PLACE_PAIRS: usize = 32;

    /// Sets where the token at `index` of a decode step of several sequences belongs: its position and its sequence's slot.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn set_place(&mut self, index: usize, position: u32, slot: u32) {
        let first = index % 2 * 2;
        self.places[index / 2][first..first + 2].copy_from_slice(&[position, slot]);
    }

    /// The `i`-th decode step of its sequence after it, as long as nothing else of the sequence comes between.
    pub fn later(&self, i: u32) -> Self {
        Self { n_tokens: 1, position: self.position + self.n_tokens - 1 + i, draw: self.draw + i, ..*self }
    }

    /// The place of the token at `index`, as `lib/places.wesl` reads it: its position and its sequence's slot.
    pub fn place(&self, index: usize) -> (u32, u32) {
        match self.n_tokens {
            1 => (self.position, self.slot),
            _ => (self.places[index / 2][index % 2 * 2], self.places[index / 2][index % 2 * 2 + 1]),
        }
    }
}
