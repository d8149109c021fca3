//! EleutherAI's `lm-eval`, which scores texts over HTTP. Its packages are 520 MB, so this runs only when it is asked for:
//!
//!     cargo test --release --workspace --test server -- --ignored lm_eval

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::engine;
use crate::pip::python_with_some;
use crate::process::{lapidary, start};

/// Tokens of a line with its `<bos>`, of which the second half is scored.
const CTX: usize = 32;

/// The task: how likely the end of a line is after its beginning. Gemma's texts begin with `<bos>`, which a task has to say.
const TASK: &str = r#"task: lapidary_lines
dataset_path: json
dataset_kwargs:
  data_files:
    test: lines.jsonl
test_split: test
output_type: loglikelihood
doc_to_text: "<bos>{{beginning}}"
doc_to_target: "{{end}}"
target_delimiter: ""
metric_list:
  - metric: perplexity
    aggregation: perplexity
    higher_is_better: false
"#;

const LINES: [&str; 10] = [
    "Lapidary runs Gemma 2 on your own GPU through Vulkan, Metal or Direct3D 12, and without a GPU it runs slowly on the processor, which is good enough for a small model.",
    "To open a model, drop a file on the window or choose one on the page of models, where you also find what was downloaded before, with its size and its format.",
    "The KV cache keeps the keys and values of all earlier tokens, so that each new token needs only one pass through the layers, and not one for every word before it.",
    "Gemma 2 alternates local layers, which see the last tokens through a sliding window, with global layers, which see the whole text from its beginning to the present word.",
    "A server that speaks the API of OpenAI can be asked by many programs, and each of them gets its reply as a stream of events, word by word, until the model ends its turn.",
    "Chats are kept in a file on this machine, and every edit or retry makes a branch beside the old one, so that no message is lost when you change what you said.",
    "Soft-capping bends large logits towards a limit, here of fifty in attention and of thirty at the end, so that no single score can grow without bound and drown the others.",
    "Rotary embeddings turn pairs of features by an angle that grows with the position, so that the product of a query and a key depends on their distance and nothing else.",
    "Weights may have four bits each and share a scale in blocks of thirty-two, which makes the file small and fast to read, at the price of a little of the quality.",
    "The weather in the mountains changed quickly that afternoon, and the two travellers, who had brought neither coats nor bread, began to look for a hut where they could wait.",
];

#[test]
#[ignore = "installs 520 MB of Python packages"]
fn lm_evals_log_likelihoods_are_those_of_perplexity() {
    // Only what it needs for this, because some of its other requirements are not there as wheels.
    let others = [
        "aiohttp==3.14.5",
        "datasets==5.2.0",
        "jinja2==3.1.6",
        "pytablewriter==1.2.1",
        "requests==2.34.2",
        "sacrebleu==2.6.0",
        "tenacity==9.2.1",
    ];
    let python = python_with_some("lm_eval", "0.4.13", Some(&others), "lm-eval is not tested");
    let Some(python) = python else { return };
    let folder = tempfile::tempdir().unwrap();
    let windows = write_task(folder.path());
    let server = start(&["--api-key", "secret"]);
    let mut command = python.command();
    let model = format!(
        "model=guide,base_url=http://{}/v1/completions,tokenizer_backend=remote,auth_token=secret,num_concurrent=2",
        server.address
    );
    command.args(["-m", "lm_eval", "run", "--model", "local-completions", "--model_args", &model, "--tasks"]);
    command.args(["lapidary_lines", "--include_path", ".", "--output_path", "out", "--log_samples"]);
    command.current_dir(folder.path()).env("HF_HOME", folder.path().join("cache")).env("HF_HUB_OFFLINE", "1");
    text(&command.env("OPENAI_API_KEY", "secret").env("NO_PROXY", "127.0.0.1").output().unwrap());
    let scored = samples(&folder.path().join("out"));

    let file = folder.path().join("windows.json");
    fs::write(&file, json!(windows.concat()).to_string()).unwrap();
    let mut command = lapidary();
    command.args(["perplexity", "-m", "guide", "--ctx", &CTX.to_string(), "--json", "--tokens-file"]).arg(&file);
    let measured: Value = serde_json::from_str(&text(&command.output().unwrap())).unwrap();
    let running: Vec<f64> =
        measured["running"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert_eq!((running.len(), scored.len()), (LINES.len(), LINES.len()));
    // The perplexities are of all windows so far.
    let per_line = (CTX / 2 - 1) as f64;
    let sums: Vec<f64> = running
        .iter()
        .enumerate()
        .map(|(index, perplexity)| -perplexity.ln() * per_line * (index + 1) as f64)
        .collect();
    for (index, served) in scored.iter().enumerate() {
        let expected = sums[index] - if index > 0 { sums[index - 1] } else { 0.0 };
        println!("{served:.5} by lm-eval, {expected:.5} by lapidary perplexity: {}", LINES[index]);
        assert!((served - expected).abs() < 1e-3, "{served} and {expected}: {}", LINES[index]);
    }
}

/// Writes the task and its lines. Returns the tokens of each line.
fn write_task(folder: &Path) -> Vec<Vec<u32>> {
    fs::write(folder.join("lapidary_lines.yaml"), TASK).unwrap();
    let tokenizer = engine().tokenizer().unwrap();
    let (mut windows, mut lines) = (Vec::new(), String::new());
    for line in LINES {
        let ids = tokenizer.encode_plain(line).unwrap();
        let ids = &ids[..CTX - 1];
        let (whole, beginning) = (tokenizer.decode(ids).unwrap(), tokenizer.decode(&ids[..CTX / 2]).unwrap());
        assert_eq!(tokenizer.encode_plain(&whole).unwrap(), ids);
        assert_eq!(tokenizer.encode_plain(&beginning).unwrap(), ids[..CTX / 2]);
        lines += &format!("{}\n", json!({"beginning": beginning, "end": whole[beginning.len()..]}));
        windows.push([&[tokenizer.bos_id()], ids].concat());
    }
    fs::write(folder.join("lines.jsonl"), lines).unwrap();
    windows
}

/// The log-likelihoods in the samples that lm-eval wrote, in the order of the lines.
fn samples(folder: &Path) -> Vec<f64> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_string_lossy().starts_with("samples_lapidary_lines") {
                let text = fs::read_to_string(path).unwrap();
                let mut samples: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                samples.sort_by_key(|sample| sample["doc_id"].as_u64());
                return samples.iter().map(log_likelihood).collect();
            }
        }
    }
    panic!("lm-eval wrote no samples");
}

/// In some versions the numbers are written as texts.
fn log_likelihood(sample: &Value) -> f64 {
    let value = &sample["filtered_resps"][0][0];
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{sample}"))
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
