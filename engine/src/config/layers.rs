//! Which layers slide, and how each rotates.

/// How the attention of a layer differs from that of others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerAttention {
    /// Positions that a query attends to, the current one included; `None` is all of them.
    pub window: Option<usize>,
    /// The base of RoPE's frequencies.
    pub rope_theta: f32,
    /// What positions are divided by before RoPE; 1 changes nothing.
    pub rope_scale: f32,
}

/// The RoPE of one kind of layer.
#[derive(Clone, Copy)]
pub(crate) struct Rope {
    /// The base of the frequencies.
    pub(crate) theta: f32,
    /// What positions are divided by.
    pub(crate) scale: f32,
}

/// The attention of each layer, given which layers slide.
pub(crate) fn layer_attention(sliding: &[bool], window: Option<usize>, local: Rope, full: Rope) -> Vec<LayerAttention> {
    let layer = |&sliding: &bool| {
        let rope = if sliding { local } else { full };
        LayerAttention { window: window.filter(|_| sliding), rope_theta: rope.theta, rope_scale: rope.scale }
    };
    sliding.iter().map(layer).collect()
}

/// Which layers slide where the last of every `pattern` does not. `pattern` is at least 1.
pub(crate) fn sliding_by_pattern(layers: usize, pattern: usize) -> Vec<bool> {
    (1..=layers).map(|layer| !layer.is_multiple_of(pattern)).collect()
}
