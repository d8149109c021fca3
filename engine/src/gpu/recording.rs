//! A plan as data: the dispatches in order, without a device.
//!
//! Recording is synchronous, cannot fail and needs no device. It lists which kernel runs with which parameters on which
//! buffers. [`Recording::finish`] creates the [`Plan`] that a device can run. A recording prints as text, which tests
//! compare with snapshots. [`crate::check`] runs it one dispatch at a time and compares with the reference
//! implementations.

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
    /// The weight format and the `@if` flags that choose its variant, including the device's.
    pub features: Vec<&'static str>,
    /// Values for its `override`s.
    pub constants: Vec<(&'static str, u32)>,
    /// The words of its `Params`.
    pub params: Vec<u32>,
    /// The binding slots and their buffers.
    pub bindings: Vec<(u32, Slice)>,
    /// Its workgroups.
    pub grid: Grid,
}

impl Dispatch {
    /// The variant of the kernel; `None` if it has none for these features.
    pub fn variant(&self) -> Option<&'static Variant> {
        self.kernel.variant(&self.features)
    }

    /// The buffer at the storage binding of this name.
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

/// Dispatches in order, in segments that can be submitted separately. Each layer is a segment.
#[derive(Clone, Debug)]
pub struct Recording {
    capabilities: Capabilities,
    segments: Vec<Vec<Dispatch>>,
}

impl Recording {
    /// An empty recording for devices with these capabilities, which choose kernel variants and workgroup sizes.
    pub fn new(capabilities: &Capabilities) -> Self {
        Self { capabilities: capabilities.clone(), segments: Vec::new() }
    }

    /// The device's capabilities.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Begins a segment, which can be submitted separately from the dispatches before it.
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
        let constants = [constants, &self.capabilities.constants_of(kernel, &features)[..]].concat();
        let dispatch = Dispatch { kernel, features, constants, params, bindings, grid };
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

    /// The same dispatches, one per segment, so that what each writes can be read before the next runs.
    pub fn one_per_segment(self) -> Self {
        let each = self.segments.into_iter().flatten();
        Self { capabilities: self.capabilities, segments: each.map(|dispatch| vec![dispatch]).collect() }
    }
}

impl fmt::Display for Recording {
    /// The dispatches of each segment, one per line. Equal segments are written once, under the list of their indices.
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
