//! Tiny models against Hugging Face's implementation: logits of every position, and greedy replies.

use std::collections::BTreeMap;

use lapidary_engine::gpu::DeviceOptions;
use lapidary_engine::model::{Few, Kernels};
use lapidary_engine::ops::Width;
use lapidary_engine::{Engine, EngineBuilder, Sampling, Session, WeightFormat};
use lapidary_tests::{block_on, reply};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::{TINY, golden_path};

/// What `golden.json` holds of a prompt.
pub(crate) struct Prompt {
    pub(crate) name: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) greedy: Vec<u32>,
}

pub(crate) fn prompts(model: &str) -> Vec<Prompt> {
    let text = std::fs::read_to_string(golden_path(model).join("golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let lists = |key: &str| -> BTreeMap<String, Vec<u32>> { serde_json::from_value(golden[key].clone()).unwrap() };
    let greedy = lists("greedy_f32");
    lists("prompts")
        .into_iter()
        .map(|(name, ids)| Prompt { greedy: greedy[&name].clone(), name: format!("p{name}"), ids })
        .collect()
}

pub(crate) fn builder(model: &str) -> EngineBuilder {
    Engine::builder(golden_path(model)).weights(WeightFormat::F32).context(256)
}

/// f32 tensor of a safetensors file.
pub(crate) fn floats(bytes: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
}

/// What the environment asks for, changed.
fn device(change: impl Fn(&mut DeviceOptions)) -> DeviceOptions {
    let mut options = DeviceOptions::from_env();
    change(&mut options);
    options
}

#[test]
fn logits_and_greedy_tokens() {
    check("as built", |b| b);
}

#[test]
fn logits_and_greedy_tokens_with_webgpu_limits() {
    check("WebGPU limits", |b| b.device(device(|options| options.webgpu_limits = true)));
}

#[test]
fn logits_and_greedy_tokens_with_safe_shaders() {
    check("safe shaders", |b| b.device(device(|options| options.safe_shaders = true)));
}

/// Among others, attention that workgroups share.
#[test]
fn logits_and_greedy_tokens_with_kernels_for_gpus() {
    check("kernels for GPUs", |b| b.device(device(|options| options.hardware_kernels = true)));
}

#[test]
fn logits_and_greedy_tokens_with_folded_seams() {
    let kernels = Kernels { folds_seam: true, ..Kernels::FLOAT };
    check("folded seams", |b| b.kernels(kernels).device(device(|options| options.hardware_kernels = true)));
}

#[test]
fn logits_and_greedy_tokens_a_few_at_a_time() {
    let kernels = Kernels { few: Few::Float(Width::W64), ..Kernels::FLOAT };
    check("a few at a time", |b| b.kernels(kernels).prefill_chunk(7));
}

#[test]
fn logits_and_greedy_tokens_in_chunks_of_seven() {
    check("chunks of 7", |b| b.prefill_chunk(7));
}

#[test]
fn logits_and_greedy_tokens_in_small_shards() {
    check("small shards", |b| b.max_shard_bytes(20_000));
}

fn check(setting: &str, configure: impl Fn(EngineBuilder) -> EngineBuilder) {
    for model in TINY {
        let engine = configure(builder(model)).build_blocking().unwrap();
        let bytes = std::fs::read(golden_path(model).join("logits_f32.safetensors")).unwrap();
        let mut session = engine.session_blocking().unwrap();
        for prompt in prompts(model) {
            let what = format!("{model}, {setting}, {}", prompt.name);
            check_logits(&what, &mut session, &prompt, &floats(&bytes, &format!("{}.all", prompt.name)));
            check_greedy(&what, &mut session, &prompt);
        }
    }
}

fn check_logits(what: &str, session: &mut Session, prompt: &Prompt, golden: &[f32]) {
    let vocab = session.engine().config().vocab_size;
    let mut errors = Vec::new();
    block_on(session.logits(&prompt.ids, 0, |position, logits| {
        let golden = &golden[position * vocab..][..vocab];
        let worst = logits.iter().zip(golden).map(|(a, b)| (a - b).abs());
        // NaN compares with nothing, so it must not be lost in a maximum.
        errors.push(worst.fold(0.0f32, |m, e| if e <= m { m } else { e }));
        true
    }))
    .unwrap();
    assert_eq!(errors.len(), prompt.ids.len(), "{what}");
    errors.sort_by(f32::total_cmp);
    let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    assert!(median < 1e-3, "{what}: median over positions of the worst logit is off by {median}");
    assert!(worst < 5e-2, "{what}: a logit is off by {worst}");
}

fn check_greedy(what: &str, session: &mut Session, prompt: &Prompt) {
    // Cached: prefill, then a token at a time.
    let mut sampling = Sampling::greedy();
    sampling.max_tokens = Some(prompt.greedy.len());
    sampling.stop_at_end = false;
    session.rewind(0);
    assert_eq!(reply(session, &prompt.ids, &sampling), prompt.greedy, "{what}: cached");

    // Uncached: prompt and reply in one go; every position must choose the next token.
    let mut all = prompt.ids.clone();
    all.extend(&prompt.greedy);
    let mut chosen = Vec::new();
    block_on(session.logits(&all, prompt.ids.len() - 1, |_, logits| {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        chosen.push(logits.iter().position(|l| *l == best).unwrap() as u32);
        true
    }))
    .unwrap();
    chosen.pop();
    assert_eq!(chosen, prompt.greedy, "{what}: uncached");
}
