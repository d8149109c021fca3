//! Compares the activations of every layer with Hugging Face's implementation, so that a failure names the first wrong
//! layer.

use lapidary_engine::gpu::{Recording, Step, StepRing, Tensor};
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
    let plan = recording.finish(gpu, &ring).await.unwrap();
    gpu.write(&activations.tokens, 0, bytemuck::cast_slice(ids));

    let compare = async |what: &str, tensor: &Tensor| {
        let ours = tensor.read(gpu, ids.len()).await.unwrap();
        let error = worst_error(&ours, &floats(golden, what));
        assert!(error < TOLERANCE, "{name}: {what} is off by {error:.1e}");
    };
    for segment in 0..plan.segments() {
        let step = Step { n_tokens: ids.len() as u32, ..Step::default() };
        // SAFETY: the activations and the cache have room for all ids.
        unsafe { gpu.run_plan(&mut ring, &plan, segment..segment + 1, &step) }.await.unwrap();
        match segment.checked_sub(1) {
            None => compare("embed", &activations.residual).await,
            Some(layer) => {
                compare(&format!("layer{layer}.mlp_out"), &activations.block).await;
                compare(&format!("layer{layer}.out"), &activations.residual).await;
            }
        }
        // A segment ends with the norm that the next one begins with.
        let next = if segment == c.num_layers { "final_norm".to_owned() } else { format!("layer{segment}.attn_in") };
        compare(&next, &activations.normed).await;
    }
}
