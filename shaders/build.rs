//! Links every variant of every kernel, validates it, and writes what the host needs to know about it.
//!
//! For each `wgsl/NAME.wesl` this makes `OUT_DIR/NAME.VARIANT.wgsl` (plain WGSL: what error messages quote and a debugger
//! shows) and, in `OUT_DIR/kernels.rs`, a module `NAME` with the kernel's `Params`, its `Bindings` by name and its
//! variants. Nothing lists the kernels: the folder does.
//!
//! Variants come from the sources: a kernel that imports `package::weights` gets one for each file of
//! `wgsl/lib/dequant`, and one for each value of every `@if` flag that it or its imports name.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};
use wesl::{FileResolver, ManglerKind, ModulePath, ResolveError, Resolver, Wesl};

/// `@if` flags that exclude each other: a variant sets exactly one of them. Every other flag stands alone.
const CHOICES: &[&[&str]] = &[&["rows_1", "rows_2", "rows_4", "rows_8"], &["coop_8", "coop_16"]];

/// Flags that mean nothing beside another.
const EXCLUDES: &[(&str, &str)] = &[("subgroups", "solo")];

/// Flags in the order in which they appear in names.
const FLAGS: &[&str] = &["kv_f16", "qk_norm", "broadcast", "split", "int8_out", "geglu", "solo", "subgroups"];

fn main() {
    println!("cargo::rerun-if-changed=wgsl");
    let root = PathBuf::from("wgsl");
    let out_dir = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let formats = stems(&root.join("lib/dequant"));
    let int8_formats: Vec<String> = formats.iter().filter(|format| has_int8(&root, format)).cloned().collect();
    let mut generated = String::new();
    let mut hash = DefaultHasher::new();
    let kernels = stems(&root);
    for kernel in &kernels {
        let sources = Sources::of(&root, kernel);
        let wanted = if sources.int8 { &int8_formats } else { &formats };
        let variants = sources.variants(wanted);
        let mut reflected = None;
        for features in &variants {
            let wgsl = link(&root, kernel, features);
            let file = out_dir.join(format!("{kernel}.{}.wgsl", name_of(features)));
            fs::write(&file, &wgsl).expect("OUT_DIR is writable");
            wgsl.hash(&mut hash);
            let module = validate(&wgsl, &file);
            let reflection = Reflection::of(&module, kernel);
            match &reflected {
                None => reflected = Some(reflection),
                Some(first) => assert!(
                    *first == reflection,
                    "{kernel}: variants differ in their bindings:\n{first:?}\n{reflection:?}"
                ),
            }
        }
        let reflection = reflected.expect("every kernel has a variant");
        reflection.write(kernel, &variants, &sources.flags, &mut generated);
    }
    writeln!(generated, "/// Differs where the text of a kernel does.\npub const HASH: u64 = {};", hash.finish())
        .unwrap();
    writeln!(generated, "/// Every kernel, by name.\npub static ALL: &[&crate::Kernel] = &[").unwrap();
    for kernel in &kernels {
        writeln!(generated, "    &{kernel}::KERNEL,").unwrap();
    }
    writeln!(generated, "];").unwrap();
    writeln!(generated, "/// Flags that mean nothing beside another.").unwrap();
    writeln!(generated, "pub static EXCLUDES: &[(&str, &str)] = &{EXCLUDES:?};").unwrap();
    writeln!(generated, "/// The weight formats, by the name of their `dequant` module.").unwrap();
    writeln!(generated, "pub static WEIGHT_FORMATS: &[&str] = &{formats:?};").unwrap();
    fs::write(out_dir.join("kernels.rs"), generated).expect("OUT_DIR is writable");
}

/// The names of the `.wesl` files of a folder.
fn stems(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("folder is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "wesl"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Whether a weight format can be multiplied as integers.
fn has_int8(root: &Path, format: &str) -> bool {
    let path = root.join("lib/dequant").join(format).with_extension("wesl");
    fs::read_to_string(path).is_ok_and(|text| text.contains("fn int8_group("))
}

/// What a kernel and its imports name.
struct Sources {
    flags: Vec<String>,
    weights: bool,
    /// Whether it multiplies by weights as integers.
    int8: bool,
}

impl Sources {
    fn of(root: &Path, kernel: &str) -> Self {
        let mut flags = BTreeSet::new();
        let (mut weights, mut int8) = (false, false);
        let mut seen = BTreeSet::new();
        let mut open = vec![root.join(format!("{kernel}.wesl"))];
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            for line in text.lines() {
                if let Some((_, rest)) = line.split_once("@if(") {
                    let condition = rest.split(')').next().unwrap_or_default();
                    flags.extend(
                        condition
                            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                            .filter(|word| !word.is_empty())
                            .map(str::to_owned),
                    );
                }
                if let Some((_, rest)) = line.split_once("import package::") {
                    let mut parts: Vec<&str> = rest.trim_end_matches(';').split("::").collect();
                    parts.pop();
                    if parts == ["weights"] {
                        weights = true;
                        int8 |= rest.contains("int8_group");
                    } else {
                        open.push(root.join(parts.join("/")).with_extension("wesl"));
                    }
                }
            }
        }
        for flag in &flags {
            let known = FLAGS.contains(&flag.as_str()) || CHOICES.iter().any(|c| c.contains(&flag.as_str()));
            assert!(known, "{kernel}: unknown @if flag {flag}; add it to build.rs");
        }
        Self { flags: flags.into_iter().collect(), weights, int8 }
    }

    /// Every combination of features, weight format first.
    fn variants(&self, formats: &[String]) -> Vec<Vec<String>> {
        let mut list: Vec<Vec<String>> = vec![Vec::new()];
        let mut multiply = |values: Vec<Option<&str>>| {
            list = list
                .iter()
                .flat_map(|old| {
                    values.iter().map(|value| {
                        let mut new = old.clone();
                        new.extend(value.map(str::to_owned));
                        new
                    })
                })
                .collect();
        };
        if self.weights {
            multiply(formats.iter().map(|f| Some(f.as_str())).collect());
        }
        for choice in CHOICES {
            if choice.iter().any(|c| self.flags.iter().any(|f| f == c)) {
                multiply(choice.iter().map(|c| Some(*c)).collect());
            }
        }
        for flag in FLAGS {
            if self.flags.iter().any(|f| f == flag) {
                multiply(vec![None, Some(flag)]);
            }
        }
        let has = |features: &[String], flag: &str| features.iter().any(|f| f == flag);
        list.retain(|f| EXCLUDES.iter().all(|(flag, other)| !has(f, flag) || !has(f, other)));
        list
    }
}

/// `q4_0.subgroups`; `plain` where there is nothing to tell apart.
fn name_of(features: &[String]) -> String {
    if features.is_empty() { "plain".into() } else { features.join(".") }
}

/// Reads `package::weights` from the chosen format's file.
struct WeightsResolver {
    files: FileResolver,
    format: Option<String>,
}

impl Resolver for WeightsResolver {
    fn resolve_source<'a>(&'a self, path: &ModulePath) -> Result<Cow<'a, str>, ResolveError> {
        if path.components == ["weights"]
            && let Some(format) = &self.format
        {
            let path = format!("package::lib::dequant::{format}").parse().expect("a module path");
            return self.files.resolve_source(&path);
        }
        self.files.resolve_source(path)
    }
}

fn link(root: &Path, kernel: &str, features: &[String]) -> String {
    let is_flag = |f: &String| FLAGS.contains(&f.as_str()) || CHOICES.iter().any(|c| c.contains(&f.as_str()));
    let format = features.iter().find(|f| !is_flag(f)).cloned();
    let mut compiler = Wesl::new(root).set_custom_resolver(WeightsResolver { files: FileResolver::new(root), format });
    compiler
        // Names stay as written; a clash is an error below. naga validates, and nothing is stripped, so that all variants
        // of a kernel have the same bindings.
        .set_mangler(ManglerKind::None)
        .use_stripping(false);
    for feature in features.iter().filter(|f| is_flag(f)) {
        compiler.set_feature(feature, true);
    }
    let mut options = wesl::CompileOptions { validate: false, strip: false, lazy: false, ..Default::default() };
    for flag in FLAGS.iter().chain(CHOICES.iter().copied().flatten()) {
        options.features.flags.insert((*flag).into(), features.iter().any(|f| f == flag).into());
    }
    compiler.set_options(options);
    let path = format!("package::{kernel}").parse().expect("a module path");
    compiler.compile(&path).unwrap_or_else(|e| panic!("{kernel}: {e}")).to_string()
}

fn validate(wgsl: &str, file: &Path) -> naga::Module {
    let module = naga::front::wgsl::parse_str(wgsl)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(wgsl, &file.display().to_string())));
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(wgsl, &file.display().to_string())));
    module
}

/// What the host must know of a kernel, the same for all of its variants.
#[derive(Debug, PartialEq)]
struct Reflection {
    /// Fields of `Params`: name, Rust type. Empty where the kernel has none.
    params: Vec<(String, &'static str)>,
    /// Storage bindings: slot, name, whether the kernel writes it.
    storage: Vec<(u32, String, bool)>,
}

impl Reflection {
    fn of(module: &naga::Module, kernel: &str) -> Self {
        let mut params = Vec::new();
        let mut storage = Vec::new();
        for (_, global) in module.global_variables.iter() {
            let Some(binding) = &global.binding else { continue };
            assert!(binding.group == 0, "{kernel}: only group 0 is used");
            let name = global.name.clone().expect("bindings have names");
            match (global.space, binding.binding) {
                (AddressSpace::Uniform, 0) => assert!(name == "step", "{kernel}: binding 0 is the step"),
                (AddressSpace::Uniform, 1) => {
                    let TypeInner::Struct { members, .. } = &module.types[global.ty].inner else {
                        panic!("{kernel}: params must be a struct")
                    };
                    for (i, member) in members.iter().enumerate() {
                        let kind = match module.types[member.ty].inner {
                            TypeInner::Scalar(s) if s.kind == ScalarKind::Uint && s.width == 4 => "u32",
                            TypeInner::Scalar(s) if s.kind == ScalarKind::Float && s.width == 4 => "f32",
                            _ => panic!("{kernel}: params are u32 and f32"),
                        };
                        assert!(member.offset == 4 * i as u32, "{kernel}: params are packed");
                        params.push((member.name.clone().expect("members have names"), kind));
                    }
                }
                (AddressSpace::Storage { access }, slot) => {
                    storage.push((slot, name, access.contains(StorageAccess::STORE)));
                }
                other => panic!("{kernel}: unexpected binding {other:?}"),
            }
        }
        storage.sort();
        assert!(storage.len() <= 8, "{kernel}: WebGPU promises 8 storage buffers");
        assert!(module.entry_points.len() == 1, "{kernel}: one entry point");
        Self { params, storage }
    }

    fn write(&self, kernel: &str, variants: &[Vec<String>], flags: &[String], out: &mut String) {
        let padding = (4 - self.params.len() % 4) % 4;
        writeln!(out, "/// Generated from `wgsl/{kernel}.wesl`, which documents the fields.").unwrap();
        writeln!(out, "#[allow(missing_docs)]\npub mod {kernel} {{").unwrap();
        writeln!(out, "    #[repr(C)]\n    #[derive(Clone, Copy, Debug, Default, PartialEq)]").unwrap();
        writeln!(out, "    pub struct Params {{").unwrap();
        for (name, kind) in &self.params {
            writeln!(out, "        pub {name}: {kind},").unwrap();
        }
        writeln!(out, "    }}\n    impl Params {{").unwrap();
        writeln!(out, "        /// The uniform's words, padded to 16 bytes.").unwrap();
        writeln!(out, "        pub fn words(self) -> Vec<u32> {{\n            vec![").unwrap();
        for (name, kind) in &self.params {
            let bits = if *kind == "f32" { ".to_bits()" } else { "" };
            writeln!(out, "                self.{name}{bits},").unwrap();
        }
        writeln!(out, "                {}", "0, ".repeat(padding)).unwrap();
        writeln!(out, "            ]\n        }}\n    }}").unwrap();
        writeln!(out, "    /// The storage buffers, by name.\n    pub struct Bindings<B> {{").unwrap();
        for (_, name, _) in &self.storage {
            writeln!(out, "        pub {name}: B,").unwrap();
        }
        writeln!(out, "    }}\n    impl<B> Bindings<B> {{").unwrap();
        writeln!(out, "        /// Binding slots and what goes there.").unwrap();
        writeln!(out, "        pub fn slots(self) -> Vec<(u32, B)> {{\n            vec![").unwrap();
        for (slot, name, _) in &self.storage {
            writeln!(out, "                ({slot}, self.{name}),").unwrap();
        }
        writeln!(out, "            ]\n        }}\n    }}").unwrap();
        writeln!(out, "    pub static KERNEL: crate::Kernel = crate::Kernel {{").unwrap();
        writeln!(out, "        name: {kernel:?},").unwrap();
        writeln!(out, "        params_size: {},", 4 * (self.params.len() + padding)).unwrap();
        writeln!(out, "        params: &[").unwrap();
        for (name, kind) in &self.params {
            writeln!(out, "            crate::Param {{ name: {name:?}, float: {} }},", *kind == "f32").unwrap();
        }
        writeln!(out, "        ],\n        storage: &[").unwrap();
        for (slot, name, writes) in &self.storage {
            writeln!(out, "            crate::Storage {{ slot: {slot}, name: {name:?}, writes: {writes} }},").unwrap();
        }
        writeln!(out, "        ],\n        flags: &{flags:?},\n        variants: &[").unwrap();
        for features in variants {
            let file = format!("{kernel}.{}.wgsl", name_of(features));
            writeln!(out, "            crate::Variant {{ features: &{features:?}, file: concat!(env!(\"OUT_DIR\"), \"/{file}\"), wgsl: include_str!(concat!(env!(\"OUT_DIR\"), \"/{file}\")) }},").unwrap();
        }
        writeln!(out, "        ],\n    }};\n}}").unwrap();
    }
}
