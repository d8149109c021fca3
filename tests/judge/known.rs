//! The kernels that are known to spill on a GPU. Each entry is a defect that nobody has mended yet.

/// A kernel that may spill.
pub(crate) struct Known {
    gpu: &'static str,
    /// The beginning of the variant's name.
    variant: &'static str,
    /// The most registers, or instructions that spill them.
    pub(crate) spills: u64,
    /// Why, and what it would take.
    pub(crate) reason: &'static str,
}

/// The known ones.
const KNOWN: &[Known] = &[];

/// The entry of a variant on a GPU.
pub(crate) fn known(gpu: &str, variant: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.gpu == gpu && variant.starts_with(known.variant))
}

/// The entries of a GPU that are not in `seen`, as text.
pub(crate) fn mended(gpu: &str, seen: &[&'static Known]) -> Vec<String> {
    let of_gpu = KNOWN.iter().filter(|known| known.gpu == gpu);
    let unseen = of_gpu.filter(|known| !seen.iter().any(|one| std::ptr::eq(*one, *known)));
    unseen.map(|known| format!("{} no longer spills: remove it from tests/judge/known.rs", known.variant)).collect()
}
