//! Every kernel has the same name in four places.

use std::collections::BTreeSet;
use std::path::Path;

/// The names of a folder's files with this ending, without `mod`, `main` and `others`, which hold no kernel.
fn names(folder: &str, ending: &str, others: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    std::fs::read_dir(&root)
        .unwrap_or_else(|e| panic!("{}: {e}", root.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| !others.contains(&name.as_str()))
        .collect()
}

#[test]
fn every_kernel_has_a_reference_an_operation_and_a_test() {
    let kernels = names("shaders/wgsl", "wesl", &[]);
    assert!(kernels.contains("matvec"), "the folder of kernels was not found: {kernels:?}");
    // Kernels for the same computation share its reference, operation and test.
    let computation = |name: &String| {
        let ways = ["_int8", "_registers", "_rows", "_coop", "_small", "_decode"];
        ways.iter().fold(name.as_str(), |name, way| name.trim_end_matches(way)).to_owned()
    };
    let computations: BTreeSet<String> = kernels.iter().map(computation).collect();
    assert_eq!(names("shaders/src/reference", "rs", &["mod"]), computations, "references");
    // All ways to multiply by weights are in one table, `ways`, for one operation.
    let is_product = |name: &&String| ["matvec", "matmul"].contains(&name.as_str());
    let mut operations: BTreeSet<String> = computations.iter().filter(|name| !is_product(name)).cloned().collect();
    operations.insert("product".to_owned());
    assert_eq!(
        names("engine/src/ops", "rs", &["mod", "cache", "operand", "token_sink", "ways"]),
        operations,
        "operations"
    );
    assert_eq!(names("tests/kernels", "rs", &["main", "cache"]), operations, "tests");
}

#[test]
fn every_weight_format_has_a_shader_module() {
    let modules = names("shaders/wgsl/lib/dequant", "wesl", &[]);
    let formats: BTreeSet<String> =
        lapidary_engine::WeightFormat::ALL.iter().map(|format| format.name().to_owned()).collect();
    assert_eq!(modules, formats);
}
