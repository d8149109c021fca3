//! What a model of memory latency, bandwidth and the gap between dispatches predicts, from the source of the kernels alone.

/// Adapter, row, predicted value. The rows are decode with int8 kernels, in tokens per second.
const PREDICTIONS: &[(&str, &str, f64)] = &[
    ("RTX 4090", "gemma-2-2b q4_0, decode after 2048", 315.0),
    ("RTX 4090", "gemma-2-9b q4_0, decode after 2048", 114.0),
    ("RTX 4090", "gemma-2-27b q4_0, decode after 2048", 49.0),
    ("H100", "gemma-2-2b q4_0, decode after 2048", 445.0),
    ("H100", "gemma-2-9b q4_0, decode after 2048", 215.0),
    ("H100", "gemma-2-27b q4_0, decode after 2048", 128.0),
    ("H200", "gemma-2-2b q4_0, decode after 2048", 471.0),
    ("H200", "gemma-2-9b q4_0, decode after 2048", 242.0),
    ("H200", "gemma-2-27b q4_0, decode after 2048", 159.0),
];

/// The prediction of a row on an adapter, if there is one.
pub(crate) fn of(adapter: &str, what: &str) -> Option<f64> {
    PREDICTIONS.iter().find(|(name, row, _)| adapter.contains(name) && *row == what).map(|(_, _, value)| *value)
}
