//! What `tests/scripts/cost-model.py` predicts from the plans and from what compilers make of the kernels.

/// Adapter, row, predicted value. The rows are decode with int8 kernels, in tokens per second.
const PREDICTIONS: &[(&str, &str, f64)] = &[
    ("RTX 4090", "gemma-2-2b q4_0, decode after 2048", 339.0),
    ("RTX 4090", "gemma-2-9b q4_0, decode after 2048", 120.0),
    ("RTX 4090", "gemma-2-27b q4_0, decode after 2048", 48.0),
    ("H100", "gemma-2-2b q4_0, decode after 2048", 501.0),
    ("H100", "gemma-2-9b q4_0, decode after 2048", 229.0),
    ("H100", "gemma-2-27b q4_0, decode after 2048", 105.0),
    ("H200", "gemma-2-2b q4_0, decode after 2048", 526.0),
    ("H200", "gemma-2-9b q4_0, decode after 2048", 253.0),
    ("H200", "gemma-2-27b q4_0, decode after 2048", 119.0),
];

/// The prediction of a row on an adapter, if there is one.
pub(crate) fn of(adapter: &str, what: &str) -> Option<f64> {
    PREDICTIONS.iter().find(|(name, row, _)| adapter.contains(name) && *row == what).map(|(_, _, value)| *value)
}
