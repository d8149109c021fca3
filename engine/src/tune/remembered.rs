//! The file of results of tuning and of the self-test. Each line has a key, which holds everything that a result depends on, and
//! the result: for tuning the chosen kernels in the order of [`TuningChoice::ALL`].

use std::path::Path;

#[cfg(target_arch = "wasm32")]
use super::browser as file;
use super::{ActivationFormat, TuningChoice};
use crate::gpu::Gpu;
use crate::model::Kernels;
use crate::quant::WeightFormat;

/// The name of the file.
pub(super) const FILE: &str = "tuning.tsv";
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

/// The newest result of a key that can be read. Each of its words comes after a tab. Without a folder there is none.
pub(super) async fn recall<T>(folder: Option<&Path>, key: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let known = file::read(folder?).await;
    let results = known.lines().rev().filter_map(|line| line.strip_prefix(key));
    results.filter(|result| result.is_empty() || result.starts_with('\t')).find_map(read)
}

/// Writes the line of a key and removes an older one. If it cannot be written, the next start measures again. `result`: each of its
/// words after a tab.
pub(super) async fn remember(folder: Option<&Path>, key: &str, result: &str) {
    let Some(folder) = folder else { return };
    let known = file::read(folder).await;
    let is_of_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('\t'));
    let others: Vec<&str> = known.lines().filter(|line| !is_of_key(line)).collect();
    let newest = &others[others.len().saturating_sub(MAX_LINES - 1)..];
    let mut text: String = newest.iter().map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{key}{result}\n"));
    if let Err(reason) = file::write(folder, &text).await {
        log::debug!("cannot store the result: {reason}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod file {
    use std::path::Path;

    use super::FILE;

    /// The text of the file; empty if there is none.
    pub(super) async fn read(folder: &Path) -> String {
        std::fs::read_to_string(folder.join(FILE)).unwrap_or_default()
    }

    pub(super) async fn write(folder: &Path, text: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(FILE), text)
    }
}

pub(super) fn to_line(kernels: Kernels) -> String {
    TuningChoice::ALL.map(|choice| format!("\t{}", choice.of(kernels))).concat()
}

pub(super) fn parse(line: &str) -> Option<Kernels> {
    let mut names = line.strip_prefix('\t')?.split('\t');
    let mut kernels = Kernels::FLOAT;
    for choice in TuningChoice::ALL {
        choice.make(&mut kernels, names.next()?)?;
    }
    names.next().is_none().then_some(kernels)
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::ops::{Mode, WAYS, Way};

    #[test]
    fn what_is_remembered_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let folder = Some(folder.path());
        let with = |way: &'static Way| match way.mode {
            Mode::Decode => Kernels { decode: way, ..Kernels::FLOAT },
            Mode::SmallBatch => Kernels { small_batch: Some(way), fuses_norms: true, ..Kernels::FLOAT },
            Mode::Prefill => Kernels { prefill: way, ..Kernels::FLOAT },
        };
        for kernels in WAYS.iter().map(with) {
            assert_eq!(parse(&to_line(kernels)), Some(kernels));
            block_on(remember(folder, "an adapter", &to_line(kernels)));
            block_on(remember(folder, "an adapter of another make", &to_line(Kernels::FLOAT)));
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(text.lines().count(), 2, "an old choice was kept");
            assert!(text.contains(&format!("an adapter{}\n", to_line(kernels))));
            assert_eq!(block_on(recall(folder, "an adapter", parse)), Some(kernels));
            assert_eq!(block_on(recall(folder, "an adapter", |_| None::<()>)), None);
            assert_eq!(block_on(recall(None, "an adapter", parse)), None);
        }
        assert!(parse("\tfloat\tapart\tas a chunk\tfloat").is_some());
        assert_eq!(parse("\tfloat"), None);
        assert_eq!(parse("\tfloat\tapart\tas a chunk\tunknown"), None);
        assert_eq!(parse("\tfloat\tapart\tas a chunk\tfloat\tfloat"), None);
    }
}
