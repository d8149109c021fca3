//! Links a variant's WESL modules to plain WGSL, and validates it.

use std::borrow::Cow;
use std::path::Path;

use wesl::{FileResolver, ManglerKind, ModulePath, ResolveError, Resolver, Wesl};

use crate::variants::{CHOICES, FLAGS, is_flag, kernel_flag};

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

/// The WGSL of a kernel with these features. For each of the `kernels` there is a flag
/// `kernel_NAME`, which is set for that kernel.
pub(crate) fn link(root: &Path, kernel: &str, kernels: &[String], features: &[String]) -> String {
    let format = features.iter().find(|feature| !is_flag(feature)).cloned();
    let mut compiler = Wesl::new(root).set_custom_resolver(WeightsResolver { files: FileResolver::new(root), format });
    compiler
        // Names stay as written; naga reports a clash. Nothing is stripped, so that all variants of a kernel have the same
        // bindings.
        .set_mangler(ManglerKind::None)
        .use_stripping(false);
    let mut options = wesl::CompileOptions { validate: false, strip: false, lazy: false, ..Default::default() };
    for flag in FLAGS.iter().chain(CHOICES.iter().copied().flatten()) {
        options.features.flags.insert((*flag).into(), features.iter().any(|feature| feature == flag).into());
    }
    for name in kernels {
        options.features.flags.insert(kernel_flag(name), (name == kernel).into());
    }
    compiler.set_options(options);
    let path = format!("package::{kernel}").parse().expect("a module path");
    let mut linked = compiler.compile(&path).unwrap_or_else(|e| panic!("{kernel}: {e}"));
    // The order of modules differs from one link to the next. Sorted, equal variants have equal texts.
    linked.syntax.global_declarations.sort_by_cached_key(ToString::to_string);
    linked.to_string()
}

/// Parses and validates WGSL, which is in `file`.
pub(crate) fn validate(wgsl: &str, file: &Path) -> naga::Module {
    let module = naga::front::wgsl::parse_str(wgsl)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(wgsl, &file.display().to_string())));
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string_with_path(wgsl, &file.display().to_string())));
    module
}
