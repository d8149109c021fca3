//! Commands on token ids and the guide.

use std::process::{Command, Stdio};

use crate::{lapidary, refuses, run, tiny};

#[test]
fn ids_in_ids_out() {
    let arguments =
        ["run", "-m", &tiny(), "--tokens", "2, 409", "--temperature", "0", "--max-tokens", "8", "--ignore-eos"];
    let arguments = [&arguments[..], &["--weights", "f32"]].concat();
    let (status, stdout, stderr) = run(&arguments);
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (Some(0), "67 67 161 161 161 161 594 594\n", ""));

    let (_, stdout, _) = run(&[&arguments[..], &["--json"]].concat());
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(object["prompt_ids"], serde_json::json!([2, 409]));
    assert_eq!(object["output_ids"], serde_json::json!([67, 67, 161, 161, 161, 161, 594, 594]));
    assert_eq!(object["finish_reason"], "max_tokens");
    assert!(object["text"].is_null());
    assert!(object["prefill_ms"].as_f64().unwrap() > 0.0 && object["decode_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn wrong_usage_exits_with_2() {
    let model = tiny();
    let with = |rest: &[&'static str]| -> Vec<String> {
        ["run", "-m", &model].iter().chain(rest).map(|s| (*s).to_owned()).collect()
    };
    for (rest, word) in [
        (&["--tokens", "2", "--temperature", "nan"][..], "temperature"),
        (&["--tokens", "2", "--temperature", "-1"], "temperature"),
        (&["--tokens", "2", "--top-p", "0"], "top-p"),
        (&["--tokens", "2", "--min-p", "inf"], "min-p"),
        (&["--tokens", "2", "--repetition-penalty", "NaN"], "repetition penalty"),
        (&["--tokens", "2,two"], "two"),
        (&["--tokens", "2", "--weights", "q9_9"], "q8_0"),
        (&["--tokens", "2", "--context", "0"], "context"),
        (&["--tokens", "2", "--no-such-flag"], "no-such-flag"),
        (&[], "PROMPT"),
    ] {
        let arguments = with(rest);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refuses(&arguments, 2, &[word]);
    }
}

#[test]
fn failures_exit_with_1_and_say_why() {
    let model = tiny();
    refuses(&["run", "-m", "/no/such/model", "hi"], 1, &["/no/such/model"]);
    refuses(&["run", "-m", &model, "hi"], 1, &["tokenizer.json"]);
    refuses(&["run", "-m", &model, "--tokens", "2,768"], 1, &["768"]);
    refuses(&["run", "-m", &model, "--tokens", ""], 1, &["empty"]);
    refuses(&["run", "-m", &model, "--tokens", "2,3,4", "--context", "2"], 1, &["3 tokens", "2"]);
    refuses(&["run", "-m", &model, "--tokens", "2", "--device", "Voodoo 2"], 1, &["Voodoo 2"]);
    refuses(&["run", "-m", env!("CARGO_MANIFEST_DIR"), "--tokens", "2"], 1, &["config.json"]);
    refuses(&["perplexity", "-m", &model, "-f", "/no/such/text"], 1, &["/no/such/text"]);
    refuses(&["logits", "-m", &model, "--tokens", "2", "--out", "/no/such/folder/x"], 1, &["/no/such/folder/x"]);
}

#[test]
fn a_missing_adapter_is_reported() {
    // An empty list of drivers simulates a machine without a GPU and without Mesa.
    let output = lapidary(&["run", "-m", &tiny(), "--tokens", "2"])
        .env("VK_DRIVER_FILES", "/no/such/driver.json")
        .env("VK_ICD_FILENAMES", "/no/such/driver.json")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("no graphics adapter"), "{stderr}");
    }
}

#[test]
fn weight_formats_are_compared_by_kl_divergence() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/guide/dialogues.json");
    let measure = |weights: &str| -> serde_json::Value {
        let arguments = ["perplexity", "-m", "guide", "--tokens-file", text, "--ctx", "64", "--windows", "2"];
        let (status, stdout, stderr) =
            run(&[&arguments[..], &["--weights", weights, "--kl-against", "f32", "--json"]].concat());
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["kl"].clone()
    };
    let mean = |kl: &serde_json::Value| kl["mean"].as_f64().unwrap();
    let same = measure("f32");
    assert_eq!((mean(&same), same["top1_agreement"].as_f64()), (0.0, Some(1.0)));
    let (close, far) = (mean(&measure("q8_0")), mean(&measure("q4_0")));
    assert!(0.0 < close && close < far, "q8_0 {close}, q4_0 {far}");
}

#[test]
fn damaged_models_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut lying = b"GGUF\x03\0\0\0".to_vec();
    lying.extend(u64::MAX.to_le_bytes());
    lying.extend(u64::MAX.to_le_bytes());
    for path in [
        file("empty.gguf", b""),
        file("short.gguf", b"GGUF\x03\0"),
        file("lying.gguf", &lying),
        file("text.gguf", b"this is not a model, although it is named like one"),
    ] {
        refuses(&["run", "-m", &path, "--tokens", "2"], 1, &[&path]);
    }
}

/// The last byte that is read of a long text lies inside a character.
#[test]
fn texts_for_an_importance_matrix_are_refused_by_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (text, out) = (folder.path().join("text"), folder.path().join("out.gguf"));
    let arguments = ["quantize", "guide", "--imatrix", text.to_str().unwrap(), "-o", out.to_str().unwrap()];
    std::fs::write(&text, "é".repeat((8 << 20) + 1)).unwrap();
    refuses(&arguments, 1, &["more than 16 MiB"]);
    std::fs::write(&text, b"caf\xe9 au lait").unwrap();
    refuses(&arguments, 1, &["UTF-8"]);
}

#[test]
fn logits_are_a_safetensors_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("logits.safetensors");
    let (status, stdout, stderr) =
        run(&["logits", "-m", &tiny(), "--weights", "f32", "--tokens", "2,409", "--out", out.to_str().unwrap()]);
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    let bytes = std::fs::read(&out).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let logits = file.tensor("logits").unwrap();
    assert_eq!(logits.shape(), [2, 768]);
    // The greedy token of the golden file after these two.
    let last: Vec<f32> =
        logits.data()[4 * 768..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let best = (0..768).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
    assert_eq!(best, 67);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left behind");
}

#[test]
fn devices_are_listed_as_text_and_json() {
    let (status, stdout, _) = run(&["devices"]);
    assert_eq!(status, Some(0));
    assert!(stdout.starts_with("0  "), "{stdout}");
    let (_, stdout, _) = run(&["devices", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(object["adapters"][0]["name"].is_string());
}

#[test]
fn bench_reports_speed_and_dispatches() {
    let (status, stdout, stderr) = run(&["bench", "-m", &tiny(), "-p", "9", "-n", "4", "-r", "2", "--json"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    for part in ["prefill", "decode"] {
        let speed = &object[part]["tokens_per_s"];
        let number = |key: &str| speed[key].as_f64().unwrap();
        assert!(0.0 < number("min") && number("min") <= number("median") && number("median") <= number("max"));
    }
    // Seven per layer for four layers, one more per layer with split attention, and six around the layers.
    let dispatches = object["dispatches_per_token"].as_u64().unwrap();
    assert!([34, 38].contains(&dispatches), "{dispatches}");
}

#[test]
fn check_compares_the_kernels_of_a_model() {
    let (status, stdout, stderr) = run(&["check", "-m", &tiny()]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains(" dispatches of ") && stdout.ends_with("all are right\n"), "{stdout}");
    let (status, stdout, stderr) = run(&["check", "-m", &tiny(), "--json"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(object["dispatches"].as_u64().unwrap() > 50 && object["fault"].is_null(), "{object}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_reply_cleanly() {
    use std::io::Read;
    let arguments = ["run", "-m", &tiny(), "--tokens", "2", "--ignore-eos", "--context", "8000"];
    let mut child = lapidary(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first bytes show that the reply has started.
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 8];
    out.read_exact(&mut first).unwrap();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(rest.ends_with('\n'), "{rest:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_the_program_silently() {
    let arguments = ["run", "-m", &tiny(), "--tokens", "2", "--ignore-eos", "--context", "8000"];
    let mut child = lapidary(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}
