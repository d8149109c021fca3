//! `wgsl/shortlist.wesl`

use lapidary_shaders::kernels::shortlist::{self, Bindings, KERNEL, Params};

use super::u32_of;
use crate::error::Result;
use crate::gpu::{Count, Gpu, Grid, Recorder, Slice, Tensor};

/// Stretches that the logits are cut into, each of which has its list.
pub const LISTS: usize = shortlist::LISTS as usize;

/// What [`shortlist`] lists for [`sample`](super::sample) to draw from.
#[derive(Clone, Debug)]
pub struct Shortlist {
    lists: wgpu::Buffer,
    lengths: wgpu::Buffer,
}

impl Shortlist {
    /// Room for the lists of up to `usable_vocab` logits.
    ///
    /// # Errors
    /// The errors of buffers.
    pub async fn new(gpu: &Gpu, usable_vocab: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let bytes = 8 * (LISTS * usable_vocab.div_ceil(LISTS)) as u64;
        Ok(Self {
            lists: gpu.buffer("lists", bytes, usage).await?,
            lengths: gpu.buffer("lengths", 4 * LISTS as u64, usage).await?,
        })
    }

    /// Logits in a stretch of `usable_vocab` logits, which must have room here.
    pub(crate) fn stretch(&self, usable_vocab: usize) -> u32 {
        let stretch = usable_vocab.div_ceil(LISTS);
        assert!(8 * (LISTS * stretch) as u64 <= self.lists.size(), "no room for the lists of {usable_vocab} logits");
        u32_of(stretch)
    }

    /// `[LISTS][stretch]` of a token and its logit as a key of the same order, 8 bytes.
    pub fn lists(&self) -> &wgpu::Buffer {
        &self.lists
    }

    /// `[LISTS]`: how many of each stretch are listed, 4 bytes.
    pub fn lengths(&self) -> &wgpu::Buffer {
        &self.lengths
    }
}

/// Of each of [`LISTS`] stretches of the finished logits, lists those that the step's top-k can leave.
///
/// `logits`: `[1, vocab]`, of which the first `usable_vocab` count.
///
/// # Errors
/// The errors of [`Recorder`].
pub async fn shortlist(r: &mut Recorder<'_>, logits: &Tensor, usable_vocab: usize, out: &Shortlist) -> Result<()> {
    assert!(usable_vocab <= logits.cols(), "more usable tokens than logits");
    let params = Params { vocab_size: u32_of(usable_vocab), stretch: out.stretch(usable_vocab) };
    let bindings =
        Bindings { logits: logits.slice(), lists: Slice::all(&out.lists), lengths: Slice::all(&out.lengths) };
    let grid = Grid::Xy(Count::Fixed(u32_of(LISTS)), Count::Fixed(1));
    r.dispatch(&KERNEL, &[], params.words(), bindings.slots(), grid).await
}
