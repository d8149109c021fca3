//! Compares tiny models with Hugging Face's implementation: logits of every position, and greedy replies.

use std::collections::BTreeMap;

use lapidary_engine::config::Config;
use lapidary_engine::gpu::{DeviceOptions, adapters};
use lapidary_engine::load::{LayerTensor, TensorId};
use lapidary_engine::model::Kernels;
use lapidary_engine::ops::{MAX_SMALL_BATCH, Mode, Way};
use lapidary_engine::{Engine, EngineBuilder, Gpu, ModelFiles, Session, WeightFormat, wgpu};
use lapidary_tests::{block_on, largest_difference, reply, tokens, worst_error};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::{TINY, golden_path};

/// A prompt of `golden.json`.
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

/// An f32 tensor of a safetensors file.
pub(crate) fn floats(bytes: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data())
}

/// The options of the environment, changed by `change`.
pub(crate) fn device(change: impl Fn(&mut DeviceOptions)) -> DeviceOptions {
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

/// These include attention that is split over workgroups.
#[test]
fn logits_and_greedy_tokens_with_kernels_for_gpus() {
    check("kernels for GPUs", |b| b.device(device(|options| options.hardware_kernels = true)));
}

#[test]
fn logits_and_greedy_tokens_in_small_batches() {
    let kernels = Kernels { small_batch: Way::named(Mode::SmallBatch, "float, split by 64"), ..Kernels::FLOAT };
    check_with("small batches", &["matmul_small"], |b| b.kernels(kernels).prefill_chunk(7));
}

/// The default kernels depend on what tuning measures; these are the ones that a CPU usually gets.
#[test]
fn logits_and_greedy_tokens_with_kernels_for_cpus() {
    let way = |mode, name| Way::named(mode, name).unwrap();
    let decode = way(Mode::Decode, "float, a row per lane");
    let kernels = Kernels { decode, prefill: way(Mode::Prefill, "float, in registers"), ..Kernels::FLOAT };
    check_with("kernels for CPUs", &["matvec_rows", "matmul_registers"], |b| b.kernels(kernels));
}

#[test]
fn logits_and_greedy_tokens_in_chunks_of_seven() {
    check_with("chunks of 7", &["matvec", "matmul"], |b| b.kernels(Kernels::FLOAT).prefill_chunk(7));
}

/// A device whose bindings hold only the smallest matrices. A GPU would be tested first, on noise that does not fit such bindings.
#[test]
fn logits_and_greedy_tokens_in_small_shards() {
    let is_software = |adapter: &wgpu::Adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let Some(adapter) = block_on(adapters()).into_iter().find(is_software) else {
        eprintln!("SKIPPED: there is no software adapter");
        return;
    };
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: 64 << 10, ..Default::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = block_on(adapter.request_device(&descriptor)).unwrap();
    let gpu = Gpu::from_device(device, queue, false);
    check("small shards", |b| b.gpu(gpu.clone()));
}

fn check(setting: &str, configure: impl Fn(EngineBuilder) -> EngineBuilder) {
    check_with(setting, &[], configure);
}

/// The same, and asserts that these kernels are used.
fn check_with(setting: &str, kernels: &[&str], configure: impl Fn(EngineBuilder) -> EngineBuilder) {
    for model in TINY {
        let engine = configure(builder(model)).build_blocking().unwrap();
        let bytes = std::fs::read(golden_path(model).join("logits_f32.safetensors")).unwrap();
        let mut session = engine.session_blocking().unwrap();
        let used = [session.decode_kernels(), session.prefill_kernels(MAX_SMALL_BATCH)].concat();
        assert!(kernels.iter().all(|kernel| used.contains(kernel)), "{model}, {setting}: {used:?}");
        for prompt in prompts(model) {
            let what = format!("{model}, {setting}, {}", prompt.name);
            check_logits(&what, &mut session, &prompt, &floats(&bytes, &format!("{}.all", prompt.name)));
            check_greedy(&what, &mut session, &prompt);
        }
    }
}

/// Different kernels for the same products of integers. They can differ only if a value after the norms is rounded
/// another way.
#[test]
fn kernels_of_integers_agree() {
    let way = |mode, name| Way::named(mode, name).unwrap();
    let decode = way(Mode::Decode, "int8, a row per lane");
    let plain = Kernels { decode, prefill: way(Mode::Prefill, "int8, 16 lanes"), ..Kernels::FLOAT };
    let split = Kernels { decode: way(Mode::Decode, "int8, split by 64"), ..plain };
    // In the second model only the norms before attention are fused, because its gates and ups do not fill groups of 32. In the third
    // only those before the feed-forward block are, because values are of another format than queries and keys.
    let folder = |name: &str| Engine::builder(golden_path(name)).weights(WeightFormat::Q8_0);
    let models: [&dyn Fn() -> EngineBuilder; 3] =
        [&|| folder("tiny-random-gemma2"), &|| folder("tiny-random-gemma2-odd"), &|| Engine::from_files(mixed())];
    for builder in models {
        let logits = |kernels: Kernels, used: &[&str]| {
            let engine = builder().kernels(kernels).prefill_chunk(7).build_blocking().unwrap();
            let mut session = engine.session_blocking().unwrap();
            let recorded = [session.decode_kernels(), session.prefill_kernels(MAX_SMALL_BATCH)].concat();
            assert!(used.iter().all(|kernel| recorded.contains(kernel)), "{kernels:?}: {recorded:?}");
            // The last step is one token.
            (9..13).flat_map(|last| block_on(session.next_logits(&(2..last).collect::<Vec<u32>>())).unwrap()).collect()
        };
        let expected: Vec<f32> = logits(plain, &["matvec_rows", "matmul_registers"]);
        for (kernels, used) in [
            (split, &["matvec_int8"]),
            (Kernels { fuses_norms: true, ..split }, &["norm_matvec_int8"]),
            (Kernels { small_batch: Way::named(Mode::SmallBatch, "int8, split by 64"), ..plain }, &["matmul_small"]),
        ] {
            let error = worst_error(&logits(kernels, used), &expected);
            assert!(error < 5e-3, "{kernels:?}: off by {error:.1e}");
        }
    }
}

/// A small model whose value projections are of another format than the rest.
fn mixed() -> ModelFiles {
    let mut config = Config::of_shape("gemma-2-2b").unwrap();
    config.num_layers = 3;
    config.layers.truncate(3);
    (config.hidden_size, config.intermediate_size, config.vocab_size) = (64, 128, 128);
    (config.num_heads, config.num_kv_heads, config.head_dim) = (4, 2, 32);
    let format = |id| match id {
        TensorId::Layer(_, LayerTensor::Value) => WeightFormat::Q5_0,
        _ => WeightFormat::Q8_0,
    };
    ModelFiles::synthetic_mixed(config, format, "mixed")
}

fn check_logits(what: &str, session: &mut Session, prompt: &Prompt, golden: &[f32]) {
    let vocab = session.engine().config().vocab_size;
    let mut errors = Vec::new();
    block_on(session.logits(&prompt.ids, 0, |position, logits| {
        let golden = &golden[position * vocab..][..vocab];
        errors.push(largest_difference(logits, golden));
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
    // Cached: prefill, then one token per step.
    session.rewind(0);
    assert_eq!(reply(session, &prompt.ids, &tokens(prompt.greedy.len())), prompt.greedy, "{what}: cached");

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
