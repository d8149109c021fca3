//! The combinations of weight format and `@if` flags that a host can ask a kernel for.

use crate::Formats;
use crate::sources::Sources;

/// Flags of which a variant sets exactly one.
pub(crate) const CHOICES: &[&[&str]] = &[&["rows_1", "rows_2", "rows_4", "rows_8"], &["coop_8", "coop_16"]];

/// Every other flag, in the order in which they appear in names.
pub(crate) const FLAGS: &[&str] =
    &["kv_f16", "qk_norm", "broadcast", "split", "int8_out", "geglu", "int8", "subgroups"];

/// Flags that are only asked for together with another: subgroups must be known to be narrow before they can be relied on to
/// broadcast, GPUs have a kernel of their own for attention of one token, and the other has fewer rows than eight only there.
pub(crate) const IMPLIES: &[(&str, &str)] = &[
    ("broadcast", "subgroups"),
    ("split", "broadcast"),
    ("rows_1", "split"),
    ("rows_2", "split"),
    ("rows_4", "split"),
];

/// Flags of variants that round weights to f16. Nobody asks for that with f32 weights.
const ROUNDS: &[&str] = &["coop_8", "coop_16"];

/// Whether a word is a flag, and not a weight format.
pub(crate) fn is_flag(word: &str) -> bool {
    FLAGS.iter().chain(CHOICES.iter().copied().flatten()).any(|flag| *flag == word)
}

/// The flag that is set for one kernel, so that a module of `lib` can give it another constant.
pub(crate) fn kernel_flag(kernel: &str) -> String {
    format!("kernel_{kernel}")
}

/// `q4_0.subgroups`; `plain` without features.
pub(crate) fn name_of(features: &[String]) -> String {
    if features.is_empty() { "plain".into() } else { features.join(".") }
}

/// Every combination of features of a kernel, weight format first.
pub(crate) fn of(kernel: &str, sources: &Sources, formats: &Formats) -> Vec<Vec<String>> {
    for flag in &sources.flags {
        assert!(is_flag(flag), "{kernel}: unknown @if flag {flag}; add it to build/variants.rs");
    }
    let known = |flag: &str| sources.flags.contains(flag);
    let mut list: Vec<Vec<String>> = vec![Vec::new()];
    if sources.weights {
        list = product(&list, &formats.all.iter().map(|format| Some(format.as_str())).collect::<Vec<_>>());
    }
    for choice in CHOICES.iter().filter(|choice| choice.iter().any(|flag| known(flag))) {
        list = product(&list, &choice.iter().filter(|flag| known(flag)).map(|flag| Some(*flag)).collect::<Vec<_>>());
    }
    for flag in FLAGS.iter().filter(|flag| known(flag)) {
        list = product(&list, &[None, Some(flag)]);
    }
    list.retain(|features| {
        let implied = IMPLIES.iter().all(|(flag, other)| !known(other) || !has(features, flag) || has(features, other));
        let int8 = sources.weights && (sources.int8 || has(features, "int8"));
        let rounds_f32 = sources.weights && features[0] == "f32" && ROUNDS.iter().any(|flag| has(features, flag));
        implied && !rounds_f32 && (!int8 || formats.int8.contains(&features[0]))
    });
    list
}

fn has(features: &[String], flag: &str) -> bool {
    features.iter().any(|feature| feature == flag)
}

/// Each of `list` with each of `values` added.
fn product(list: &[Vec<String>], values: &[Option<&str>]) -> Vec<Vec<String>> {
    let with = |old: &Vec<String>, value: &Option<&str>| old.iter().cloned().chain(value.map(str::to_owned)).collect();
    list.iter().flat_map(|old| values.iter().map(move |value| with(old, value))).collect()
}
