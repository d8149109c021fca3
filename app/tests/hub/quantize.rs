//! Files that `lapidary quantize` writes give in llama.cpp the text that they give here.

use std::path::Path;

use crate::commands::{lapidary, run};
use crate::pip::python_with;
use crate::server::Server;

/// Greedy text of llama.cpp: `model tokens prompt...` prints one JSON string per prompt. One thread, because several wait for
/// each other in loops, which takes minutes where other programs need the cores.
const LLAMA: &str = "import json, sys, xllamacpp\n\
params = xllamacpp.CommonParams()\n\
params.model.path = sys.argv[1]\n\
params.n_ctx, params.n_gpu_layers = 512, 0\n\
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1\n\
server = xllamacpp.Server(params)\n\
for prompt in sys.argv[3:]:\n\
\x20   out = server.handle_completions({'prompt': prompt, 'n_predict': int(sys.argv[2]), 'temperature': 0.0,\n\
\x20       'top_k': 1, 'cache_prompt': False, 'ignore_eos': True})\n\
\x20   print(json.dumps((json.loads(out) if isinstance(out, (str, bytes)) else out)['choices'][0]['text']), flush=True)\n";

/// Asserts that both programs complete the prompts with the same text, for a model written in these formats.
fn same_text(model: &str, formats: &[&str], tokens: usize, prompts: &[&str]) {
    let Some(python) = python_with("xllamacpp", "2026.10.11549", "files are not compared with llama.cpp") else {
        return;
    };
    let server = Server::new();
    let home = tempfile::tempdir().unwrap();
    for format in formats {
        let out = home.path().join(format!("{format}.gguf"));
        let path = out.to_str().unwrap();
        let (code, stdout, stderr) =
            run(&mut lapidary(&server, home.path(), &["quantize", model, "--weights", format, "-o", path]));
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(path), "{stdout}");
        let count = tokens.to_string();
        let output = python.command().args(["-c", LLAMA, path, &count]).args(prompts).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Vec<String> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        assert_eq!(theirs.len(), prompts.len());
        for (prompt, theirs) in prompts.iter().zip(theirs) {
            let arguments = [
                "run",
                "-m",
                path,
                "--raw",
                "--ignore-eos",
                "--temperature",
                "0",
                "--max-tokens",
                &count,
                "--json",
                prompt,
            ];
            // Which kernels are fastest is measured once for all tests.
            let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("data");
            let (code, stdout, stderr) = run(lapidary(&server, home.path(), &arguments).env("XDG_DATA_HOME", data));
            assert_eq!(code, Some(0), "{stderr}");
            let ours: serde_json::Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(ours["text"], theirs.as_str(), "{format}: {prompt}");
        }
        std::fs::remove_file(out).unwrap();
    }
}

#[test]
fn the_guide_says_the_same_in_llama_cpp() {
    let turn = |question: &str| format!("<start_of_turn>user\n{question}<end_of_turn>\n<start_of_turn>model\n");
    let prompts = [turn("How do I open a model?"), turn("What is a KV cache?")];
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    same_text("guide", &["f32", "q8_0", "q4_k_m"], 16, &prompts);
}

#[test]
fn the_270m_says_the_same_in_llama_cpp() {
    let Ok(model) = std::env::var("LAPIDARY_270M") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "LAPIDARY_270M is not set, and CI must test it");
        eprintln!("SKIPPED: LAPIDARY_270M is not set");
        return;
    };
    same_text(&model, &["q8_0", "q4_0"], 12, &["The capital of France is", "def add(a, b):\n"]);
}

#[test]
fn what_cannot_be_written_is_said() {
    let server = Server::new();
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("x.gguf");
    let path = out.to_str().unwrap();
    std::fs::write(&out, "mine").unwrap();
    let quantize = |arguments: &[&str]| run(&mut lapidary(&server, home.path(), &[&["quantize"], arguments].concat()));
    let (code, _, stderr) = quantize(&["guide", "-o", path]);
    assert!(code == Some(1) && stderr.contains("--force"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
    let (code, _, stderr) = quantize(&["guide", "-o", path, "--weights", "q9"]);
    assert!(code == Some(2) && stderr.contains("q4_k_m"), "{stderr}");
    let (code, _, stderr) = quantize(&["guide", "-o", path, "--force", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, _, stderr) = quantize(&["guide", "-o", "/no/such/folder/x.gguf"]);
    assert!(code == Some(1) && stderr.contains("/no/such/folder"), "{stderr}");
    // The template came along.
    let (code, _, stderr) =
        run(&mut lapidary(&server, home.path(), &["run", "-m", path, "--max-tokens", "3", "Hello"]));
    assert_eq!(code, Some(0), "{stderr}");
}
