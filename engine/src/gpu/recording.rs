//! A plan as data: what to dispatch, in order, before anything of it is on a device.
//!
//! Recording is synchronous, cannot fail and needs no device: it only says which kernel runs with which parameters on which
//! buffers. [`Recording::finish`] makes the [`Plan`] that a device can run; the text of a recording shows it to people and to
//! tests, and [`crate::check`] runs it one dispatch at a time beside the reference implementations.

use std::fmt;

use lapidary_shaders::{Kernel, Variant};

use super::buffer::Slice;
use super::capabilities::Capabilities;
use super::grid::Grid;

/// Values for a kernel's `override`s.
pub(crate) type Constants<'a> = &'a [(&'static str, u32)];

/// One dispatch of a kernel.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Weight format and `@if` flags that choose its variant, those of the device among them.
    pub features: Vec<&'static str>,
    /// Values for its `override`s.
    pub constants: Vec<(&'static str, u32)>,
    /// The words of its `Params`.
    pub params: Vec<u32>,
    /// Binding slots and what goes there.
    pub bindings: Vec<(u32, Slice)>,
    /// Its workgroups.
    pub grid: Grid,
}

impl Dispatch {
    /// The variant of the kernel; `None` if it has none for these features.
    pub fn variant(&self) -> Option<&'static Variant> {
        self.kernel.variant(&self.features)
    }

    /// What is bound at the storage binding of this name.
    pub fn binding(&self, name: &str) -> Option<&Slice> {
        let storage = self.kernel.storage.iter().find(|storage| storage.name == name)?;
        self.bindings.iter().find(|(slot, _)| *slot == storage.slot).map(|(_, slice)| slice)
    }
}

impl fmt::Display for Dispatch {
    /// `matvec.q4_0.subgroups [288] rows=9216 … x=normed out=gate_up`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variant() {
            Some(variant) => f.write_str(variant.name())?,
            None => write!(f, "{} without a variant for {:?}", self.kernel.name, self.features)?,
        }
        write!(f, " {}", self.grid)?;
        for (name, value) in &self.constants {
            write!(f, " {name}:{value}")?;
        }
        for (param, word) in self.kernel.params.iter().zip(&self.params) {
            match param.float {
                true => write!(f, " {}={}", param.name, f32::from_bits(*word))?,
                false => write!(f, " {}={word}", param.name)?,
            }
        }
        for storage in self.kernel.storage {
            if let Some(slice) = self.binding(storage.name) {
                let arrow = if storage.writes { "→" } else { "←" };
                write!(f, " {}{arrow}{}", storage.name, slice.buffer.label())?;
                if slice.offset > 0 {
                    write!(f, "+{}", slice.offset)?;
                }
            }
        }
        Ok(())
    }
}

/// Dispatches in order, in segments that may be submitted apart (a layer is one).
#[derive(Clone, Debug)]
pub struct Recording {
    capabilities: Capabilities,
    segments: Vec<Vec<Dispatch>>,
}

impl Recording {
    /// Nothing yet, for devices with these capabilities: they choose variants of kernels and sizes of workgroups.
    pub fn new(capabilities: &Capabilities) -> Self {
        Self { capabilities: capabilities.clone(), segments: Vec::new() }
    }

    /// What the device can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Begins a segment that may be submitted apart from what came before.
    pub fn begin_segment(&mut self) {
        self.segments.push(Vec::new());
    }

    /// Records a dispatch of the variant of `kernel` that fits `features` and the device.
    pub(crate) fn dispatch(
        &mut self,
        kernel: &'static Kernel,
        features: &[&'static str],
        params: Vec<u32>,
        bindings: Vec<(u32, Slice)>,
        grid: Grid,
    ) {
        self.dispatch_with(kernel, features, &[], params, bindings, grid);
    }

    /// The same, with values for the kernel's overrides.
    pub(crate) fn dispatch_with(
        &mut self,
        kernel: &'static Kernel,
        features: &[&'static str],
        constants: Constants<'_>,
        params: Vec<u32>,
        bindings: Vec<(u32, Slice)>,
        grid: Grid,
    ) {
        let features = [features, &self.capabilities.shader_features()].concat();
        let dispatch = Dispatch { kernel, features, constants: constants.to_vec(), params, bindings, grid };
        match self.segments.last_mut() {
            Some(segment) => segment.push(dispatch),
            None => self.segments.push(vec![dispatch]),
        }
    }

    /// The segments.
    pub fn segments(&self) -> &[Vec<Dispatch>] {
        &self.segments
    }

    /// All dispatches, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.segments.iter().flatten()
    }

    /// The same dispatches, each in a segment for itself.
    pub(crate) fn one_per_segment(self) -> Self {
        let each = self.segments.into_iter().flatten();
        Self { capabilities: self.capabilities, segments: each.map(|dispatch| vec![dispatch]).collect() }
    }
}

impl fmt::Display for Recording {
    /// Per segment its dispatches, a line each. Segments that differ in nothing are written once, after their numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self
            .segments
            .iter()
            .map(|segment| segment.iter().map(|dispatch| format!("    {dispatch}\n")).collect())
            .collect();
        for (i, text) in texts.iter().enumerate() {
            if texts[..i].contains(text) {
                continue;
            }
            let same: Vec<String> = (i..texts.len()).filter(|j| texts[*j] == *text).map(|j| j.to_string()).collect();
            let word = if same.len() == 1 { "segment" } else { "segments" };
            writeln!(f, "{word} {}:\n{text}", same.join(", "))?;
        }
        Ok(())
    }
}
