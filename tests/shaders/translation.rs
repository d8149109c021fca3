//! Translates every variant of every kernel to the languages of Vulkan, Metal and Direct3D 12.

use std::collections::HashSet;

use lapidary_shaders::{Variant, kernels};
use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// Runs `translate` on every variant that the language is `meant` to have, and lists all that fail.
fn for_every_variant(
    meant: impl Fn(&Variant) -> bool,
    translate: impl Fn(&naga::Module, &ModuleInfo) -> Result<(), String>,
) {
    let mut failures = Vec::new();
    let mut count = 0;
    for kernel in kernels::ALL {
        for variant in kernel.variants.iter().filter(|variant| meant(variant)) {
            let result = naga::front::wgsl::parse_str(variant.wgsl)
                .map_err(|e| e.emit_to_string(variant.wgsl))
                .and_then(|module| {
                    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
                        .validate(&module)
                        .map_err(|e| e.emit_to_string(variant.wgsl))?;
                    // A pipeline replaces overrides by values.
                    let (module, info) = process_overrides(&module, &info, None, &PipelineConstants::default())
                        .map_err(|e| e.to_string())?;
                    translate(&module, &info)
                });
            count += 1;
            failures.extend(result.err().map(|e| format!("{}: {e}", variant.file)));
        }
    }
    assert!(count > 50, "only {count} variants");
    assert!(failures.is_empty(), "{} of {count} variants failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_variant_translates_to_spir_v() {
    for_every_variant(
        |_| true,
        |module, info| {
            let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
            spv::write_vec(module, info, &options, None).map(|_| ()).map_err(|e| e.to_string())
        },
    );
}

#[test]
fn every_variant_translates_to_msl() {
    for_every_variant(
        |_| true,
        |module, info| {
            // Subgroups need Metal 2.4. Bindings are assigned in order.
            let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..msl::Options::default() };
            msl::write_string(module, info, &options, &msl::PipelineOptions::default())
                .map(|_| ())
                .map_err(|e| e.to_string())
        },
    );
}

#[test]
fn every_variant_translates_to_hlsl() {
    // Direct3D has no cooperative matrices, so none of its adapters requests them.
    let meant = |variant: &Variant| !variant.features.iter().any(|feature| feature.starts_with("coop_"));
    for_every_variant(meant, |module, info| {
        let options = hlsl::Options {
            shader_model: hlsl::ShaderModel::V6_2,
            fake_missing_bindings: true,
            ..hlsl::Options::default()
        };
        let mut text = String::new();
        let pipeline = hlsl::PipelineOptions::default();
        hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None).map_err(|e| e.to_string())?;
        // Direct3D's compilers refuse this. naga writes it where a module has a type both with and without an alias.
        let mut types = HashSet::new();
        match text.lines().filter(|line| line.starts_with("typedef ")).find(|line| !types.insert(*line)) {
            Some(twice) => Err(format!("it defines a type twice: {twice}")),
            None => Ok(()),
        }
    });
}

/// Checks nothing: writes the HLSL that `tests/scripts/check-fxc.sh` compiles with FXC, the compiler of Direct3D 12 on Windows. FXC
/// has neither subgroups nor matrices.
#[test]
#[ignore = "writes files into the folder that LAPIDARY_HLSL names"]
fn hlsl_for_fxc_is_written() {
    let folder = std::path::PathBuf::from(std::env::var_os("LAPIDARY_HLSL").expect("LAPIDARY_HLSL names a folder"));
    let mut count = 0;
    for variant in kernels::ALL.iter().flat_map(|kernel| kernel.variants) {
        if variant.uses_subgroups() || variant.features.iter().any(|feature| feature.starts_with("coop_")) {
            continue;
        }
        let module = naga::front::wgsl::parse_str(variant.wgsl).unwrap();
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).unwrap();
        let (module, info) = process_overrides(&module, &info, None, &PipelineConstants::default()).unwrap();
        // As the engine has it for trusted kernels. FXC would take minutes for the zeros of workgroup memory.
        let options = hlsl::Options {
            fake_missing_bindings: true,
            restrict_indexing: false,
            zero_initialize_workgroup_memory: false,
            force_loop_bounding: false,
            ..hlsl::Options::default()
        };
        let mut text = String::new();
        let pipeline = hlsl::PipelineOptions::default();
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).unwrap();
        let entry = written.entry_point_names[0].as_ref().unwrap();
        let stem = std::path::Path::new(variant.file).file_stem().unwrap();
        // The first line tells `fxc.c` the entry point.
        std::fs::write(folder.join(stem).with_added_extension("hlsl"), format!("//{entry}\n{text}")).unwrap();
        count += 1;
    }
    assert!(count > 50, "only {count} variants");
}
