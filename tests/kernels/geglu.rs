use lapidary_engine::Gpu;
use lapidary_engine::gpu::Tensor;
use lapidary_engine::ops::{self, Int8Tensor, Operand};
use lapidary_shaders::reference;
use lapidary_tests::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(crate::cases(12))]
    #[test]
    fn geglu(rows in 1usize..6, cols in 1usize..700, scale in 0.01f32..30.0, seed: u64) {
        let gate: Vec<f32> = gaussian(seed, rows * cols).iter().map(|v| v * scale).collect();
        let up = gaussian(seed ^ 1, rows * cols);
        let expected = reference::geglu(&gate, &up);
        // GELU of a gate far below zero adds 1 and a tanh near -1, so the result is small and the values that cancel
        // are large.
        let size = largest(&gate) * largest(&up);
        for (name, gpu) in devices() {
            let both = side_by_side(gpu, &gate, &up, cols);
            let out = dirty(gpu, rows, cols);
            run(gpu, step(rows, 0), |r| ops::geglu(r, &both, Operand::Float(&out)));
            assert_close_for(name, &read(gpu, &out, rows), &expected, size, F32);
            let int8 = Int8Tensor::new("test", rows, cols);
            run(gpu, step(rows, 0), |r| ops::geglu(r, &both, Operand::Int8(&int8)));
            assert_close(name, &read_int8(gpu, &int8, rows, cols), &reference::quantize(&expected, cols), INT8);
        }
    }
}

/// `tanh` of a large argument overflows on some drivers.
#[test]
fn geglu_of_large_gates_is_finite() {
    let gate = [-1e6f32, -300.0, -20.0, 20.0, 300.0, 1e6];
    let expected = reference::geglu(&gate, &[1.0; 6]);
    for (name, gpu) in devices() {
        let both = side_by_side(gpu, &gate, &[1.0; 6], 6);
        let out = dirty(gpu, 1, 6);
        run(gpu, step(1, 0), |r| ops::geglu(r, &both, Operand::Float(&out)));
        assert_close(name, &read(gpu, &out, 1), &expected, F32);
    }
}

/// Gates and ups in the layout that the kernel takes.
fn side_by_side(gpu: &Gpu, gate: &[f32], up: &[f32], cols: usize) -> Tensor {
    let mut rows = Vec::new();
    for (gate, up) in gate.chunks_exact(cols).zip(up.chunks_exact(cols)) {
        let at = rows.len();
        rows.resize(at + ops::gate_up_cols(cols), 0.0);
        rows[at..at + cols].copy_from_slice(gate);
        rows[at + ops::first_up(cols)..][..cols].copy_from_slice(up);
    }
    tensor(gpu, ops::gate_up_cols(cols), &rows)
}
