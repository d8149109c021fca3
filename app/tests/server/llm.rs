//! Simon Willison's `llm`, which asks models from the command line.

use std::process::Output;

use serde_json::Value;

use crate::pip::python_with;
use crate::process::{lapidary, start};

const QUESTION: &str = "How do I open a model?";

#[test]
fn llm_is_served() {
    let Some(python) = python_with("llm", "0.36", "llm is not tested") else { return };
    let server = start(&["--api-key", "secret"]);
    let folder = tempfile::tempdir().unwrap();
    let models = format!(
        "- model_id: guide\n  model_name: guide\n  api_base: http://{}/v1\n  api_key_name: lapidary\n  supports_schema: true\n",
        server.address
    );
    std::fs::write(folder.path().join("extra-openai-models.yaml"), models).unwrap();
    let llm = |arguments: &[&str]| {
        let mut command = python.command();
        command.args(["-m", "llm", "prompt", "-m", "guide", "--key", "secret"]).args(arguments);
        text(&command.env("LLM_USER_PATH", folder.path()).env("NO_PROXY", "127.0.0.1").output().unwrap())
    };
    let expected = text(&lapidary().args(["run", "-m", "guide", QUESTION]).output().unwrap());
    assert!(expected.len() > 20);
    assert_eq!(llm(&[QUESTION]), expected);
    assert_eq!(llm(&["--no-stream", QUESTION]), expected);
    let schema = r#"{"type": "object", "properties": {"size": {"enum": ["2b", "9b"]}}, "required": ["size"],
        "additionalProperties": false}"#;
    let answer: Value = serde_json::from_str(&llm(&["--schema", schema, QUESTION])).unwrap();
    assert!(["2b", "9b"].contains(&answer["size"].as_str().unwrap()));
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
