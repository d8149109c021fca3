//! Writes `kernels.rs`.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::reflect::{Field, Kind, Reflection};
use crate::sources::Sources;
use crate::variants::IMPLIES;

/// A kernel as it was read and linked.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) sources: Sources,
    pub(crate) reflection: Reflection,
    /// Features, file, and bytes of workgroup memory.
    pub(crate) variants: Vec<(Vec<String>, String, u32)>,
}

/// The text of `kernels.rs`. `shared` has one of the kernels of each shared module.
pub(crate) fn kernels(
    kernels: &[Kernel],
    shared: &BTreeMap<String, Kernel>,
    step: &[Field],
    formats: &[String],
    hash: u64,
) -> String {
    let mut out = Text::default();
    let reader = kernels.iter().find(|kernel| kernel.reflection.step.is_some()).expect("a kernel reads the step");
    out.step(step, &reader.sources);
    for (name, kernel) in shared {
        assert!(kernels.iter().all(|kernel| kernel.name != *name), "{name}: a kernel and a module of `lib`");
        out.line(format_args!("/// `Params` and `Bindings` of all kernels that import `wgsl/lib/{name}.wesl`."));
        out.line(format_args!("#[allow(missing_docs)]\npub mod {name} {{"));
        out.params(&kernel.reflection, &kernel.sources);
        out.line("}");
    }
    for kernel in kernels {
        out.kernel(kernel);
    }
    out.line("/// Differs where the text of a kernel does.");
    out.line(format_args!("pub const HASH: u64 = {hash};"));
    out.line("/// Every kernel, by name.\npub static ALL: &[&crate::Kernel] = &[");
    for kernel in kernels {
        out.line(format_args!("&{}::KERNEL,", kernel.name));
    }
    out.line("];");
    out.line("/// Flags that must be asked for together with another, where a kernel knows both.");
    out.line(format_args!("pub static IMPLIES: &[(&str, &str)] = &{IMPLIES:?};"));
    out.line("/// The weight formats, by the name of their `dequant` module.");
    out.line(format_args!("pub static WEIGHT_FORMATS: &[&str] = &{formats:?};"));
    out.0
}

/// Rust source that grows by lines.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("strings grow");
    }

    /// A WGSL comment as documentation.
    fn doc(&mut self, comment: &str) {
        for line in comment.lines() {
            // Outside of code, brackets would be links and angle brackets tags.
            let escape = |(i, part): (usize, &str)| match i % 2 {
                0 => part.replace('[', "\\[").replace(']', "\\]").replace('<', "\\<"),
                _ => part.to_owned(),
            };
            let escaped: Vec<String> = line.split('`').enumerate().map(escape).collect();
            self.line(format_args!("/// {}", escaped.join("`")));
        }
    }

    fn doc_of(&mut self, sources: &Sources, name: &str) {
        if let Some(comment) = sources.comments.get(name) {
            self.doc(comment);
        }
    }

    /// Fields of a struct.
    fn fields(&mut self, structure: &str, fields: &[Field], sources: &Sources) {
        for (name, kind) in fields {
            self.doc_of(sources, &format!("{structure}.{name}"));
            self.line(format_args!("pub {name}: {kind},"));
        }
    }

    fn step(&mut self, fields: &[Field], sources: &Sources) {
        for (name, _) in fields {
            assert!(sources.comments.contains_key(&format!("Step.{name}")), "the step's {name} has no comment");
        }
        let padding = padding(fields);
        self.line("/// The uniform of a step at slot 0, `wgsl/lib/step.wesl`: the inputs that change from one step to the next.");
        self.line("#[repr(C)]\n#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]");
        self.line("pub struct Step {");
        self.fields("Step", fields, sources);
        if padding > 0 {
            self.line(format_args!("/// Fills the uniform to a multiple of 16 bytes.\npub padding: [u32; {padding}],"));
        }
        self.line("}\nimpl Step {");
        self.line("/// Size of the uniform in bytes.\npub const BYTES: usize = size_of::<Self>();\n}");
    }

    /// `Params` and `Bindings`.
    fn params(&mut self, reflection: &Reflection, sources: &Sources) {
        let Reflection { params, storage, .. } = reflection;
        self.line("/// The uniform at slot 1.");
        self.line("#[repr(C)]\n#[derive(Clone, Copy, Debug, Default, PartialEq)]\npub struct Params {");
        self.fields("Params", params, sources);
        self.line("}\nimpl Params {");
        self.line("/// The uniform's words, padded to a multiple of 16 bytes.");
        self.line("pub fn words(self) -> Vec<u32> {\nvec![");
        for (name, kind) in params {
            let bits = match kind {
                Kind::F32 => ".to_bits()",
                Kind::U32 => "",
                Kind::Quads(_) => panic!("only the step has arrays"),
            };
            self.line(format_args!("self.{name}{bits},"));
        }
        self.line(format_args!("{}]\n}}\n}}", "0, ".repeat(padding(params))));
        self.line("/// The storage buffers, by name.\n#[derive(Clone, Copy, Debug)]\npub struct Bindings<B> {");
        for (_, name, _) in storage {
            self.doc_of(sources, name);
            self.line(format_args!("pub {name}: B,"));
        }
        self.line("}\nimpl<B> Bindings<B> {");
        self.line("/// Slots and the buffers to bind there.\npub fn slots(self) -> Vec<(u32, B)> {\nvec![");
        for (slot, name, _) in storage {
            self.line(format_args!("({slot}, self.{name}),"));
        }
        self.line("]\n}\n}");
    }

    fn kernel(&mut self, kernel: &Kernel) {
        let Kernel { name, sources, reflection, variants } = kernel;
        self.doc(&sources.head);
        self.line(format_args!("///\n/// Generated from `wgsl/{name}.wesl`."));
        self.line(format_args!("#[allow(missing_docs)]\npub mod {name} {{"));
        match &sources.shared_params {
            Some(module) => self.line(format_args!("pub use super::{module}::{{Bindings, Params}};")),
            None => self.params(reflection, sources),
        }
        for (name, value) in &reflection.constants {
            if let Some(value) = value {
                self.doc_of(sources, name);
                self.line(format_args!("pub const {name}: u32 = {value};"));
            }
        }
        self.line("/// The kernel.\npub static KERNEL: crate::Kernel = crate::Kernel {");
        self.line(format_args!("name: {name:?},"));
        self.line(format_args!("params_size: {},", 4 * (reflection.params.len() + padding(&reflection.params))));
        self.line("params: &[");
        for (name, kind) in &reflection.params {
            self.line(format_args!("crate::Param {{ name: {name:?}, float: {} }},", *kind == Kind::F32));
        }
        self.line("],\nstorage: &[");
        for (slot, name, writes) in &reflection.storage {
            self.line(format_args!("crate::Storage {{ slot: {slot}, name: {name:?}, writes: {writes} }},"));
        }
        let flags: Vec<&String> = sources.flags.iter().collect();
        self.line(format_args!("],\nflags: &{flags:?},\nvariants: &["));
        for (features, file, workgroup_bytes) in variants {
            let path = format!("concat!(env!(\"OUT_DIR\"), \"/{file}\")");
            self.line(format_args!("crate::Variant {{ features: &{features:?}, workgroup_bytes: {workgroup_bytes},"));
            self.line(format_args!("file: {path}, wgsl: include_str!({path}) }},"));
        }
        self.line("],\n};\n}");
    }
}

/// Words that fill a uniform to a multiple of 16 bytes.
fn padding(fields: &[Field]) -> usize {
    let words: usize = fields.iter().map(|(_, kind)| kind.words()).sum();
    words.next_multiple_of(4) - words
}
