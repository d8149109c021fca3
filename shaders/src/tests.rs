use std::collections::BTreeSet;

use crate::kernels::{self, IMPLIES, Step};

/// A request of a host that chooses this variant: the variant's features and those that they imply.
fn request_of(features: &[&'static str]) -> Vec<&'static str> {
    let implied = IMPLIES.iter().filter(|(flag, _)| features.contains(flag)).map(|(_, other)| *other);
    features.iter().copied().chain(implied).collect()
}

#[test]
fn every_variant_can_be_asked_for() {
    for kernel in kernels::ALL {
        for variant in kernel.variants {
            let request = request_of(variant.features);
            let chosen = kernel.variant(&request).unwrap_or_else(|| panic!("{}: no variant", variant.name()));
            assert_eq!(chosen.name(), variant.name(), "{request:?}");
        }
    }
}

#[test]
fn variants_of_a_kernel_differ() {
    for kernel in kernels::ALL {
        let texts: BTreeSet<&str> = kernel.variants.iter().map(|variant| variant.wgsl).collect();
        assert_eq!(texts.len(), kernel.variants.len(), "{}", kernel.name);
    }
}

#[test]
fn unknown_formats_have_no_variant() {
    assert!(kernels::matvec::KERNEL.variant(&["q3_k"]).is_none());
    assert!(kernels::matmul_small::KERNEL.variant(&["f32", "int8"]).is_none());
}

#[test]
fn a_step_is_the_uniform_of_the_kernels() {
    assert_eq!(Step::BYTES % 16, 0);
    let words: [u32; Step::BYTES / 4] = bytemuck::cast(Step { position: 7, ..Step::default() });
    assert_eq!(words[..2], [1, 7]);
}
