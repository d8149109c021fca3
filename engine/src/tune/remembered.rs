//! A file of choices: a line each, of the adapter and all else that a choice depends on, and the kernels.

use std::path::Path;

use super::{Activations, Choice};
use crate::gpu::Gpu;
use crate::model::{Few, Kernels, Matmul, Matvec};
use crate::quant::WeightFormat;

/// Its name.
const FILE: &str = "tuning.tsv";
/// Lines that it keeps: drivers and kernels come and go.
const MAX_LINES: usize = 100;
/// What stands in a line behind the key, in order.
const CHOICES: [Choice; 4] = [Choice::OneToken, Choice::Seam, Choice::FewTokens, Choice::ManyTokens];

/// All that a choice depends on.
pub(super) fn key(gpu: &Gpu, format: WeightFormat, allowed: Option<Activations>) -> String {
    let info = gpu.info();
    format!(
        "{} | {} {} {} | {} {} | {format} {} | {:016x}",
        info.name,
        info.backend.to_str(),
        info.driver,
        info.driver_info,
        // One adapter may be opened with fewer features than it has, or with checks.
        gpu.capabilities().shader_features().join(" "),
        if gpu.checks_shaders() { "checked" } else { "trusted" },
        match allowed {
            None => "any",
            Some(Activations::Float) => "float",
            Some(Activations::Int8) => "int8",
        },
        lapidary_shaders::kernels::HASH,
    )
    .replace(['\n', '\t'], " ")
}

/// The newest line of a key that `usable` agrees to.
pub(super) fn recall(folder: &Path, key: &str, usable: impl Fn(&Kernels) -> bool) -> Option<Kernels> {
    let known = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    known.lines().rev().filter_map(|line| line.strip_prefix(key)).filter_map(parse).find(usable)
}

/// Writes the line of a key, in place of an older one. A folder that cannot be written to costs the time of measuring again.
pub(super) fn remember(folder: &Path, key: &str, kernels: Kernels) {
    let file = folder.join(FILE);
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let others: Vec<&str> = known.lines().filter(|line| !line.starts_with(key)).collect();
    let newest = &others[others.len().saturating_sub(MAX_LINES - 1)..];
    let mut text: String = newest.iter().map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("{key}{}\n", unparse(kernels)));
    if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text)) {
        log::debug!("cannot remember the tuning: {error}");
    }
}

fn unparse(kernels: Kernels) -> String {
    CHOICES.map(|choice| format!("\t{}", choice.of(kernels))).concat()
}

fn parse(line: &str) -> Option<Kernels> {
    let mut names = line.strip_prefix('\t')?.split('\t');
    let kernels = Kernels {
        matvec: names.next().and_then(|name| Matvec::ALL.into_iter().find(|kernel| kernel.name() == name))?,
        folds_seam: names.next()? == Choice::Seam.of(Kernels { folds_seam: true, ..Kernels::FLOAT }),
        few: names.next().and_then(|name| Few::ALL.into_iter().find(|kernel| kernel.name() == name))?,
        matmul: names.next().and_then(|name| Matmul::ALL.into_iter().find(|kernel| kernel.name() == name))?,
    };
    names.next().is_none().then_some(kernels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let of = |matvec, few, matmul, folds_seam| Kernels { matvec, few, matmul, folds_seam };
        let matvecs = Matvec::ALL.map(|matvec| of(matvec, Few::AsMany, Matmul::Int8, false));
        let fews = Few::ALL.map(|few| of(Matvec::Float(Kernels::ROWS), few, Matmul::Float, true));
        let matmuls = Matmul::ALL.map(|matmul| of(Matvec::Float(Kernels::ROWS), Few::AsMany, matmul, false));
        for kernels in [&matvecs[..], &fews, &matmuls].concat() {
            assert_eq!(parse(&unparse(kernels)), Some(kernels));
            remember(folder.path(), "an adapter", kernels);
            remember(folder.path(), "another", Kernels::FLOAT);
            let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
            assert_eq!(text.lines().count(), 2, "an old choice was kept");
            assert!(text.contains(&format!("an adapter{}\n", unparse(kernels))));
            assert_eq!(recall(folder.path(), "an adapter", |_| true), Some(kernels));
            assert_eq!(recall(folder.path(), "an adapter", |_| false), None);
        }
        assert_eq!(parse("\tint8 solo"), None);
        assert_eq!(parse("\tint8 solo\tapart\tas many\tnever heard of"), None);
        assert_eq!(parse("\tint8 solo\tapart\tas many\tfloat\tfloat"), None);
    }
}
