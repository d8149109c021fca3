//! Compares the activations of every layer with Hugging Face's implementation, so that a failure names the first wrong
//! layer.

use lapidary_engine::gpu::{Dispatch, Recording, Step, StepRing, Tensor};
use lapidary_engine::model::{Activations, Body, Capacity, Kernels, Model, RopeTables, SequenceBuffers, record_body};
use lapidary_engine::ops::Mode;
use lapidary_engine::{CacheFormat, Engine};
use lapidary_tests::{block_on, worst_error};

use crate::golden::{builder, floats, prompts};
use crate::{TINY, golden_path};

/// The tolerance, relative to the largest value of the activation. Rounding errors grow from layer to layer; a wrong
/// layer differs by far more.
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

async fn check(name: &str, engine: &Engine, ids: &[u32], golden: &[u8]) {
    let (gpu, c) = (engine.gpu(), engine.config());
    let mut ring = StepRing::new(gpu).await.unwrap();
    let buffers = SequenceBuffers::new(c, CacheFormat::F32, Capacity::for_one(64));
    let tables = RopeTables::new(c, 64);
    tables.upload(gpu).await.unwrap();
    let activations = Activations::new(c, gpu.capabilities(), ids.len(), 1);
    let mut recording = Recording::new(gpu.capabilities());
    let model = Model {
        config: c,
        weights: engine.model_weights(),
        tables: &tables,
        kernels: Kernels::FLOAT,
        usable_vocab: c.vocab_size,
    };
    record_body(&mut recording, Body::Prompt(Mode::Prefill), model, &buffers, &activations);
    let recording = recording.one_per_segment();
    let is_norm = |(at, dispatch): (usize, &Dispatch)| dispatch.kernel.name.ends_with("rms_norm").then_some(at);
    let norms: Vec<usize> = recording.dispatches().enumerate().filter_map(is_norm).collect();
    assert_eq!(norms.len(), 2 * c.num_layers + 1);
    let plan = recording.finish(gpu, &ring).await.unwrap();
    gpu.write(&activations.tokens, 0, bytemuck::cast_slice(ids));

    let compare = async |what: &str, tensor: &Tensor| {
        let ours = tensor.read(gpu, ids.len()).await.unwrap();
        let error = worst_error(&ours, &floats(golden, what));
        assert!(error < TOLERANCE, "{name}: {what} is off by {error:.1e}");
    };
    let mut done = 0;
    for (i, at) in norms.into_iter().enumerate() {
        let step = Step { n_tokens: ids.len() as u32, ..Step::default() };
        // SAFETY: the activations and the cache have room for all ids.
        unsafe { gpu.run_plan(&mut ring, &plan, done..at + 1, &step) }.await.unwrap();
        done = at + 1;
        // A layer has a norm after attention and one at its end.
        let layer = i.div_ceil(2);
        if i % 2 == 1 {
            compare(&format!("layer{}.attn_out", layer - 1), &activations.block).await;
            continue;
        }
        match layer.checked_sub(1) {
            None => compare("embed", &activations.residual).await,
            Some(before) => {
                compare(&format!("layer{before}.mlp_out"), &activations.block).await;
                compare(&format!("layer{before}.out"), &activations.residual).await;
            }
        }
        let next = if layer == c.num_layers { "final_norm".to_owned() } else { format!("layer{layer}.attn_in") };
        compare(&next, &activations.normed).await;
    }
}
