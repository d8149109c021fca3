use crate::kernels::{self, Step};

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
