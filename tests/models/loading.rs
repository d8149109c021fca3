//! Tests loading: with damaged weights, and in little host memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lapidary_engine::{Engine, Sampling, WeightFormat};
use lapidary_tests::gaussian;
use serde_json::json;

use crate::golden_path;

const VOCAB: usize = 256_000;
const HIDDEN: usize = 2304;
const INTERMEDIATE: usize = 9216;
const LAYERS: usize = 26;
const HEADS: usize = 8;
const KV_HEADS: usize = 4;
const HEAD_DIM: usize = 256;

/// A model whose last norm is NaN, as after a bad download or a failed conversion. Its logits are NaN too.
#[test]
fn weights_of_nan_end_a_reply_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(golden_path("tiny-random-gemma2-f32")).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let (first, end) = metadata.info("model.norm.weight").unwrap().data_offsets;
    for word in bytes[8 + header..][first..end].as_chunks_mut::<4>().0 {
        *word = f32::NAN.to_le_bytes();
    }
    std::fs::write(&path, &bytes).unwrap();
    let engine = Engine::builder(folder.path()).build_blocking().unwrap();
    let mut session = engine.session_blocking().unwrap();
    // Greedy, sampled and greedy again: the steps in flight of one reply must not disturb the next one.
    for sampling in [Sampling::greedy(), Sampling::default(), Sampling::greedy()] {
        let mut generation = session.generate(&[2, 3, 4], &sampling).unwrap();
        let error = generation.next_blocking().unwrap_err();
        assert!(error.to_string().contains("NaN"), "{error}");
        assert_eq!(generation.next_blocking().unwrap(), None);
    }
}

/// Writes a checkpoint of noise in the shape and the layout of Gemma-2-2B on the hub, but in one file. Returns its size
/// in bytes.
fn write_checkpoint(folder: &Path) -> u64 {
    let config = json!({
        "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "query_pre_attn_scalar": HEAD_DIM,
        "max_position_embeddings": 8192, "sliding_window": 4096, "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
        "hidden_activation": "gelu_pytorch_tanh", "bos_token_id": 2, "eos_token_id": 1,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut tensors = vec![("model.embed_tokens".to_owned(), vec![VOCAB, HIDDEN]), ("model.norm".into(), vec![HIDDEN])];
    for layer in 0..LAYERS {
        let mut add =
            |name: &str, shape: &[usize]| tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        for norm in ["input", "post_attention", "pre_feedforward", "post_feedforward"] {
            add(&format!("{norm}_layernorm"), &[HIDDEN]);
        }
        add("self_attn.q_proj", &[HEADS * HEAD_DIM, HIDDEN]);
        add("self_attn.k_proj", &[KV_HEADS * HEAD_DIM, HIDDEN]);
        add("self_attn.v_proj", &[KV_HEADS * HEAD_DIM, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HEADS * HEAD_DIM]);
        add("mlp.gate_proj", &[INTERMEDIATE, HIDDEN]);
        add("mlp.up_proj", &[INTERMEDIATE, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INTERMEDIATE]);
    }
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in &tensors {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header
            .insert(format!("{name}.weight"), json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, end] }));
    }
    let header = serde_json::to_string(&header).unwrap();
    let noise: Vec<u8> =
        gaussian(1, 1 << 19).iter().flat_map(|v| ((0.02 * v).to_bits() >> 16).to_le_bytes()[..2].to_vec()).collect();
    let mut file = BufWriter::new(File::create(folder.join("model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut left = end;
    while left > 0 {
        let part = left.min(noise.len());
        file.write_all(&noise[..part]).unwrap();
        left -= part;
    }
    file.flush().unwrap();
    end as u64
}

/// Bytes of this process's memory without mapped files, which the system can evict.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    (kib("RssAnon:") + kib("RssShmem:")) << 10
}

#[test]
#[ignore = "writes a checkpoint of 5.2 GB; measures the whole process, so run it alone"]
fn a_large_checkpoint_is_quantised_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = write_checkpoint(folder.path());
    let before = own_memory();
    let done = Arc::new(AtomicBool::new(false));
    let seen = done.clone();
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while !seen.load(Ordering::SeqCst) {
            most = most.max(own_memory());
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    });
    let started = Instant::now();
    let engine = Engine::builder(folder.path()).weights(WeightFormat::Q4_0).context(512).build_blocking().unwrap();
    let took = started.elapsed();
    done.store(true, Ordering::SeqCst);
    let most = watch.join().unwrap() - before;
    // A software adapter's memory belongs to the process; a GPU's does not.
    let software = engine.gpu().info().device_type == lapidary_engine::wgpu::DeviceType::Cpu;
    let weights = if software { engine.bytes_per_token(0) } else { 0 };
    let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
    let host = most.saturating_sub(weights);
    println!(
        "{:.2} GiB on disk, {:.2} GiB on the device, {:.2} GiB of the host's memory beside, {:.1} s",
        gib(bytes),
        gib(engine.bytes_per_token(0)),
        gib(host),
        took.as_secs_f64()
    );
    assert!(host < 2 << 30, "{:.2} GiB", gib(host));
}
