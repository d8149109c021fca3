//! Links every variant of every kernel, validates it, and generates what the host needs to know about it.
//!
//! For each `wgsl/NAME.wesl` this writes `OUT_DIR/NAME.VARIANT.wgsl` (plain WGSL: error messages quote it and debuggers show
//! it) and, in `OUT_DIR/kernels.rs`, a module `NAME` with the kernel's `Params`, its `Bindings`, its constants and its
//! variants. Kernels are not listed anywhere: every file of the folder is one.

mod generate;
mod link;
mod reflect;
mod sources;
mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

use self::generate::Kernel;
use self::reflect::{Field, Reflection};
use self::sources::Sources;

fn main() {
    println!("cargo::rerun-if-changed=wgsl");
    println!("cargo::rerun-if-changed=build");
    let root = Path::new("wgsl");
    let out_dir = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let formats = Formats::of(root);
    let mut hash = DefaultHasher::new();
    let mut step: Option<Vec<Field>> = None;
    // The kernels' common modules: `Params` and `Bindings` by the name of the `lib` file that declares the parameters.
    let mut shared: BTreeMap<String, Kernel> = BTreeMap::new();
    let mut kernels = Vec::new();
    let names = stems(root);
    for name in names.clone() {
        let sources = Sources::of(root, &name, &names);
        let mut texts = BTreeSet::new();
        let mut reflected: Option<Reflection> = None;
        let mut variants = Vec::new();
        for features in variants::of(&name, &sources, &formats) {
            let wgsl = link::link(root, &name, &names, &features);
            if !texts.insert(wgsl.clone()) {
                // A flag makes no difference beside the others.
                continue;
            }
            let file = format!("{name}.{}.wgsl", variants::name_of(&features));
            fs::write(out_dir.join(&file), &wgsl).expect("OUT_DIR is writable");
            wgsl.hash(&mut hash);
            let module = link::validate(&wgsl, &out_dir.join(&file));
            let (reflection, workgroup_bytes) = reflect::reflect(&module, &name);
            if let Some(fields) = reflection.step.clone() {
                let first = step.get_or_insert_with(|| fields.clone());
                assert!(*first == fields, "{name}: the step differs from other kernels'");
            }
            match &mut reflected {
                None => reflected = Some(reflection),
                Some(first) => first.merge(reflection, &name),
            }
            variants.push((features, file, workgroup_bytes));
        }
        let reflection = reflected.expect("every kernel has a variant");
        let kernel = Kernel { name, sources, reflection, variants };
        if let Some(module) = &kernel.sources.shared_params {
            let first = shared.entry(module.clone()).or_insert_with(|| kernel.clone());
            assert!(
                first.reflection.params == kernel.reflection.params
                    && first.reflection.storage == kernel.reflection.storage,
                "{} and {} share their parameters, but differ in parameters or bindings",
                first.name,
                kernel.name
            );
        }
        kernels.push(kernel);
    }
    let step = step.expect("a kernel reads the step");
    let text = generate::kernels(&kernels, &shared, &step, &formats.all, hash.finish());
    fs::write(out_dir.join("kernels.rs"), text).expect("OUT_DIR is writable");
}

/// The weight formats, by the name of their `dequant` module.
struct Formats {
    all: Vec<String>,
    /// Those that can be multiplied as integers.
    int8: Vec<String>,
}

impl Formats {
    fn of(root: &Path) -> Self {
        let folder = root.join("lib/dequant");
        let all = stems(&folder);
        let has_int8 = |format: &&String| {
            let path = folder.join(format).with_extension("wesl");
            fs::read_to_string(path).is_ok_and(|text| text.contains("fn int8_group("))
        };
        let int8 = all.iter().filter(has_int8).cloned().collect();
        Self { all, int8 }
    }
}

/// The names of the `.wesl` files of a folder.
fn stems(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("folder is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "wesl"))
        .map(|path| path.file_stem().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
