//! The file of results of tuning and of the self-test. Each line has a key, which holds everything that a result depends on, and
//! the result: for tuning the chosen kernels in the order of [`Choice::ALL`].

use std::path::Path;

use super::{ActivationFormat, Choice};
use crate::gpu::Gpu;
use crate::model::Kernels;
use crate::quant::WeightFormat;

/// The name of the file.
const FILE: &str = "tuning.tsv";
/// The most lines of the file. Old ones are dropped, because new drivers and kernels make them useless.
const MAX_LINES: usize = 100;

/// Everything that a result depends on.
pub(super) fn key(gpu: &Gpu, format: WeightFormat, allowed: Option<ActivationFormat>) -> String {
    let allowed = match allowed {
        None => "any",
        Some(ActivationFormat::Float) => "float",
        Some(ActivationFormat::Int8) => "int8",
    };
    format!("{} | {format} {allowed}", device_key(gpu))
}

/// The adapter, its driver, the features that it was opened with, and the version of the kernels.
pub(super) fn device_key(gpu: &Gpu) -> String {
    let info = gpu.info();
    format!(
        "{} | {} {} {} | {} {} | {:016x}",
        info.name,
        info.backend.to_str(),
        info.driver,
        info.driver_info,
        // The same adapter can be opened with fewer features, or with bounds checks.
        gpu.capabilities().shader_features().join(" "),
        if gpu.checks_shaders() { "checked" } else { "trusted" },
        lapidary_shaders::kernels::HASH,
    )
    .replace(['\n', '\t'], " ")
}

/// The newest result of a key that can be read. Each of its words comes after a tab.
pub(super) fn recall<T>(folder: &Path, key: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let known = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    let results = known.lines().rev().filter_map(|line| line.strip_prefix(key));
    results.filter(|result| result.is_empty() || result.starts_with('\t')).find_map(read)
}

/// Writes the line of a key and removes an older one. If the folder cannot be written to, the next start measures
/// again. `result`: each of its words after a tab.
pub(super) fn remember(folder: &Path, key: &str, result: &str) {
    let file = folder.join(FILE);
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let is_of_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('\t'));
    let others: Vec<&str> = known.lines().filter(|line| !is_of_key(line)).collect();
    let newest = &others[others.len().saturating_sub(MAX_LINES - 1)..];
    let mut text: String = newest.iter().map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{key}{result}\n"));
    if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text)) {
        log::debug!("cannot store the result: {error}");
    }
}

pub(super) fn unparse(kernels: Kernels) -> String {
    Choice::ALL.map(|choice| format!("\t{}", choice.of(kernels))).concat()
}

pub(super) fn parse(line: &str) -> Option<Kernels> {
    let mut names = line.strip_prefix('\t')?.split('\t');
    let mut kernels = Kernels::FLOAT;
    for choice in Choice::ALL {
        choice.make(&mut kernels, names.next()?)?;
    }
    names.next().is_none().then_some(kernels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Mode, WAYS, Way};

    #[test]
    fn what_is_remembered_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let with = |way: &'static Way| match way.mode {
            Mode::Decode => Kernels { decode: way, ..Kernels::FLOAT },
            Mode::SmallBatch => Kernels { small_batch: Some(way), fuses_norms: true, ..Kernels::FLOAT },
            Mode::Prefill => Kernels { prefill: way, ..Kernels::FLOAT },
        };
        for kernels in WAYS.iter().map(with) {
            assert_eq!(parse(&unparse(kernels)), Some(kernels));
            remember(folder.path(), "an adapter", &unparse(kernels));
            remember(folder.path(), "an adapter of another make", &unparse(Kernels::FLOAT));
            let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
            assert_eq!(text.lines().count(), 2, "an old choice was kept");
            assert!(text.contains(&format!("an adapter{}\n", unparse(kernels))));
            assert_eq!(recall(folder.path(), "an adapter", parse), Some(kernels));
            assert_eq!(recall(folder.path(), "an adapter", |_| None::<()>), None);
        }
        assert!(parse("\tfloat\tapart\tas a chunk\tfloat").is_some());
        assert_eq!(parse("\tfloat"), None);
        assert_eq!(parse("\tfloat\tapart\tas a chunk\tunknown"), None);
        assert_eq!(parse("\tfloat\tapart\tas a chunk\tfloat\tfloat"), None);
    }
}
