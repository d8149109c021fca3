//! Activations of every layer against Hugging Face's implementation, so that a failure names the first wrong one.

use lapidary_engine::gpu::{Plan, Recorder, StepRing, Tensor};
use lapidary_engine::model::{Kernels, KvCache, Mode, Model, RopeTables, State, record_body};
use lapidary_engine::{CacheFormat, Engine};
use lapidary_tests::{block_on, step, worst_error};

use crate::golden::{builder, floats, prompts};
use crate::{TINY, golden_path};

/// Relative to the largest number of the activation. Errors grow from layer to layer; a wrong layer is off by far more.
const TOLERANCE: f64 = 2e-4;

#[test]
fn hidden_states_layer_by_layer() {
    for model in TINY {
        let engine = builder(model).build_blocking().unwrap();
        let golden = std::fs::read(golden_path(model).join("hidden_p33.safetensors")).unwrap();
        let ids = prompts(model).into_iter().find(|p| p.name == "p33").unwrap().ids;
        block_on(check(model, &engine, &ids, &golden));
    }
}

async fn check(model: &str, engine: &Engine, ids: &[u32], golden: &[u8]) {
    let (gpu, c) = (engine.gpu(), engine.config());
    let mut ring = StepRing::new(gpu).await.unwrap();
    let cache = KvCache::new(gpu, c, CacheFormat::F32, 64).await.unwrap();
    let tables = RopeTables::new(gpu, c, 64).await.unwrap();
    let state = State::new(gpu, c, ids.len(), 1).await.unwrap();
    let mut recorder = Recorder::new(gpu, &ring);
    let numbers = Model { config: c, weights: engine.model_weights(), tables: &tables, kernels: Kernels::FLOAT };
    record_body(&mut recorder, Mode::Prefill, numbers, &cache, &state).await.unwrap();
    let plan: Plan = recorder.finish();
    gpu.queue().write_buffer(&state.tokens, 0, bytemuck::cast_slice(ids));

    let compare = async |name: &str, tensor: &Tensor| {
        let ours = tensor.read(gpu, ids.len()).await.unwrap();
        let error = worst_error(&ours, &floats(golden, name));
        assert!(error < TOLERANCE, "{model}: {name} is off by {error:.1e}");
    };
    for part in 0..plan.parts() {
        let step = step(ids.len(), 0);
        // SAFETY: the state has room for all ids, and the cache for as many positions.
        unsafe { gpu.run_plan(&mut ring, &plan, part..part + 1, &step) }.await.unwrap();
        match part.checked_sub(1) {
            None => compare("embed", &state.residual).await,
            Some(layer) => {
                compare(&format!("layer{layer}.mlp_out"), &state.block).await;
                compare(&format!("layer{layer}.out"), &state.residual).await;
            }
        }
        // A part ends with the norm that the next one begins with.
        let next = if part == c.num_layers { "final_norm".to_owned() } else { format!("layer{part}.attn_in") };
        compare(&next, &state.normed).await;
    }
}
