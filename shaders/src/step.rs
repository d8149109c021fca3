//! The default of the generated [`Step`].

use bytemuck::Zeroable;

use crate::kernels::Step;

impl Default for Step {
    /// One token at position 0, without sampling.
    fn default() -> Self {
        Self { n_tokens: 1, temperature: 1.0, top_p: 1.0, repetition_penalty: 1.0, ..Self::zeroed() }
    }
}
